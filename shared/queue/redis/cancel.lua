-- Takes jobs off the queue, waiting or running. A running one loses its lease: its keeper hears of
-- that, and the fence refuses its settlement. A member of a ready list is left to the next claim.
--
-- KEYS  jobs, delayed, leases, dedup, prefix
-- ARGV  job keys
-- Answer: how many there were
-- After prelude.lua, waiting.lua, lane_counts.lua, results.lua and whereabouts.lua.

local jobs, delayed, leases, dedup = unpack(KEYS, 1, 4)
local cancelled, elsewhere = 0, {}

local function uncover(key, job)
  local twin = twin_of(job)
  local member = twin ~= '' and redis.call('HGET', dedup, twin)
  if member and (parse(member)) == key then redis.call('HDEL', dedup, twin) end
end

for _, key in ipairs(ARGV) do
  local job = redis.call('HGET', jobs, key)
  if job then
    redis.call('HDEL', jobs, key)
    uncover(key, job)
    conclude(key, job, 'discarded', 'error', 'cancelled')
    local member = in_delayed(delayed, key, job)
    if member then withdraw(member, delayed) else elsewhere[key] = job end
    cancelled = cancelled + 1
  end
end

if next(elsewhere) then
  renew_generation() -- whatever the epochs of their members and tokens: none may come up again
  local lost = {}
  each_lease(leases, function(key, token)
    if elsewhere[key] then
      elsewhere[key] = nil
      lost[#lost + 1] = token
    end
  end)
  for i = 1, #lost do redis.call('ZREM', leases, lost[i]) end
  if leave_lanes(lost) then wake_one() end
  for key in pairs(elsewhere) do void(key) end
end
write_lanes()
return cancelled
