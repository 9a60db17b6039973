-- Notes the progress of a running job, unless its lease was lost.
--
-- KEYS  leases, result
-- ARGV  token, milliseconds to keep it, progress as JSON

-- A first write that takes no memory: a full server then lets the script go on.
redis.call('ZREM', KEYS[1], '')
if redis.call('ZSCORE', KEYS[1], ARGV[1]) then
  redis.call('HSET', KEYS[2], 'state', 'running', 'progress', ARGV[3])
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
end
