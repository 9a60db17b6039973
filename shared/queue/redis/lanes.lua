-- Lanes: jobs that share limits wait in a list of their own. The sorted set `lanes` holds those that
-- have jobs and are below their cap, by when they may hand out next; a lane at its cap is not in it,
-- so nobody looks at its jobs.
--
-- After prelude.lua.

local LANES, RUNNING = prefix .. 'lanes', prefix .. 'lanes:running'
local HELD, RATES, WAITING = prefix .. 'lanes:held', prefix .. 'lanes:rates', prefix .. 'lanes:waiting'
local LIMITS = prefix .. 'lanes:limits' -- as the last worker had them, for those who publish

local limits -- lane or * -> {most running, milliseconds between starts, burst}; 0 is no limit

local function limits_of(lane)
  if not limits then
    local shared = redis.call('GET', LIMITS)
    limits = shared and cmsgpack.unpack(shared) or {}
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

local function list_of(lane)
  return prefix .. 'lane:' .. lane
end

local function count_waiting(lane, change)
  local left = redis.call('HINCRBY', WAITING, lane, change)
  if left == 0 then redis.call('HDEL', WAITING, lane) end
  if redis.call('HINCRBY', WAITING, '', change) == 0 then redis.call('DEL', WAITING) end
  return left
end

-- Starts of a lane are evenly spaced (GCRA): `rates` has when its next start would be without burst.
local function next_start(lane, limit)
  if limit[2] == 0 then return exact_now end
  local spaced = tonumber(redis.call('ZSCORE', RATES, lane) or 0)
  return math.max(exact_now, spaced - (limit[3] - 1) * limit[2])
end

local function may_start(lane, limit, wanted)
  local most = wanted
  if limit[1] > 0 then
    most = math.min(most, limit[1] - (redis.call('HGET', RUNNING, lane) or 0))
  end
  if limit[2] > 0 then
    local spaced = math.max(exact_now, tonumber(redis.call('ZSCORE', RATES, lane) or 0))
    most = math.min(most, math.floor((exact_now - spaced) / limit[2] + limit[3] + 1e-6))
  end
  return math.max(0, most)
end

local function count_started(lane, limit, tokens)
  local held = {}
  for i = 1, #tokens do held[2 * i - 1], held[2 * i] = tokens[i], lane end
  redis.call('HSET', HELD, unpack(held))
  redis.call('HINCRBY', RUNNING, lane, #tokens)
  if limit[2] == 0 then return end
  local spaced = math.max(exact_now, tonumber(redis.call('ZSCORE', RATES, lane) or 0))
  redis.call('ZADD', RATES, spaced + #tokens * limit[2], lane)
  local rested = redis.call('ZRANGEBYSCORE', RATES, '-inf', now, 'LIMIT', 0, 10)
  if #rested > 0 then redis.call('ZREM', RATES, unpack(rested)) end
end

-- Puts a lane where claims find it, unless it is there, has no jobs, or is at its cap.
local function open_lane(lane)
  local limit = limits_of(lane)
  local full = limit[1] > 0 and tonumber(redis.call('HGET', RUNNING, lane) or 0) >= limit[1]
  if not full and redis.call('HEXISTS', WAITING, lane) == 1 then
    redis.call('ZADD', LANES, 'NX', next_start(lane, limit), lane)
  end
end

local function enter_lane(command, lane, member)
  redis.call(command, list_of(lane), member)
  count_waiting(lane, 1)
  open_lane(lane)
end

-- The jobs of these tokens run no more: lowers the counts of their lanes. Returns whether one had a
-- lane.
local function leave_lanes(tokens)
  local any = false
  for from = 1, #tokens, 1000 do
    local part = {unpack(tokens, from, math.min(from + 999, #tokens))}
    local lanes = redis.call('HMGET', HELD, unpack(part))
    for i = 1, #part do
      if lanes[i] then
        redis.call('HDEL', HELD, part[i])
        if redis.call('HINCRBY', RUNNING, lanes[i], -1) <= 0 then redis.call('HDEL', RUNNING, lanes[i]) end
        open_lane(lanes[i])
        any = true
      end
    end
  end
  return any
end

-- The lane goes behind the others, or to when it may start again, or away.
local function close_lane(lane)
  redis.call('ZREM', LANES, lane)
  open_lane(lane)
end
