-- Publishes the job of a schedule and notes the firing, unless this due time was fired already.
--
-- KEYS  jobs, delayed, dedup, ready:0, ready:1, ready:2, schedules:fired, prefix
-- ARGV  name, due time, then the job, see publish_jobs.lua
-- Answer: 1 when it fired, else 0

local last = redis.call('HGET', KEYS[7], ARGV[1])
if last and tonumber(last) >= tonumber(ARGV[2]) then return 0 end
publish(3)
redis.call('HSET', KEYS[7], ARGV[1], ARGV[2])
return 1
