-- Renews leases that are still held, and says which are not.
--
-- KEYS  leases, alive
-- ARGV  consumer, lease in milliseconds, milliseconds the consumer counts as alive, tokens
-- Answer: tokens whose lease is lost

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local entries, lost = {}, {}

-- A first write that takes no memory: a full server then lets the script go on.
redis.call('ZREM', KEYS[1], '')

if #ARGV > 3 then
  local ends = redis.call('ZMSCORE', KEYS[1], unpack(ARGV, 4))
  for i = 4, #ARGV do
    if ends[i - 3] then
      entries[#entries + 1] = now + ARGV[2]
      entries[#entries + 1] = ARGV[i]
    else
      lost[#lost + 1] = ARGV[i]
    end
  end
end
if #entries > 0 then
  redis.call('ZADD', KEYS[1], 'XX', unpack(entries))
end
redis.call('ZADD', KEYS[2], 'XX', now + ARGV[3], ARGV[1])
return lost
