-- Settles deliveries. Only a token that is in the lease set is accepted: any other is refused, for its
-- job is somebody else's by now, or gone. After comeback.lua.

-- Their leases are removed last: a sorted set that is emptied and filled again in every batch
-- goes through its slow small form each time, and costs several times as much.
local function settle_finished()
  local keys, count = {}, 0
  local ends = fetch('ZMSCORE', leases, finished)
  for i = 1, #finished do
    local token = finished[i]
    if ends[i] and not is_done[token] then
      count = count + 1
      done[count], is_done[token], keys[count] = token, true, key_of(token)
    else
      refused[#refused + 1] = token
    end
  end
  in_slices('HDEL', jobs, keys)
  if unusual then leave_lanes(done) end
end

-- Verdicts that finish a job whose result is kept, and what its state is then.
local KEPT = {done = 'done', unkept = 'done', discard = 'discarded'}

local function settle(verdict, token, value)
  if is_done[token] or redis.call('ZREM', leases, token) == 0 then
    refused[#refused + 1] = token
    return
  end
  if unusual then leave_lanes({token}) end
  local key, epoch, attempts, crashes = parse(token)
  local job = redis.call('HGET', jobs, key)
  if not job then return end
  if KEPT[verdict] then
    conclude(key, job, KEPT[verdict], verdict == 'done' and 'result' or 'error', value)
    return redis.call('HDEL', jobs, key)
  end
  if verdict == 'dead' then return bury(key, epoch, attempts + 1, crashes, value, job) end
  if verdict == 'retry' then attempts = attempts + 1 end
  local member = key .. ':' .. epoch .. ':' .. attempts .. ':' .. crashes
  if not may_wait(key, member, crashes, job) then return end
  if verdict == 'park' and park(member, value) then return end
  if verdict == 'back' and sub(job, 1, 1) == 'r' and attempts .. crashes == '00' then
    return return_message(key, job)
  end
  if verdict == 'back' or verdict == 'park' then
    return enqueue('RPUSH', member, crashes, job)
  end
  ready_at(key, job, now + tonumber(value)) -- where in `delayed` the job is to be looked for
  redis.call('ZADD', delayed, now + tonumber(value), member)
end
