-- Notes that a schedule exists and when it is due next. One that is new, or is defined in another
-- way than before, counts as fired now, so that nothing of the time before is due.
--
-- KEYS  schedules, schedules:fired, prefix
-- ARGV  name, description, job type, next due
-- Answer: due time of the last firing, seconds since the epoch
-- After prelude.lua.

local schedules, fired = KEYS[1], KEYS[2]
local known = redis.call('HGET', schedules, ARGV[1])
known = known and cmsgpack.unpack(known)
local since = string.format('%.3f', micros / 1000000)
if known and known[1] == ARGV[2] then since = known[4] end

redis.call('HSET', schedules, ARGV[1], cmsgpack.pack({ARGV[2], ARGV[3], ARGV[4], since}))
local last = redis.call('HGET', fired, ARGV[1])
if last and tonumber(last) > tonumber(since) then return last end
return since
