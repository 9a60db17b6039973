-- Stores jobs. A key that is already stored, or a deduplication key under which a job waits no
-- longer than this one would, makes a duplicate, so a publish may be repeated.
--
-- KEYS  jobs, delayed, dedup, wake, ready:0, ready:1, ready:2
-- ARGV  for each job: key, delay in milliseconds, priority, deduplication key, body
-- Answer: accepted, duplicates

local jobs, delayed, dedup, wake = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local accepted, duplicates = 0, 0

-- A twin that would wait longer (a retry, a snooze) gives way, or a fresh change would be late. One
-- that crashed waits on, uncovered, for its count of crashes must not be forgotten.
local function may_wait(twin, member, due)
  if redis.call('HSETNX', dedup, twin, member) == 1 then return true end
  local other = redis.call('HGET', dedup, twin)
  local other_due = redis.call('ZSCORE', delayed, other)
  if not other_due or tonumber(other_due) <= due then return false end
  local other_key, crashes = string.match(other, '^(.*):%d+:%d+:(%d+)$')
  if crashes == '0' then
    redis.call('ZREM', delayed, other)
    redis.call('HDEL', jobs, other_key)
  end
  redis.call('HSET', dedup, twin, member)
  return true
end

for i = 1, #ARGV, 5 do
  local key, delay, priority, twin = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2], ARGV[i + 3]
  local member = key .. ':0:0:0'
  local header = string.format('j%s%013d%013d%04x', priority, now, now + delay, #twin)
  local new = redis.call('HSETNX', jobs, key, header .. twin .. ARGV[i + 4]) == 1
  if new and twin ~= '' and not may_wait(twin, member, now + delay) then
    redis.call('HDEL', jobs, key)
    new = false
  end
  if not new then
    duplicates = duplicates + 1
  else
    accepted = accepted + 1
    if delay > 0 then
      redis.call('ZADD', delayed, now + delay, member)
    else
      redis.call('LPUSH', KEYS[5 + priority], member)
    end
  end
end

if accepted > 0 and redis.call('LLEN', wake) == 0 then
  redis.call('LPUSH', wake, '')
end
return {accepted, duplicates}
