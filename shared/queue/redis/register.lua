-- Registers a consumer, unless a living one of another worker kind consumes this queue.
--
-- KEYS  alive, consumers
-- ARGV  consumer, worker kind, job types, milliseconds the consumer counts as alive
-- Answer: the other kind, or an empty string when registered

local alive, consumers = KEYS[1], KEYS[2]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- A first write that takes no memory: a full server then lets the script go on.
redis.call('ZREM', KEYS[1], '')

for _, gone in ipairs(redis.call('ZRANGEBYSCORE', alive, '-inf', now, 'LIMIT', 0, 1000)) do
  redis.call('ZREM', alive, gone)
  redis.call('HDEL', consumers, gone)
end
for _, other in ipairs(redis.call('ZRANGE', alive, 0, -1)) do
  local kind = cjson.decode(redis.call('HGET', consumers, other) or '{}').kind
  if kind and kind ~= ARGV[2] then return kind end
end
redis.call('ZADD', alive, now + ARGV[4], ARGV[1])
redis.call('HSET', consumers, ARGV[1], cjson.encode({kind = ARGV[2], types = ARGV[3]}))
return ''
