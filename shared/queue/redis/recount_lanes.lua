-- What runs in lanes is counted as it comes and goes. Now and then an exchange counts leases instead:
-- a count of what runs no more (a server came back without a lease) would hold its lane for ever.
-- After lane_counts.lua and call.lua.

local RECOUNTED, EVERY = prefix .. 'lanes:recounted', 10000 -- milliseconds

-- Returns lane -> how many of its jobs hold a lease; forgets the tokens that hold none.
local function count_leases()
  local held, tokens, found, gone = redis.call('HGETALL', HELD), {}, {}, {}
  for i = 1, #held, 2 do tokens[#tokens + 1] = held[i] end
  local ends = fetch('ZMSCORE', leases, tokens)
  for i = 1, #tokens do
    local lane = held[2 * i]
    if ends[i] then
      found[lane] = (found[lane] or 0) + 1
    else
      gone[#gone + 1] = tokens[i]
    end
  end
  in_slices('HDEL', HELD, gone)
  return found
end

local function recount_lanes()
  if not redis.call('SET', RECOUNTED, '', 'NX', 'PX', EVERY) then return end
  local found, lanes = count_leases(), redis.call('HKEYS', RUNNING)
  for lane in pairs(found) do lanes[#lanes + 1] = lane end
  read_lanes(lanes)
  for i = 1, #lanes do run(lanes[i], (found[lanes[i]] or 0) - runs_in(lanes[i])) end
  local full = redis.call('ZRANGEBYSCORE', LANES, FULL, FULL)
  read_lanes(full)
  put_lanes(full)
end
