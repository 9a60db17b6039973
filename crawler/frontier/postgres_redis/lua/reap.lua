-- Takes back expired leases, and forgets hosts whose next allowed time has passed unused.
-- ARGV: how many a shard. Returns the members of the expired leases.
local expired, limit = {}, tonumber(ARGV[1])

local function tidy(prefix)
  for _, host in ipairs(call('ZRANGEBYSCORE', prefix, 'idle', '-inf', now, 'LIMIT', 0, limit)) do
    call('ZREM', prefix, 'idle', host)
    call('HDEL', prefix, 'delays', host)
    call('HDEL', prefix, 'blocked', host)
  end
end

for _, prefix in ipairs(KEYS) do
  for _, token in ipairs(call('ZRANGEBYSCORE', prefix, 'leases', '-inf', now, 'LIMIT', 0, limit)) do
    local _, member, host = parse(token)
    call('ZREM', prefix, 'leases', token)
    call('HDEL', prefix, 'entries', member)
    if call('HGET', prefix, 'held', host) == token then
      call('HDEL', prefix, 'held', host)
      after_start(prefix, host, 0)
    end
    expired[#expired + 1] = member
  end
  tidy(prefix)
end
return expired
