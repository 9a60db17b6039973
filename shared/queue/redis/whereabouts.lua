-- Finds jobs by key without a scan of what waits. After prelude.lua.

-- A stored job says when it is due: its member has exactly that score.
local function in_delayed(delayed, key, job)
  local at = tonumber(string.sub(job, 16, 28))
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', delayed, at, at)) do
    if (parse(member)) == key then return member, at end
  end
end

-- Calls `found(key, token, lease's end)` for each token; what is in flight is bounded by the workers.
local function each_lease(leases, found)
  local SLICE = 1000
  for from = 0, redis.call('ZCARD', leases) - 1, SLICE do
    local part = redis.call('ZRANGE', leases, from, from + SLICE - 1, 'WITHSCORES')
    for i = 1, #part, 2 do
      found((parse(part[i])), part[i], tonumber(part[i + 1]))
    end
  end
end
