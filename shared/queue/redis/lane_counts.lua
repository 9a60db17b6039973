-- What runs in lanes. A script reads the counts of all lanes it has to do with in a few commands,
-- counts here, and writes them in a few more: `write_lanes` is the last that it does.
--
-- After slices.lua and lanes.lua.

local running = {} -- lane -> how many jobs, of the lanes that were read
local more_run = {} -- lane -> how many more since
local more_wait = 0 -- in all lanes together
local spaced = {} -- lane -> when its next start would be without burst (GCRA), if it has a rate
local started = {} -- lanes with a rate that started jobs
local entered, left = {}, {} -- lanes that claims may have to find

local function read_lanes(lanes)
  local unknown, rated = {}, {}
  for i = 1, #lanes do
    local lane = lanes[i]
    if not running[lane] then
      unknown[#unknown + 1] = lane
      if limits_of(lane)[2] > 0 then rated[#rated + 1] = lane end
    end
  end
  local found = fetch('HMGET', RUNNING, unknown)
  for i = 1, #unknown do running[unknown[i]] = tonumber(found[i] or 0) end
  found = fetch('ZMSCORE', RATES, rated)
  for i = 1, #rated do spaced[rated[i]] = math.max(micros, tonumber(found[i] or 0)) end
end

local function run(lane, change)
  more_run[lane] = (more_run[lane] or 0) + change
end

local function runs_in(lane)
  return running[lane] + (more_run[lane] or 0)
end

-- How many jobs of a lane may start now.
local function room_in(lane, wanted)
  local limit, most = limits_of(lane), wanted
  if limit[1] > 0 then most = math.min(most, limit[1] - runs_in(lane)) end
  if limit[2] > 0 then
    most = math.min(most, math.floor((micros - spaced[lane]) / limit[2] + limit[3] + 1e-6))
  end
  return math.max(0, most)
end

-- When a lane that has jobs may hand out next.
local function due_of(lane)
  local limit = limits_of(lane)
  if limit[1] > 0 and runs_in(lane) >= limit[1] then return FULL end
  local due = limit[2] > 0 and spaced[lane] - (limit[3] - 1) * limit[2] or micros
  return due > micros and string.format('%.0f', math.ceil(due)) or micros_text()
end

-- Puts lanes that have jobs behind the others, or at when they may start again.
local function put_lanes(lanes, option)
  local due = {}
  for i = 1, #lanes do
    due[2 * i - 1], due[2 * i] = due_of(lanes[i]), lanes[i]
  end
  in_slices('ZADD', LANES, due, option)
end

local function was_full(lane)
  local most = limits_of(lane)[1]
  return most > 0 and running[lane] >= most
end

local function names_of(set)
  local names = {}
  for name in pairs(set) do names[#names + 1] = name end
  return names
end

-- Puts lanes where claims find them that were entered, or were full and were left.
local function open_lanes()
  if not (next(entered) or next(left)) then return end
  local new, free, opened = names_of(entered), names_of(left), {}
  read_lanes(new)
  read_lanes(free)
  for i = 1, #free do
    if was_full(free[i]) then opened[#opened + 1] = free[i] end
  end
  put_lanes(new, 'NX')
  put_lanes(opened, 'XX') -- one without jobs is not there
  entered, left = {}, {}
end

local function enter_lane(command, lane, member)
  redis.call(command, list_of(lane), member)
  more_wait, entered[lane] = more_wait + 1, true
end

-- The jobs of these tokens run no more. Returns whether one had a lane.
local function leave_lanes(tokens)
  local lanes, gone = fetch('HMGET', HELD, tokens), {}
  for i = 1, #tokens do
    local lane = lanes[i]
    if lane then
      gone[#gone + 1], left[lane] = tokens[i], true
      run(lane, -1)
    end
  end
  in_slices('HDEL', HELD, gone)
  return #gone > 0
end

local function write_running()
  local fields, gone = {}, {}
  for lane, change in pairs(more_run) do
    local count = running[lane] + change
    if count <= 0 then
      gone[#gone + 1] = lane
    elseif change ~= 0 then
      fields[#fields + 1], fields[#fields + 2] = lane, count
    end
  end
  in_slices('HSET', RUNNING, fields)
  in_slices('HDEL', RUNNING, gone)
end

local function write_rates()
  local fields = {}
  for lane in pairs(started) do
    fields[#fields + 1], fields[#fields + 2] = string.format('%.0f', spaced[lane]), lane
  end
  if #fields == 0 then return end
  in_slices('ZADD', RATES, fields)
  local rested = redis.call('ZRANGEBYSCORE', RATES, '-inf', micros_text(), 'LIMIT', 0, 10 + #fields)
  in_slices('ZREM', RATES, rested)
end

local function write_lanes()
  open_lanes()
  write_running()
  write_rates()
  if more_wait ~= 0 and redis.call('INCRBY', WAITING, more_wait) <= 0 then redis.call('DEL', WAITING) end
end
