-- What a call of the exchange brings, and what is known at its beginning.
--
-- KEYS  as named here, prefix
-- ARGV  consumer, call, want, lease ms, max crashes, bound, origin, answer ttl s, alive ms,
--       limits of lanes as a MessagePack map (empty: none), last call whose answer the caller has,
--       finished tokens as one MessagePack array, then for each other settlement: verdict (see
--       settle.lua), token, value
-- After prelude.lua, waiting.lua, members.lua, paused.lua, lane_counts.lua and results.lua.

local inbox, intake, jobs, leases, delayed = unpack(KEYS, 1, 5)
local ready = {KEYS[6], KEYS[7], KEYS[8]}
local suspects, dedup, dead, records, alive, serial, answer = unpack(KEYS, 9, 15)
local consumer, call, want = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local lease, max_crashes, bound = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local origin, answer_ttl, alive_for = ARGV[7], ARGV[8], tonumber(ARGV[9])
local heard, finished = tonumber(ARGV[11]), cmsgpack.unpack(ARGV[12])
local SUSPECT = 2 -- expired leases that make a job one

local refused, tokens, stored = {}, {}, {}
local done, is_done = {}, {} -- finished tokens that were held: as a list, and as a set
local suspects_moved = false
-- What few queues use costs the others this one look.
local unusual = ARGV[10] ~= '' or redis.call('EXISTS', VOID, PAUSED, HELD, WAITING, LIMITS) > 0
local void_exist = unusual and redis.call('EXISTS', VOID) == 1
if unusual then read_paused() end
local any_paused = next(paused) ~= nil
