-- Claims from the ready lists and the inbox. After comeback.lua.

local function hand_out(token, job)
  tokens[#tokens + 1] = token
  stored[#stored + 1] = job
end

-- One suspect at a time, so that whatever it does to its process is counted against it alone.
local function suspect_runs()
  local held = redis.call('HGET', answer, 'suspect')
  return held and not is_done[held] and redis.call('ZSCORE', leases, held)
end

-- What is paused is put aside; with `divert`, a job whose lane got limits since goes there.
local function goes_elsewhere(member, job, divert)
  if any_paused and park(member, type_of(job)) then return true end
  local lane = divert and lane_of(job)
  if lane then enter_lane('LPUSH', lane, member) end
  return lane
end

local function let_go(member, job)
  local twin = twin_of(job)
  if redis.call('HGET', dedup, twin) == member then redis.call('HDEL', dedup, twin) end
end

local function deliver(members, divert)
  local keys, next_tokens = {}, {}
  for i = 1, #members do keys[i], next_tokens[i] = next_token(members[i]) end
  local found, count = fetch('HMGET', jobs, keys), #tokens
  for i = 1, #members do
    local job = found[i]
    if job and not (unusual and goes_elsewhere(members[i], job, divert)) then
      if sub(job, 29, 32) ~= '0000' then let_go(members[i], job) end
      count = count + 1
      tokens[count], stored[count] = next_tokens[i], job
    end
  end
end

-- Takes up to `count` off a list; once, unless what it takes may be void, or go elsewhere.
local function claim_with(take, list, count)
  local most, looked = #tokens + count, 0
  while most > #tokens and looked < bound do
    local found = redis.call('RPOP', list, most - #tokens)
    if not found then return end
    take(found)
    looked = unusual and looked + #found or bound
  end
end

local function take_members(members)
  if void_exist then members = living(members) end
  deliver(members, unusual)
end

local function take_messages(messages)
  local last = redis.call('INCRBY', serial, #messages)
  local fields = {}
  for i = 1, #messages do
    local key = string.format('%s-%d-%d', origin, now, last - #messages + i)
    local job = string.format('r1%013d%013d0000', now, now) .. messages[i]
    fields[#fields + 1] = key
    fields[#fields + 1] = job
    if not (any_paused and park(key .. FRESH, type_of(job))) then hand_out(key .. FIRST, job) end
  end
  in_slices('HSET', jobs, fields)
end

local function claim(list, count) claim_with(take_members, list, count) end
local function claim_raw(list, count) claim_with(take_messages, list, count) end
