-- Stores jobs. A key that is already stored, or a deduplication key under which a job waits,
-- makes a duplicate, so a publish may be repeated.
--
-- KEYS  jobs, delayed, dedup, wake, ready:0, ready:1, ready:2
-- ARGV  for each job: key, delay in milliseconds, priority, deduplication key, body
-- Answer: accepted, duplicates

local jobs, delayed, dedup, wake = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local accepted, duplicates = 0, 0

for i = 1, #ARGV, 5 do
  local key, delay, priority, twin = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2], ARGV[i + 3]
  local header = string.format('j%s%013d%013d%04x', priority, now, now + delay, #twin)
  local new = redis.call('HSETNX', jobs, key, header .. twin .. ARGV[i + 4]) == 1
  if new and twin ~= '' and redis.call('HSETNX', dedup, twin, key) == 0 then
    redis.call('HDEL', jobs, key)
    new = false
  end
  if not new then
    duplicates = duplicates + 1
  else
    accepted = accepted + 1
    if delay > 0 then
      redis.call('ZADD', delayed, now + delay, key .. ':0:0:0')
    else
      redis.call('LPUSH', KEYS[5 + priority], key .. ':0:0:0')
    end
  end
end

if accepted > 0 and redis.call('LLEN', wake) == 0 then
  redis.call('LPUSH', wake, '')
end
return {accepted, duplicates}
