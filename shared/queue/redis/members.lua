-- Members and tokens: `key:epoch:attempts:crashes`. After prelude.lua and waiting.lua.

-- The ends of most members, and of most tokens; of one length, since EPOCHS is a multiple of ten.
local FRESH = ':' .. first_epoch() .. ':0:0'
local FIRST = string.format(':%.0f:0:0', first_epoch() + 1)
local sub = string.sub

-- Patterns and numbers are slow: what is by far the most common does without.
local function key_of(member)
  local tail = sub(member, -#FRESH)
  if tail == FIRST or tail == FRESH then return sub(member, 1, -#FRESH - 1) end
  return (parse(member))
end

local function next_token(member)
  if sub(member, -#FRESH) == FRESH then
    local key = sub(member, 1, -#FRESH - 1)
    return key, key .. FIRST
  end
  local key, epoch, counts = string.match(member, '^(.*):(%d+)(:%d+:%d+)$')
  return key, key .. string.format(':%.0f', epoch + 1) .. counts
end

local function keys_of(members)
  local keys = {}
  for i = 1, #members do keys[i] = key_of(members[i]) end
  return keys
end
