-- How a job that was taken comes to wait again, or dies. After call.lua.

-- The job waits again: take its deduplication key. False when a twin waits that does its work;
-- a job that crashed never merges, so that its count of crashes is not forgotten.
local function may_wait(key, member, crashes, job)
  local twin = twin_of(job)
  if twin == '' or redis.call('HSETNX', dedup, twin, member) == 1 then return true end
  if tonumber(crashes) > 0 then return true end
  conclude(key, job, 'discarded', 'error', 'merged with a twin that waits')
  redis.call('HDEL', jobs, key)
  return false
end

local function enqueue(command, member, crashes, job)
  local suspect, lane = tonumber(crashes) >= SUSPECT, lane_of(job)
  suspects_moved = suspects_moved or suspect
  if lane then return enter_lane(command, lane, member) end
  redis.call(command, suspect and suspects or ready[string.byte(job, 2) - 47], member)
end

local function ready_at(key, job, milliseconds)
  local at = string.format('%013d', milliseconds)
  redis.call('HSET', jobs, key, string.sub(job, 1, 15) .. at .. string.sub(job, 29))
end

local function bury(key, epoch, attempts, crashes, reason, job)
  local header = string.format('%d:%d:%d:%d:%d:', now, epoch, attempts, crashes, #reason)
  redis.call('HSET', records, key, header .. reason .. job)
  redis.call('ZADD', dead, now, key)
  redis.call('HDEL', jobs, key)
  conclude(key, job, 'dead', 'error', reason)
end

-- A message of the inbox that nobody worked on goes back as it came: a worker of another kind that
-- pops the same list finds it there, also when the last of ours has gone.
local function return_message(key, job)
  redis.call('RPUSH', inbox, string.sub(job, 33))
  redis.call('HDEL', jobs, key)
end
