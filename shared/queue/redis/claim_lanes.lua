-- Claims from lanes, a job from each in turn. After claim.lua.

local may_take_suspect -- nil: not known yet
local passed, passed_count = {}, 0 -- lanes in which a suspect is next, while one runs here

-- Takes what may be started of popped members; at a second suspect the rest goes back.
local function startable(lane, members)
  local left = {}
  for i = 1, #members do
    local _, _, _, crashes = parse(members[i])
    if tonumber(crashes) >= SUSPECT then
      if may_take_suspect == nil then may_take_suspect = not suspect_runs() end
      if not may_take_suspect then
        for back = #members, i, -1 do enter_lane('RPUSH', lane, members[back]) end
        passed[lane], passed_count = true, passed_count + 1
        return left
      end
      may_take_suspect = false
    end
    left[#left + 1] = members[i]
  end
  return left
end

-- Notes the suspect among what a lane gave from the given place on.
local function watch_suspect(from)
  for i = from, may_take_suspect == false and #tokens or 0 do
    local _, _, _, crashes = parse(tokens[i])
    if tonumber(crashes) >= SUSPECT then redis.call('HSET', answer, 'suspect', tokens[i]) end
  end
end

-- Returns how many members it looked at.
local function claim_lane(lane, count)
  local limit = limits_of(lane)
  local most = may_start(lane, limit, count)
  local members = most > 0 and redis.call('RPOP', list_of(lane), most)
  if not members then
    close_lane(lane)
    return 1
  end
  local looked, before = #members, #tokens
  count_waiting(lane, -looked)
  if void_exist then members = living(members) end
  deliver(startable(lane, members), false)
  if #tokens > before then count_started(lane, limit, {unpack(tokens, before + 1)}) end
  watch_suspect(before + 1)
  close_lane(lane)
  return looked
end

-- The lanes that may start now, first the one whose turn was longest ago.
local function due_lanes(most)
  local due = {}
  local found = redis.call(
    'ZRANGEBYSCORE', LANES, '-inf', exact_now, 'LIMIT', 0, most + passed_count)
  for i = 1, #found do
    if not passed[found[i]] then due[#due + 1] = found[i] end
  end
  return due
end

local function claim_lanes(count)
  local most, looked = #tokens + count, 0
  while lanes_exist and #tokens < most do
    local due = due_lanes(most - #tokens)
    if #due == 0 then return end
    for i = 1, #due do
      if looked >= bound then return end -- what is put aside is endless work, too
      looked = looked + claim_lane(due[i], math.ceil((most - #tokens) / (#due - i + 1)))
    end
  end
end
