-- Finds one job by its key, unless it is dead.
--
-- KEYS  jobs, delayed, leases, prefix
-- ARGV  job key
-- Answer: nil, or: state, member (ready: empty), milliseconds until it is due, stored job
-- After prelude.lua and whereabouts.lua.

local jobs, delayed, leases = unpack(KEYS, 1, 3)
local key = ARGV[1]
local job = redis.call('HGET', jobs, key)
if not job then return nil end

local member, at = in_delayed(delayed, key, job)
if member then return {'delayed', member, math.max(0, at - now), job} end

local held
each_lease(leases, function(other, token, ends)
  if other == key then held = {'leased', token, math.max(0, ends - now), job} end
end)
return held or {'ready', '', 0, job}
