-- Settles deliveries, brings back what is due, and claims new work: one call a batch.
--
-- A waiting or leased job is a member `key:epoch:attempts:crashes`. The epoch rises at every
-- hand-out, so a leased member is a token that no other hand-out has: it is the fence.
-- A stored job is a header of 32 bytes (kind, priority, first seen, ready at, length of the
-- deduplication key), the deduplication key, and the body.
--
-- KEYS  see below
-- ARGV  consumer, call, want, lease ms, max crashes, bound, origin, answer ttl s, alive ms,
--       limits of lanes as a MessagePack map (empty: none), finished tokens as one MessagePack array,
--       then for each other settlement: verdict (retry, snooze, back, dead, park,
--       and done, unkept, discard where a result is kept), token, milliseconds, reason, job type or
--       result
-- Answer: now, next due in ms (-1: nothing known), names of what is paused, number refused, refused
--         tokens, then for each delivery: token, stored job
-- After prelude.lua, waiting.lua, paused.lua, lanes.lua and results.lua.

local inbox, intake, wake, jobs, leases, delayed = unpack(KEYS, 1, 6)
local ready = {KEYS[7], KEYS[8], KEYS[9]}
local suspects, dedup, dead, records, alive, serial, answer = unpack(KEYS, 10, 16)
local consumer, call, want = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local lease, max_crashes, bound = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local origin, answer_ttl, alive_for = ARGV[7], ARGV[8], tonumber(ARGV[9])
local finished = cmsgpack.unpack(ARGV[11])
limits = ARGV[10] ~= '' and cmsgpack.unpack(ARGV[10]) or {}
local SUSPECT = 2 -- expired leases that make a job one
local SLICE = 1000 -- Lua cannot unpack much more at once
local FRESH, FIRST = ':0:0:0', ':1:0:0' -- ends of most members, and of most tokens
local sub = string.sub

local refused, tokens, stored = {}, {}, {}
local done, is_done = {}, {} -- finished tokens that were held: as a list, and as a set
local suspects_moved = false
-- What few queues use costs the others this one look.
local unusual = redis.call('EXISTS', VOID, PAUSED, HELD, WAITING) > 0
local void_exist = unusual and redis.call('EXISTS', VOID) == 1
local lanes_exist = unusual or ARGV[10] ~= ''
if unusual then read_paused() end
local any_paused = next(paused) ~= nil
local may_pop_in_vain = unusual or lanes_exist

