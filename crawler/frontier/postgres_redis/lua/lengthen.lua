-- Raises the delay of a host that is known; a lower one comes with the next feed.
-- KEYS: the host's shard only. ARGV: host, delay ms.
local delay = tonumber(call('HGET', KEYS[1], 'delays', ARGV[1]) or math.huge)
if tonumber(ARGV[2]) > delay then call('HSET', KEYS[1], 'delays', ARGV[1], ARGV[2]) end
