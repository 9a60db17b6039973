-- What the scripts that need it begin with. The last key is always the prefix of the queue's names,
-- from which the names of keys that only some jobs use are made: the others pay nothing for them.

local prefix = KEYS[#KEYS]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local micros = time[1] * 1000000 + time[2]

-- Key, epoch, attempts and crashes of a member, or of a token.
local function parse(member)
  return string.match(member, '^(.*):(%d+):(%d+):(%d+)$')
end

-- The deduplication key of a stored job; empty when it has none.
local function twin_of(job)
  return string.sub(job, 33, 32 + tonumber(string.sub(job, 29, 32), 16))
end

-- Leaves a token for whoever waits: there may be work.
local function wake_one()
  local wake = prefix .. 'wake'
  if redis.call('LLEN', wake) == 0 then redis.call('LPUSH', wake, '') end
end