local function in_slices(command, key, list)
  for from = 1, #list, SLICE do
    redis.call(command, key, unpack(list, from, math.min(from + SLICE - 1, #list)))
  end
end

local function fetch(command, key, list)
  if #list == 0 then return {} end
  if #list <= SLICE then return redis.call(command, key, unpack(list)) end
  local found = {}
  for from = 1, #list, SLICE do
    local part = redis.call(command, key, unpack(list, from, math.min(from + SLICE - 1, #list)))
    for i = 1, #part do found[from + i - 1] = part[i] end
  end
  return found
end

local function parse(member)
  return string.match(member, '^(.*):(%d+):(%d+):(%d+)$')
end

-- Patterns and numbers are slow: what is by far the most common does without.
local function key_of(member)
  local tail = sub(member, -6)
  if tail == FIRST or tail == FRESH then return sub(member, 1, -7) end
  return (parse(member))
end

local function next_token(member)
  if sub(member, -6) == FRESH then
    local key = sub(member, 1, -7)
    return key, key .. FIRST
  end
  local key, epoch, counts = string.match(member, '^(.*):(%d+)(:%d+:%d+)$')
  return key, key .. ':' .. epoch + 1 .. counts
end

local function keys_of(members)
  local keys = {}
  for i = 1, #members do keys[i] = key_of(members[i]) end
  return keys
end

-- The job waits again: take its deduplication key. False when a twin waits that does its work;
-- a job that crashed never merges, so that its count of crashes is not forgotten.
local function may_wait(key, member, crashes, job)
  local length = tonumber(string.sub(job, 29, 32), 16)
  if length == 0 then return true end
  if redis.call('HSETNX', dedup, string.sub(job, 33, 32 + length), member) == 1 then return true end
  if tonumber(crashes) > 0 then return true end
  conclude(key, job, 'discarded', 'error', 'merged with a twin that waits')
  redis.call('HDEL', jobs, key)
  return false
end

local function let_go(member, job)
  local twin = string.sub(job, 33, 32 + tonumber(string.sub(job, 29, 32), 16))
  if redis.call('HGET', dedup, twin) == member then redis.call('HDEL', dedup, twin) end
end

local function enqueue(command, key, member, crashes, job)
  local lane = lane_of(job)
  if lane then
    suspects_moved = suspects_moved or tonumber(crashes) >= SUSPECT
    return enter_lane(command, lane, member)
  end
  local list = ready[string.byte(job, 2) - 47]
  if tonumber(crashes) >= SUSPECT then
    list = suspects
    suspects_moved = true
  end
  redis.call(command, list, member)
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
  if lanes_exist then leave_lanes(done) end
end

-- Verdicts that finish a job whose result is kept, and what its state is then.
local KEPT = {done = 'done', unkept = 'done', discard = 'discarded'}

local function settle(verdict, token, value)
  if is_done[token] or redis.call('ZREM', leases, token) == 0 then
    refused[#refused + 1] = token
    return
  end
  if lanes_exist then leave_lanes({token}) end
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
    return enqueue('RPUSH', key, member, crashes, job)
  end
  ready_at(key, job, now + tonumber(value)) -- where in `delayed` the job is to be looked for
  redis.call('ZADD', delayed, now + tonumber(value), member)
end

-- Expired leases: somebody died holding them. The jobs go to the front, for they are the oldest.
local function reap()
  local expired = {}
  for _, token in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', now, 'LIMIT', 0, bound)) do
    if not is_done[token] then expired[#expired + 1] = token end
  end
  if #expired == 0 then return end
  in_slices('ZREM', leases, expired)
  if lanes_exist then leave_lanes(expired) end
  local found = fetch('HMGET', jobs, keys_of(expired))
  for i = #expired, 1, -1 do
    local key, epoch, attempts, crashes = parse(expired[i])
    local job = found[i]
    crashes = crashes + 1
    if job and crashes >= max_crashes then
      bury(key, epoch, attempts, crashes, 'its lease expired ' .. crashes .. ' times', job)
    elseif job then
      local member = key .. ':' .. epoch .. ':' .. attempts .. ':' .. crashes
      may_wait(key, member, crashes, job)
      enqueue('RPUSH', key, member, crashes, job)
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
      enqueue('LPUSH', keys[i], due[i], crashes, job)
    end
  end
end

local function put_back_resumed()
  local members = resumed(bound)
  if void_exist and #members > 0 then members = living(members) end
  local found = fetch('HMGET', jobs, keys_of(members))
  for i = 1, #members do
    local key, _, _, crashes = parse(members[i])
    if found[i] then enqueue('RPUSH', key, members[i], crashes, found[i]) end
  end
end

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

local function deliver(members, divert)
  local keys, next_tokens = {}, {}
  for i = 1, #members do keys[i], next_tokens[i] = next_token(members[i]) end
  local found, count = fetch('HMGET', jobs, keys), #tokens
  for i = 1, #members do
    local job = found[i]
    if job and not (may_pop_in_vain and goes_elsewhere(members[i], job, divert)) then
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
    looked = may_pop_in_vain and looked + #found or bound
  end
end

local function take_members(members)
  if void_exist then members = living(members) end
  deliver(members, lanes_exist)
end

local function take_messages(messages)
  local last = redis.call('INCRBY', serial, #messages)
  local fields = {}
  for i = 1, #messages do
    local key = string.format('%s-%d-%d', origin, now, last - #messages + i)
    local job = string.format('r1%013d%013d0000', now, now) .. messages[i]
    fields[#fields + 1] = key
    fields[#fields + 1] = job
    if not (any_paused and park(key .. ':0:0:0', type_of(job))) then hand_out(key .. ':1:0:0', job) end
  end
  in_slices('HSET', jobs, fields)
end

local function claim(list, count) claim_with(take_members, list, count) end
local function claim_raw(list, count) claim_with(take_messages, list, count) end

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

-- Returns how many jobs it looked at.
local function claim_lane(lane, count)
  local limit = limits_of(lane)
  local most = may_start(lane, limit, count)
  local members = most > 0 and redis.call('RPOP', list_of(lane), most)
  if not members then
    close_lane(lane)
    return 1
  end
  count_waiting(lane, -#members)
  if void_exist then members = living(members) end
  local before = #tokens
  deliver(startable(lane, members), false)
  if #tokens > before then count_started(lane, limit, {unpack(tokens, before + 1)}) end
  watch_suspect(before + 1)
  close_lane(lane)
  return #members
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
  local lanes = lanes_exist and not paused[''] and redis.call('ZRANGE', LANES, 0, passed_count, 'WITHSCORES') or {}
  for i = 1, #lanes, 2 do
    if not passed[lanes[i]] then
      local wait = math.ceil(math.max(0, lanes[i + 1] - exact_now))
      return due < 0 and wait or math.min(due, wait)
    end
  end
  return due
end

-- A worker's first call tells its limits to those who publish, so that they put jobs of a limited
-- lane there at once, and opens lanes that other limits kept away.
local function share_limits()
  local before = redis.call('GET', LIMITS) or ''
  if before == ARGV[10] then return end
  for _, lane in ipairs(redis.call('HKEYS', WAITING)) do
    if lane ~= '' then close_lane(lane) end
  end
  redis.call('DEL', LIMITS)
  if ARGV[10] ~= '' then redis.call('SET', LIMITS, ARGV[10]) end
end

local last = tonumber(redis.call('HGET', answer, 'call') or 0)
if call < last then
  return redis.error_reply('STALE call ' .. call .. ' came after call ' .. last)
elseif call == last then
  recall()
else
  if call == 1 then share_limits() end
  settle_finished()
  for i = 12, #ARGV, 3 do settle(ARGV[i], ARGV[i + 1], ARGV[i + 2]) end
  reap()
  promote()
  if unusual then put_back_resumed() end
  claim_all()
  in_slices('ZREM', leases, done)
  if #ARGV > 11 or #finished > 0 or #tokens > 0 then -- else a repeat does no harm
    redis.call('HSET', answer, 'call', call, 'given', cmsgpack.pack({refused, tokens}))
    redis.call('EXPIRE', answer, answer_ttl)
  end
  redis.call('ZADD', alive, 'XX', now + alive_for, consumer)
end

local due = next_due()
local function suspects_left() return passed_count > 0 or redis.call('EXISTS', suspects) == 1 end
if due == 0 or (suspects_moved and not paused[''] and suspects_left()) then
  if redis.call('LLEN', wake) == 0 then redis.call('LPUSH', wake, '') end
end

local reply = {now, due, unusual and paused_types() or {}, #refused}
local at = 4 + #refused
for i = 1, #refused do reply[4 + i] = refused[i] end
for i = 1, #tokens do
  reply[at + 1], reply[at + 2] = tokens[i], stored[i]
  at = at + 2
end
return reply
