-- Lanes: jobs that share limits wait in a list of their own. The sorted set `lanes` holds those that
-- have jobs by when they may hand out next: never while a lane is at its cap, so nobody looks at its
-- jobs.
--
-- After prelude.lua.

local LANES, RUNNING = prefix .. 'lanes', prefix .. 'lanes:running'
local HELD, RATES, WAITING = prefix .. 'lanes:held', prefix .. 'lanes:rates', prefix .. 'lanes:waiting'
local LIMITS = prefix .. 'lanes:limits' -- as the worker had them that started last

local FULL = 'inf' -- score of a lane at its cap

local written
local limits -- lane or * -> {most running, microseconds between starts, burst}; 0 is no limit

local function limits_of(lane)
  if not limits then
    local shared = redis.call('GET', LIMITS)
    limits = shared and shared ~= '' and cmsgpack.unpack(shared) or {}
  end
  return limits[lane] or limits['*'] or {0, 0, 1}
end

-- The lane that a stored job waits in; nil for a job without, and where the lane has no limits.
local function lane_of(job)
  if string.byte(job) ~= 120 then return nil end -- of kind x
  local start = 33 + tonumber(string.sub(job, 29, 32), 16)
  local lane = string.sub(job, start + 4, start + 3 + tonumber(string.sub(job, start, start + 3), 16))
  local limit = limits_of(lane)
  return lane ~= '' and (limit[1] > 0 or limit[2] > 0) and lane or nil
end

-- The clock as the score of a lane. A whole number: a small sorted set compares scores many times, and
-- is slow with others.
local function micros_text()
  written = written or string.format('%.0f', micros)
  return written
end

local function list_of(lane)
  return prefix .. 'lane:' .. lane
end
