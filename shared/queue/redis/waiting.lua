-- Takes waiting jobs off the queue without a search: a member of a ready list stays where it is,
-- and the hash `void` counts how many of its like are worth nothing; field '' has their sum.

local VOID = prefix .. 'void'

local function withdraw(member, delayed)
  if redis.call('ZREM', delayed, member) == 1 then return end
  redis.call('HINCRBY', VOID, member, 1)
  redis.call('HINCRBY', VOID, '', 1)
end

-- Returns those of the members that a ready list held which are worth something.
local function living(members)
  local counts = redis.call('HMGET', VOID, unpack(members))
  local void, left = {}, {}
  for i = 1, #members do
    local member = members[i]
    void[member] = void[member] or tonumber(counts[i] or 0)
    if void[member] > 0 then
      void[member] = void[member] - 1
      if redis.call('HINCRBY', VOID, member, -1) == 0 then redis.call('HDEL', VOID, member) end
      if redis.call('HINCRBY', VOID, '', -1) == 0 then redis.call('DEL', VOID) end
    else
      left[#left + 1] = member
    end
  end
  return left
end
