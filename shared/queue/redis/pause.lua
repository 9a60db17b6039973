-- Pauses or resumes a queue or a job type. What was parked is put back by the next exchanges.
--
-- KEYS  prefix
-- ARGV  pause or resume, job type (empty: the queue)
-- After prelude.lua and paused.lua.

local job_type = ARGV[2]

-- A first write that takes no memory: a full server then lets the script go on.
redis.call('HDEL', PAUSED, job_type)

if ARGV[1] == 'pause' then
  redis.call('HSET', PAUSED, job_type, 'paused')
elseif job_type ~= '' and redis.call('EXISTS', parked_in(job_type)) == 1 then
  redis.call('HSET', PAUSED, job_type, 'resumed')
end
wake_one()
