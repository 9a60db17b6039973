-- Puts claimed URLs at the end of a host's head. KEYS: the host's shard only.
-- ARGV: incarnation, host, delay ms, ms to hold it from this incarnation's birth (-1: not at all),
-- ms it is blocked, then pairs of member and entry. Returns 0 when the incarnation has changed.
local prefix, host = KEYS[1], ARGV[2]
local meta = call('HMGET', prefix, 'meta', 'incarnation', 'born', 'run')
if meta[1] ~= ARGV[1] or meta[3] ~= server_run() then return 0 end

local known = call('HEXISTS', prefix, 'delays', host) == 1
local hold, blocked = tonumber(ARGV[4]), tonumber(ARGV[5])
call('HSET', prefix, 'delays', host, ARGV[3])
if blocked > 0 and now + blocked > tonumber(call('HGET', prefix, 'blocked', host) or 0) then
  call('HSET', prefix, 'blocked', host, now + blocked)
end
for i = 6, #ARGV, 2 do
  call('HSET', prefix, 'entries', ARGV[i], ARGV[i + 1])
  call('RPUSH', prefix, 'head:' .. host, ARGV[i])
end
if call('HEXISTS', prefix, 'held', host) == 0 then
  local allowed = score(prefix, host) or now
  if not known and hold >= 0 then allowed = math.max(allowed, meta[2] + hold) end
  place(prefix, host, allowed)
end
return 1
