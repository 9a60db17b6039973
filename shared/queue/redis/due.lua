-- Brings back what is due: expired leases, delayed jobs, and what was put aside until a resume. At most
-- `bound` of each. After comeback.lua.

-- Expired leases: somebody died holding them. The jobs go to the front, for they are the oldest. Whoever
-- held them may answer yet, also when they are done and others of their keys are published.
local function reap()
  local expired = {}
  for _, token in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', now, 'LIMIT', 0, bound)) do
    if not is_done[token] then expired[#expired + 1] = token end
  end
  if #expired == 0 then return end
  in_slices('ZREM', leases, expired)
  if unusual then leave_lanes(expired) end
  local found = fetch('HMGET', jobs, keys_of(expired))
  for i = #expired, 1, -1 do
    local key, epoch, attempts, crashes = parse(expired[i])
    begin_above(epoch)
    local job = found[i]
    crashes = crashes + 1
    if job and crashes >= max_crashes then
      bury(key, epoch, attempts, crashes, 'its lease expired ' .. crashes .. ' times', job)
    elseif job then
      local member = key .. ':' .. epoch .. ':' .. attempts .. ':' .. crashes
      may_wait(key, member, crashes, job)
      enqueue('RPUSH', member, crashes, job)
    end
  end
end

local function promote()
  local due = redis.call('ZRANGEBYSCORE', delayed, '-inf', now, 'LIMIT', 0, bound)
  if #due == 0 then return end
  in_slices('ZREM', delayed, due)
  if void_exist then due = living(due) end
  local keys = keys_of(due)
  local found = fetch('HMGET', jobs, keys)
  for i = 1, #due do
    local job = found[i]
    if job then
      ready_at(keys[i], job, now)
      local _, _, _, crashes = parse(due[i])
      enqueue('LPUSH', due[i], crashes, job)
    end
  end
end

local function put_back_resumed()
  local members = resumed(bound)
  if void_exist and #members > 0 then members = living(members) end
  local found = fetch('HMGET', jobs, keys_of(members))
  for i = 1, #members do
    local _, _, _, crashes = parse(members[i])
    if found[i] then enqueue('RPUSH', members[i], crashes, found[i]) end
  end
end
