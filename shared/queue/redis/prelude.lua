-- What the scripts that need it begin with. The last key is always the prefix of the queue's names,
-- from which the names of keys that only some jobs use are made: the others pay nothing for them.

local prefix = KEYS[#KEYS]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local exact_now = time[1] * 1000 + time[2] / 1000
