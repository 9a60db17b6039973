-- Takes waiting jobs off the queue without a search: a member of a ready list stays where it is, and
-- the claim that meets it drops it. The hash `void` has for a job's key `epoch:count`: so many members
-- of this key whose epoch is lower are worth nothing; field '' has the sum of all counts. Jobs that
-- are published afterwards begin at that epoch or above, so no member and no token of theirs was there
-- before. Epochs are written with %.0f: Lua by itself writes 1e+14.

local VOID, GENERATION = prefix .. 'void', prefix .. 'generation'
local EPOCHS = 100000 -- of one generation: far more than a job is handed out

local generation

-- The epoch at which a job that is published now begins.
local function first_epoch()
  generation = generation or redis.call('GET', GENERATION) or '0'
  return generation
end

local function read_void(entry)
  local epoch, count = string.match(entry or '0:0', '^(%d+):(%d+)$')
  return tonumber(epoch), tonumber(count)
end

local function renew_generation()
  generation = string.format('%.0f', redis.call('INCRBY', GENERATION, EPOCHS))
end

-- Jobs that are published from now on begin above this epoch. Nothing to do when they did before.
local function begin_above(epoch)
  if tonumber(epoch) >= tonumber(first_epoch()) then renew_generation() end
end

-- The member of this key lies in some ready list, and is worth nothing any more: its epoch is below
-- that of the generation.
local function void(key)
  local _, count = read_void(redis.call('HGET', VOID, key))
  redis.call('HSET', VOID, key, first_epoch() .. ':' .. count + 1)
  redis.call('HINCRBY', VOID, '', 1)
end

-- Whether a member is worth nothing, by its key's field in the hash.
local function is_void(member, entry)
  local _, epoch = parse(member)
  return entry and tonumber(epoch) < read_void(entry)
end

-- Takes off a waiting member. One that was handed out before had tokens, which must not come up again.
local function withdraw(member, delayed)
  local key, epoch = parse(member)
  local is_listed = redis.call('ZREM', delayed, member) == 0
  if is_listed or epoch % EPOCHS > 0 then begin_above(epoch) end
  if is_listed then void(key) end
end

-- Returns those of the members that a list held which are worth something; the others are forgotten.
local function living(members)
  local keys, epochs, left, gone = {}, {}, {}, {}
  for i = 1, #members do
    keys[i], epochs[i] = parse(members[i])
  end
  local found = redis.call('HMGET', VOID, unpack(keys))
  for i = 1, #members do
    local epoch, count = read_void(found[i])
    if count > (gone[keys[i]] or 0) and tonumber(epochs[i]) < epoch then
      gone[keys[i]] = (gone[keys[i]] or 0) + 1
      if count == gone[keys[i]] then
        redis.call('HDEL', VOID, keys[i])
      else
        redis.call('HSET', VOID, keys[i], string.format('%.0f:%d', epoch, count - gone[keys[i]]))
      end
      if redis.call('HINCRBY', VOID, '', -1) == 0 then redis.call('DEL', VOID) end
    else
      left[#left + 1] = members[i]
    end
  end
  return left
end
