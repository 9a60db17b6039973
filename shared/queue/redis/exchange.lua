-- Settles deliveries, brings back what is due, and claims new work: one call a batch.
--
-- KEYS and ARGV: see call.lua
-- Answer: now, next due in ms (-1: nothing known), names of what is paused, whether the call's number
--         is used up (0: the call did nothing, and may be sent again), number refused, refused tokens,
--         then for each delivery: token, stored job
-- After settle.lua, due.lua, claim.lua, claim_lanes.lua and recount_lanes.lua.

local function claim_suspect()
  if suspect_runs() then return end
  claim(suspects, 1)
  if #tokens > 0 then
    redis.call('HSET', answer, 'suspect', tokens[1])
    suspects_moved, may_take_suspect = true, false
  end
end

-- Lanes, the inbox and the normal jobs share what is wanted, so that none starves another.
local function claim_all()
  if want == 0 or paused[''] then return end
  claim_suspect()
  claim(ready[1], want - #tokens)
  claim_lanes(math.floor((want - #tokens + math.floor(call / 2) % 2) / 2))
  local share = math.floor((want - #tokens + call % 2) / 2)
  local before = #tokens
  claim_raw(intake, share)
  claim_raw(inbox, share - (#tokens - before))
  claim(ready[2], want - #tokens)
  claim_raw(intake, want - #tokens)
  claim_raw(inbox, want - #tokens)
  claim_lanes(want - #tokens)
  claim(ready[3], want - #tokens)
  local entries, lease_end = {}, string.format('%d', now + lease)
  for i = 1, #tokens do
    entries[2 * i - 1], entries[2 * i] = lease_end, tokens[i]
  end
  in_slices('ZADD', leases, entries)
end

-- The connection broke before the last answer arrived: give it again, less what was lost since.
local function recall()
  local given = cmsgpack.unpack(redis.call('HGET', answer, 'given'))
  refused = given[1]
  local ends = fetch('ZMSCORE', leases, given[2])
  local held = {}
  for i = 1, #given[2] do
    if ends[i] then held[#held + 1] = given[2][i] end
  end
  local found = fetch('HMGET', jobs, keys_of(held))
  for i = 1, #held do
    if found[i] then hand_out(held[i], found[i]) end
  end
end

-- The caller goes on without having heard the last answer: what that handed out goes back.
local function take_back()
  local given = cmsgpack.unpack(redis.call('HGET', answer, 'given'))[2]
  for i = #given, 1, -1 do settle('back', given[i], 0) end
  refused = {}
end

local function next_due()
  if not paused[''] then
    if redis.call('EXISTS', inbox, intake, ready[1], ready[2], ready[3]) > 0 then return 0 end
    if any_resumed() then return 0 end
  end
  local due = -1
  for _, set in ipairs({leases, delayed}) do
    local head = redis.call('ZRANGE', set, 0, 0, 'WITHSCORES')
    if head[2] and (due < 0 or head[2] - now < due) then due = math.max(0, head[2] - now) end
  end
  local lanes = unusual and not paused[''] and redis.call('ZRANGE', LANES, 0, passed_count, 'WITHSCORES') or {}
  for i = 1, #lanes, 2 do
    if not passed[lanes[i]] and lanes[i + 1] ~= FULL then
      local wait = math.ceil(math.max(0, lanes[i + 1] - micros) / 1000)
      return due < 0 and wait or math.min(due, wait)
    end
  end
  return due
end

-- The limits of the worker that started last are everybody's, or a lane that one counts as full would
-- be opened by nobody. Lanes that other limits kept away are opened. A server that forgot is told again.
local function share_limits()
  local before = redis.call('GET', LIMITS)
  if (before or '') == ARGV[10] or before and call > 1 then return end
  redis.call('DEL', LIMITS)
  redis.call('SET', LIMITS, ARGV[10])
  if ARGV[10] == '' then redis.call('EXPIRE', LIMITS, 3600) end -- by then no worker has the old ones
  limits = nil
  local lanes = redis.call('ZRANGE', LANES, 0, -1)
  read_lanes(lanes)
  put_lanes(lanes)
end

local last = tonumber(redis.call('HGET', answer, 'call') or 0)
local used_up = call == last
if call < last then
  return redis.error_reply('STALE call ' .. call .. ' came after call ' .. last)
elseif call == last then
  recall()
else
  if unusual then share_limits() end
  if last > heard then take_back() end
  settle_finished()
  for i = 13, #ARGV, 3 do settle(ARGV[i], ARGV[i + 1], ARGV[i + 2]) end
  reap()
  promote()
  if unusual then put_back_resumed() end
  claim_all()
  in_slices('ZREM', leases, done)
  used_up = call == 1 or want == 0 or #ARGV > 12 or #finished > 0 or #tokens > 0
  if used_up then
    redis.call('HSET', answer, 'call', call, 'given', cmsgpack.pack({refused, tokens}))
    redis.call('EXPIRE', answer, answer_ttl)
  end
  redis.call('ZADD', alive, 'XX', now + alive_for, consumer)
  if unusual then
    recount_lanes()
    write_lanes()
  end
end

local function suspects_left()
  return passed_count > 0 or redis.call('EXISTS', suspects) == 1
end

local due = next_due()
if due == 0 or (suspects_moved and not paused[''] and suspects_left()) then wake_one() end

local reply = {now, due, unusual and paused_types() or {}, used_up and 1 or 0, #refused}
local at = 5 + #refused
for i = 1, #refused do reply[5 + i] = refused[i] end
for i = 1, #tokens do
  reply[at + 1], reply[at + 2] = tokens[i], stored[i]
  at = at + 2
end
return reply
