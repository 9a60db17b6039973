-- Settles deliveries, then grants up to `want` requests: one a host, none before its time.
-- ARGV: consumer, call, want, lease ms, first shard, then pairs of verb (done | back) and token.
-- Returns the time in ms and the packed answer: refused tokens, grants (token, entry, ms of the
-- grant), ms of the next grant that is known to come, stale shards.
local consumer, number, want = ARGV[1], ARGV[2], tonumber(ARGV[3])
local lease, first = tonumber(ARGV[4]), tonumber(ARGV[5])
local remembered = KEYS[1] .. ':answer:' .. consumer

local last = redis.call('HMGET', remembered, 'call', 'answer')
if last[1] == number then return {now, last[2]} end

local refused, grants, stale, next_due = {}, {}, 0, 0

local function settle(verb, token)
  local prefix, member, host = parse(token)
  if call('ZREM', prefix, 'leases', token) == 0 then
    refused[#refused + 1] = token
    return
  end
  if verb == 'back' then
    call('LPUSH', prefix, 'head:' .. host, member)
  else
    call('HDEL', prefix, 'entries', member)
  end
  if call('HGET', prefix, 'held', host) == token then
    call('HDEL', prefix, 'held', host)
    after_start(prefix, host, 0)
  elseif call('HEXISTS', prefix, 'held', host) == 0 then
    place(prefix, host, score(prefix, host) or now)
  end
end

local function grant(prefix, shard, host)
  call('ZREM', prefix, 'ready', host)
  local member = call('LPOP', prefix, 'head:' .. host)
  local entry = call('HGET', prefix, 'entries', member)
  local serial = call('HINCRBY', prefix, 'meta', 'serial', 1)
  local token = shard .. ':' .. serial .. ':' .. member .. ':' .. host
  call('HSET', prefix, 'held', host, token)
  call('ZADD', prefix, 'leases', now + lease, token)
  grants[#grants + 1] = {token, entry}
end

for i = 6, #ARGV, 2 do settle(ARGV[i], ARGV[i + 1]) end

local run = server_run()
for i = 0, #KEYS - 1 do
  local shard = (first + i) % #KEYS
  local prefix = KEYS[shard + 1]
  if not current(prefix, run) then
    stale = stale + 1
  else
    if want > #grants then
      local hosts = call('ZRANGEBYSCORE', prefix, 'ready', '-inf', now, 'LIMIT', 0, want - #grants)
      for _, host in ipairs(hosts) do grant(prefix, shard, host) end
    end
    local soonest = call('ZRANGE', prefix, 'ready', 0, 0, 'WITHSCORES')[2]
    if soonest and (next_due == 0 or tonumber(soonest) < next_due) then
      next_due = tonumber(soonest)
    end
  end
end

local answer = cmsgpack.pack({refused, grants, now, next_due, stale})
redis.call('HSET', remembered, 'call', number, 'answer', answer)
redis.call('PEXPIRE', remembered, 2 * lease)
return {now, answer}
