-- Counts what waits where, in constant time.
--
-- KEYS  inbox, intake, delayed, leases, dead, jobs, suspects, ready:0, ready:1, ready:2
-- Answer: inbox, ready, delayed, leased, dead, milliseconds since the job at the head of any
--         ready list became ready (-1: none is ready)

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ready, oldest = 0, -1

for i = 7, 10 do
  ready = ready + redis.call('LLEN', KEYS[i])
  local head = redis.call('LINDEX', KEYS[i], -1)
  local job = head and redis.call('HGET', KEYS[6], string.match(head, '^(.*):%d+:%d+:%d+$'))
  if job then oldest = math.max(oldest, now - string.sub(job, 16, 28)) end
end

return {
  redis.call('LLEN', KEYS[1]) + redis.call('LLEN', KEYS[2]), ready,
  redis.call('ZCARD', KEYS[3]), redis.call('ZCARD', KEYS[4]), redis.call('ZCARD', KEYS[5]), oldest,
}
