-- Deletes dead letters for good.
--
-- KEYS  dead, dead:records
-- ARGV  job keys
-- Answer: how many there were

redis.call('HDEL', KEYS[2], unpack(ARGV))
return redis.call('ZREM', KEYS[1], unpack(ARGV))
