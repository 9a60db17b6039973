-- What is kept of a job for whoever published it: the hash `result:KEY`, and the stream
-- `concluded:KEY`, which has an entry once the outcome is final, so that many may wait for it.
--
-- After prelude.lua.

-- Milliseconds that a stored job says its result is kept; 0 for nearly all.
local function keep_of(job)
  if string.byte(job) ~= 120 then return 0 end -- of kind x
  local start = 33 + tonumber(string.sub(job, 29, 32), 16)
  local stop = start + 4 + tonumber(string.sub(job, start, start + 3), 16)
  return tonumber(string.sub(job, stop, stop + 12))
end

local function forget_result(key, job)
  if keep_of(job) > 0 then
    redis.call('DEL', prefix .. 'result:' .. key, prefix .. 'concluded:' .. key)
  end
end

local function conclude(key, job, state, field, value)
  local keep = keep_of(job)
  if keep == 0 then return end
  local result, concluded = prefix .. 'result:' .. key, prefix .. 'concluded:' .. key
  redis.call('HSET', result, 'state', state, field, value)
  redis.call('XADD', concluded, '*', 'state', state)
  redis.call('PEXPIRE', result, keep)
  redis.call('PEXPIRE', concluded, keep)
end
