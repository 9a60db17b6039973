-- Requests are over. ARGV: for each its token, ms since its start (-1: never sent), ms to block.
local function block(prefix, host, ms)
  local till = now + ms
  if till > tonumber(call('HGET', prefix, 'blocked', host) or 0) then
    call('HSET', prefix, 'blocked', host, till)
  end
end

for i = 1, #ARGV, 3 do
  local token, since, blocked = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
  local prefix, _, host = parse(token)
  if blocked > 0 then block(prefix, host, blocked) end
  if call('HGET', prefix, 'held', host) == token then
    call('HDEL', prefix, 'held', host)
    if since < 0 then place(prefix, host, now) else after_start(prefix, host, since) end
  elseif call('HEXISTS', prefix, 'held', host) == 0 then
    -- A late report still lengthens a block.
    local allowed = score(prefix, host)
    if allowed or blocked > 0 then place(prefix, host, allowed or now) end
  end
end
