-- Put before every script. KEYS: the prefixes of all shards, in order.
--
-- Keys of a shard:
--   :meta        hash    run (the server's), incarnation, born (ms), serial
--   :ready       zset    hosts with URLs in their head, not being asked; score = next allowed ms
--   :idle        zset    hosts with an empty head, not being asked; score = next allowed ms
--   :held        hash    host -> token of the one grant that is out
--   :delays      hash    host -> ms between the starts of two requests
--   :blocked     hash    host -> ms until which it is not to be asked at all
--   :head:HOST   list    members KEY:EPOCH, in the order in which they are handed out
--   :entries     hash    member -> target, for members in a head or leased
--   :leases      zset    tokens SHARD:SERIAL:KEY:EPOCH:HOST; score = ms of expiry
--   :answer:C    string  the last answer to consumer C

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function call(command, prefix, name, ...)
  return redis.call(command, prefix .. ':' .. name, ...)
end

-- A restart, even with its append-only file, may have forgotten the last grants; so may a failover.
local function current(prefix, run)
  return call('HGET', prefix, 'meta', 'run') == run
end

local function server_run()
  return string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
end

-- Lets a host wait for its next allowed time; a block that is longer wins.
local function place(prefix, host, next_allowed)
  local blocked = tonumber(call('HGET', prefix, 'blocked', host) or 0)
  if blocked > next_allowed then next_allowed = blocked end
  local waiting = call('EXISTS', prefix, 'head:' .. host) == 1
  call('ZREM', prefix, waiting and 'idle' or 'ready', host)
  call('ZADD', prefix, waiting and 'ready' or 'idle', next_allowed, host)
end

-- The reading of `now` is cut to whole ms: one more keeps a computed start from being early.
local function after_start(prefix, host, since_ms)
  local delay = tonumber(call('HGET', prefix, 'delays', host) or 0)
  place(prefix, host, now + 1 - since_ms + delay)
end

local function parse(token)
  local shard, serial, member, host = string.match(token, '^(%d+):(%d+):(%x+:%d+):(.*)$')
  return KEYS[tonumber(shard) + 1], member, host
end

local function score(prefix, host)
  return tonumber(call('ZSCORE', prefix, 'ready', host) or call('ZSCORE', prefix, 'idle', host))
end
