-- Makes dead letters ready again, with fresh counts. The epoch goes on rising, so that a token
-- of the earlier life stays worthless.
--
-- KEYS  jobs, dead, dead:records, dedup, ready:0, ready:1, ready:2, prefix
-- ARGV  job keys
-- Answer: how many there were
-- After prelude.lua, waiting.lua, lane_counts.lua and results.lua.

local jobs, dead, records, dedup = unpack(KEYS, 1, 4)
local replayed = 0

for _, key in ipairs(ARGV) do
  local record = redis.call('HGET', records, key)
  if record then
    local epoch, length, rest = string.match(record, '^%d+:(%d+):%d+:%d+:(%d+):(.*)$')
    local job = string.sub(rest, length + 1)
    local fresh = string.sub(job, 1, 2) .. string.format('%013d%013d', now, now) .. string.sub(job, 29)
    if redis.call('HSETNX', jobs, key, fresh) == 1 then
      if tonumber(epoch) < tonumber(first_epoch()) then epoch = first_epoch() end
      local member = key .. ':' .. epoch .. ':0:0'
      local twin = twin_of(job)
      if twin ~= '' then redis.call('HSETNX', dedup, twin, member) end
      forget_result(key, fresh)
      local lane = lane_of(fresh)
      if lane then
        enter_lane('LPUSH', lane, member)
      else
        redis.call('LPUSH', KEYS[5 + string.sub(job, 2, 2)], member)
      end
    end
    redis.call('HDEL', records, key)
    redis.call('ZREM', dead, key)
    replayed = replayed + 1
  end
end

write_lanes()
if replayed > 0 then wake_one() end
return replayed
