-- Holds back what is paused. The hash `paused` has a field for each paused job type, and the field ''
-- when the queue is. Its jobs are parked in `paused:TYPE` when a claim meets them; after a resume the
-- value is `resumed` while exchanges put them back, in slices.

local PAUSED = prefix .. 'paused'
local paused = {}

local function read_paused()
  local fields = redis.call('HGETALL', PAUSED)
  for i = 1, #fields, 2 do paused[fields[i]] = fields[i + 1] end
end

local function parked_in(job_type)
  return PAUSED .. ':' .. job_type
end

-- What other programs pushed is only read here while something is paused.
local function type_of_message(message)
  local readable, value = pcall(cjson.decode, message)
  if not readable or type(value) ~= 'table' then return nil end
  for name, field in pairs(value) do
    if type(name) == 'string' and string.lower(name) == 'type' then return field end
  end
end

-- The body is a MessagePack array that begins with the type; the payload behind it is not unpacked.
local function type_of(job)
  local kind, at = string.sub(job, 1, 1), 33 + tonumber(string.sub(job, 29, 32), 16)
  if kind == 'r' then return type_of_message(string.sub(job, at)) end
  if kind == 'x' then at = at + 17 + tonumber(string.sub(job, at, at + 3), 16) end
  local code, one, two = string.byte(job, at + 1, at + 3)
  if code < 0xc0 then return string.sub(job, at + 2, at + 1 + code - 0xa0) end
  if code == 0xd9 then return string.sub(job, at + 3, at + 2 + one) end
  if code == 0xda then return string.sub(job, at + 4, at + 3 + 256 * one + two) end
end

-- Puts a waiting member aside, newest on the left, if its type is paused; returns whether it is.
local function park(member, job_type)
  if type(job_type) ~= 'string' or paused[job_type] ~= 'paused' then return false end
  redis.call('LPUSH', parked_in(job_type), member)
  return true
end

-- Returns a slice of what is to be put back in front of the ready lists, of each type the newest first.
local function resumed(most)
  local members = {}
  for job_type, state in pairs(paused) do
    local wanted = most - #members
    if state == 'resumed' and wanted > 0 then
      local found = redis.call('LPOP', parked_in(job_type), wanted) or {}
      for i = 1, #found do members[#members + 1] = found[i] end
      if #found < wanted then
        redis.call('HDEL', PAUSED, job_type)
        paused[job_type] = nil
      end
    end
  end
  return members
end

local function any_resumed()
  for _, state in pairs(paused) do
    if state == 'resumed' then return true end
  end
  return false
end

local function paused_types()
  local names = {}
  for name, state in pairs(paused) do
    if state == 'paused' then names[#names + 1] = name end
  end
  return names
end
