-- Lists what waits and what runs, next to be handed out first. Changes nothing.
--
-- KEYS  inbox, intake, jobs, leases, delayed, suspects, ready:0, ready:1, ready:2, prefix
-- ARGV  state (inbox, ready, delayed, leased), offset, limit
-- Answer: for each job: member (inbox: empty), milliseconds until it is due (ready, inbox: 0), stored
--         job (inbox: message)
-- After prelude.lua, waiting.lua, paused.lua and lanes.lua.

local state, skip, limit = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local jobs = KEYS[3]
local SLICE = 1000
local reply = {}

local function add(member, due, job)
  reply[#reply + 1] = member
  reply[#reply + 1] = due
  reply[#reply + 1] = job
end

local function take_one(member, job)
  if skip > 0 then skip = skip - 1 else add(member, 0, job) end
end

local function fields_of(hash, members)
  local keys = {}
  for i = 1, #members do keys[i] = parse(members[i]) end
  return #keys > 0 and redis.call('HMGET', hash, unpack(keys)) or {}
end

local function list_set(set)
  local part = redis.call('ZRANGE', set, skip, skip + limit - 1, 'WITHSCORES')
  local members = {}
  for i = 1, #part, 2 do members[#members + 1] = part[i] end
  local found = fields_of(jobs, members)
  for i = 1, #members do
    if found[i] then add(members[i], math.max(0, part[2 * i] - now), found[i]) end
  end
end

-- The lists one after the other, each from its right end, less what is skipped; `take` is given a
-- slice of one. While some members are worth nothing, each has to be looked at.
local function walk(lists, take)
  local each = redis.call('EXISTS', VOID) == 1
  for _, list in ipairs(lists) do
    local length = redis.call('LLEN', list)
    local at = each and 0 or math.min(skip, length)
    skip = skip - at
    while at < length and #reply < 3 * limit do
      take(redis.call('LRANGE', list, -at - SLICE, -at - 1))
      at = at + SLICE
    end
  end
end

local function list_inbox()
  walk({KEYS[2], KEYS[1]}, function(part)
    for i = #part, 1, -1 do
      if #reply < 3 * limit then take_one('', part[i]) end
    end
  end)
end

local function list_ready()
  local lists = {unpack(KEYS, 6, 9)}
  read_paused()
  for job_type in pairs(paused) do
    if job_type ~= '' then table.insert(lists, 1, parked_in(job_type)) end
  end
  for _, lane in ipairs(redis.call('ZRANGE', LANES, 0, -1)) do table.insert(lists, #lists - 1, list_of(lane)) end
  walk(lists, function(part)
    local found, voids = fields_of(jobs, part), fields_of(VOID, part)
    for i = #part, 1, -1 do
      local living = found[i] and not is_void(part[i], voids[i])
      if living and #reply < 3 * limit then take_one(part[i], found[i]) end
    end
  end)
end

if state == 'inbox' then list_inbox()
elseif state == 'ready' then list_ready()
elseif state == 'delayed' then list_set(KEYS[5])
else list_set(KEYS[4]) end
return reply
