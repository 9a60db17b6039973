-- Commands with longer lists than Lua can unpack, and none for a list that is empty.

local SLICE = 1000

local function in_slices(command, key, list, option)
  for from = 1, #list, SLICE do
    local to = math.min(from + SLICE - 1, #list)
    if option then
      redis.call(command, key, option, unpack(list, from, to))
    else
      redis.call(command, key, unpack(list, from, to))
    end
  end
end

local function fetch(command, key, list)
  if #list == 0 then return {} end
  if #list <= SLICE then return redis.call(command, key, unpack(list)) end
  local found = {}
  for from = 1, #list, SLICE do
    local part = redis.call(command, key, unpack(list, from, math.min(from + SLICE - 1, #list)))
    for i = 1, #part do found[from + i - 1] = part[i] end
  end
  return found
end
