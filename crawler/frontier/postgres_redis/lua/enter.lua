-- Begins a new incarnation of every shard that this server's run does not know.
-- ARGV: one fresh id a shard. Returns the incarnation of each shard.
local run, incarnations = server_run(), {}

local function forget(prefix)
  for _, set in ipairs({'ready', 'idle'}) do
    for _, host in ipairs(call('ZRANGE', prefix, set, 0, -1)) do
      call('UNLINK', prefix, 'head:' .. host)
    end
  end
  for _, host in ipairs(call('HKEYS', prefix, 'held')) do
    call('UNLINK', prefix, 'head:' .. host)
  end
  for _, name in ipairs({'ready', 'idle', 'held', 'delays', 'blocked', 'entries', 'leases', 'meta'}) do
    call('UNLINK', prefix, name)
  end
end

for i, prefix in ipairs(KEYS) do
  if not current(prefix, run) then
    forget(prefix)
    call('HSET', prefix, 'meta', 'run', run, 'incarnation', ARGV[i], 'born', now)
  end
  incarnations[i] = call('HGET', prefix, 'meta', 'incarnation')
end
return incarnations
