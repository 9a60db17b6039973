-- Claims from lanes, a job from each in turn. After claim.lua.

local may_take_suspect -- nil: not known yet
local passed, passed_count = {}, 0 -- lanes in which a suspect is next, while one runs here

local function is_suspect(member)
  if sub(member, -2) == ':0' then return false end -- by far the most
  local _, _, _, crashes = parse(member)
  return tonumber(crashes) >= SUSPECT
end

-- Takes what may be started of popped members; at a second suspect the rest goes back.
local function take_startable(lane, members, into)
  for i = 1, #members do
    if is_suspect(members[i]) then
      if may_take_suspect == nil then may_take_suspect = not suspect_runs() end
      if not may_take_suspect then
        for back = #members, i, -1 do enter_lane('RPUSH', lane, members[back]) end
        passed[lane], passed_count = true, passed_count + 1
        return
      end
      may_take_suspect = false
    end
    into[#into + 1] = members[i]
  end
end

-- Notes the suspect among what lanes gave from the given place on.
local function watch_suspect(from)
  for i = from, may_take_suspect == false and #tokens or 0 do
    if is_suspect(tokens[i]) then redis.call('HSET', answer, 'suspect', tokens[i]) end
  end
end

local function count_started(from)
  local held = {}
  for i = from, #tokens do
    local lane = lane_of(stored[i])
    local limit = limits_of(lane or '')
    if lane and limit[1] > 0 then
      held[#held + 1], held[#held + 2] = tokens[i], lane
      run(lane, 1)
    end
    if lane and limit[2] > 0 then
      spaced[lane], started[lane] = spaced[lane] + limit[2], true
    end
  end
  in_slices('HSET', HELD, held)
end

-- One is asked for as one: that is much the cheaper.
local function pop(list, most)
  if most == 1 then return {redis.call('RPOP', list) or nil} end
  return most > 0 and redis.call('RPOP', list, most) or {}
end

-- Lets each of these lanes hand out its share. Returns how many members were looked at.
local function claim_round(lanes, most)
  local members, stay, away, looked, before = {}, {}, {}, 0, #tokens
  read_lanes(lanes)
  for i = 1, #lanes do
    local lane = lanes[i]
    local room = room_in(lane, math.ceil((most - looked) / (#lanes - i + 1)))
    local found = pop(list_of(lane), room)
    local empty = #found < room or room > 0 and redis.call('EXISTS', list_of(lane)) == 0
    local into = empty and away or stay
    into[#into + 1] = lane
    looked, more_wait = looked + math.max(1, #found), more_wait - #found
    if void_exist and #found > 0 then found = living(found) end
    take_startable(lane, found, members)
  end
  deliver(members, false)
  count_started(before + 1)
  watch_suspect(before + 1)
  put_lanes(stay)
  in_slices('ZREM', LANES, away)
  return looked
end

-- The lanes that may start now, first the one whose turn was longest ago.
local function due_lanes(most)
  local due = {}
  local found = redis.call(
    'ZRANGEBYSCORE', LANES, '-inf', micros_text(), 'LIMIT', 0, most + passed_count)
  for i = 1, #found do
    if not passed[found[i]] then due[#due + 1] = found[i] end
  end
  return due
end

local function claim_lanes(count)
  local most, looked = #tokens + count, 0
  while unusual and #tokens < most and looked < bound do -- what is put aside is endless work, too
    open_lanes()
    local due = due_lanes(math.min(most - #tokens, bound - looked))
    if #due == 0 then return end
    looked = looked + claim_round(due, math.min(most - #tokens, bound - looked))
  end
end
