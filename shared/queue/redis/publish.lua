-- Publishes jobs.
--
-- KEYS  jobs, delayed, dedup, ready:0, ready:1, ready:2, prefix
-- ARGV  five for each job, see publish_jobs.lua
-- Answer: accepted, duplicates

return publish(1)
