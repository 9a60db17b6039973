-- Members and tokens: `key:epoch:attempts:crashes`. After prelude.lua.

local FRESH, FIRST = ':0:0:0', ':1:0:0' -- ends of most members, and of most tokens
local sub = string.sub

-- Patterns and numbers are slow: what is by far the most common does without.
local function key_of(member)
  local tail = sub(member, -6)
  if tail == FIRST or tail == FRESH then return sub(member, 1, -7) end
  return (parse(member))
end

local function next_token(member)
  if sub(member, -6) == FRESH then
    local key = sub(member, 1, -7)
    return key, key .. FIRST
  end
  local key, epoch, counts = string.match(member, '^(.*):(%d+)(:%d+:%d+)$')
  return key, key .. ':' .. epoch + 1 .. counts
end

local function keys_of(members)
  local keys = {}
  for i = 1, #members do keys[i] = key_of(members[i]) end
  return keys
end
