-- Stores jobs. A key that is already stored, or a deduplication key under which a job waits no
-- longer than this one would, makes a duplicate, so a publish may be repeated.

local jobs, delayed, dedup = KEYS[1], KEYS[2], KEYS[3]
local PLAIN = {0, false, '', 0}

local windows = prefix .. 'windows'
local windows_exist

local function in_window(twin)
  if windows_exist == nil then windows_exist = redis.call('EXISTS', windows) == 1 end
  local ends = windows_exist and redis.call('ZSCORE', windows, twin)
  return ends and tonumber(ends) > now
end

local function open_window(twin, length)
  redis.call('ZADD', windows, 'GT', now + length, twin)
  windows_exist = true
  local over = redis.call('ZRANGEBYSCORE', windows, '-inf', now, 'LIMIT', 0, 10)
  if #over > 0 then redis.call('ZREM', windows, unpack(over)) end
end

-- A twin that would wait longer (a retry, a snooze) gives way, or a fresh change would be late. One
-- that crashed waits on, uncovered, for its count of crashes must not be forgotten.
local function may_wait(twin, member, due, replace)
  if redis.call('HSETNX', dedup, twin, member) == 1 then
    if not in_window(twin) then return true end
    redis.call('HDEL', dedup, twin)
    return false
  end
  local other = redis.call('HGET', dedup, twin)
  local other_due = redis.call('ZSCORE', delayed, other)
  if not replace and (not other_due or tonumber(other_due) <= due) then return false end
  local other_key, _, _, crashes = parse(other)
  if crashes == '0' then
    conclude(other_key, redis.call('HGET', jobs, other_key), 'discarded', 'error', 'a twin replaced it')
    withdraw(other, delayed)
    redis.call('HDEL', jobs, other_key)
  end
  redis.call('HSET', dedup, twin, member)
  return true
end

local function enqueue(member, priority, job, lane)
  lane = lane ~= '' and lane_of(job)
  if lane then return enter_lane('LPUSH', lane, member) end
  redis.call('LPUSH', KEYS[4 + priority], member)
end

-- Options are a digit, the priority, and for jobs that ask for more a MessagePack array: window in
-- milliseconds, whether to replace, lane, milliseconds to keep the result.
local function stored_form(options, delay, twin, body)
  local head = string.format('%s%013d%013d%04x', string.sub(options, 1, 1), now, now + delay, #twin)
  if #options == 1 then return 'j' .. head .. twin .. body, PLAIN end
  local more = cmsgpack.unpack(string.sub(options, 2))
  local lane, keep = more[3], more[4]
  if lane == '' and keep == 0 then return 'j' .. head .. twin .. body, more end
  return 'x' .. head .. twin .. string.format('%04x%s%013d', #lane, lane, keep) .. body, more
end

local function store(key, delay, options, twin, body)
  local member = key .. ':' .. first_epoch() .. ':0:0'
  local job, more = stored_form(options, delay, twin, body)
  if redis.call('HSETNX', jobs, key, job) == 0 then return 0 end
  if twin ~= '' then
    if not may_wait(twin, member, now + delay, more[2]) then
      redis.call('HDEL', jobs, key)
      return 0
    end
    if more[1] > 0 then open_window(twin, more[1]) end
  end
  if more[4] > 0 then forget_result(key, job) end
  if delay > 0 then
    redis.call('ZADD', delayed, now + delay, member)
  else
    enqueue(member, string.sub(options, 1, 1), job, more[3])
  end
  return 1
end

-- The jobs are the arguments from the given one on, five each: key, delay in milliseconds, options,
-- deduplication key, body. Returns how many were stored, and how many were duplicates.
local function publish(from)
  local accepted = 0
  for i = from, #ARGV, 5 do
    accepted = accepted + store(ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2], ARGV[i + 3], ARGV[i + 4])
  end
  write_lanes()
  if accepted > 0 then wake_one() end
  return {accepted, (#ARGV - from + 1) / 5 - accepted}
end
