-- Counts what waits where, in constant time.
--
-- KEYS  inbox, intake, delayed, leases, dead, jobs, suspects, ready:0, ready:1, ready:2, prefix
-- Answer: inbox, ready, delayed, leased, dead, milliseconds since the job at the head of any
--         list, or of a lane next in turn, became ready (-1: none is ready)
-- After prelude.lua, waiting.lua, paused.lua and lanes.lua.

local SLICE = 100
local void = tonumber(redis.call('HGET', VOID, '') or 0)
local ready, oldest = (redis.call('GET', WAITING) or 0) - void, -1

-- What is worth nothing at the head of a list goes, so that the head is a job.
local function head_of(list)
  for _ = 1, SLICE do
    local members = void > 0 and redis.call('RPOP', list, SLICE)
    if not members then break end
    local left = living(members)
    void, ready = void - (#members - #left), ready + #members - #left
    for i = #left, 1, -1 do redis.call('RPUSH', list, left[i]) end
    if #left > 0 then return left[1] end
  end
  return redis.call('LINDEX', list, -1)
end

local function look_at(head)
  local job = head and redis.call('HGET', KEYS[6], (parse(head)))
  if job then oldest = math.max(oldest, now - string.sub(job, 16, 28)) end
end

read_paused()
local lists = {unpack(KEYS, 7, 10)}
for job_type in pairs(paused) do
  if job_type ~= '' then lists[#lists + 1] = parked_in(job_type) end
end

for i = 1, #lists do
  look_at(head_of(lists[i]))
  ready = ready + redis.call('LLEN', lists[i])
end
-- What a lane holds back is no reason to add workers: only lanes that may start count here.
for _, lane in ipairs(redis.call('ZRANGEBYSCORE', LANES, '-inf', micros, 'LIMIT', 0, 10)) do
  look_at(redis.call('LINDEX', list_of(lane), -1))
end

return {
  redis.call('LLEN', KEYS[1]) + redis.call('LLEN', KEYS[2]), ready,
  redis.call('ZCARD', KEYS[3]), redis.call('ZCARD', KEYS[4]), redis.call('ZCARD', KEYS[5]), oldest,
}
