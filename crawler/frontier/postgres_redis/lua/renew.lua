-- Renews leases. ARGV: lease ms, then tokens. Returns the tokens whose lease is lost.
local lost = {}
for i = 2, #ARGV do
  local prefix = parse(ARGV[i])
  if call('ZSCORE', prefix, 'leases', ARGV[i]) then
    call('ZADD', prefix, 'leases', now + tonumber(ARGV[1]), ARGV[i])
  else
    lost[#lost + 1] = ARGV[i]
  end
end
return lost
