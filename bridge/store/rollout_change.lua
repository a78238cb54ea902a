-- Puts a rollout's next state in force, if nobody was faster.
--
-- KEYS  rollout hash, history stream, audit stream
-- ARGV  version that the change was made from, version that it makes, entries of history that are
--       kept, id of the audit's last entry that the new one's hash continues ("" for none), then
--       the number of words of the hash's fields, of the history's and of the audit's, and all those
--       words
--
-- Returns 1; 0 where another version is in force by now; -1 where the audit has another last entry.

local rollout, history, audit = KEYS[1], KEYS[2], KEYS[3]
local expected, version, kept, last = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local FIRST_WORD = 8

if (redis.call('HGET', rollout, 'version') or '0') ~= expected then
  return 0
end
local newest = redis.call('XREVRANGE', audit, '+', '-', 'COUNT', 1)
if (newest[1] and newest[1][1] or '') ~= last then
  return -1
end

local function words(part)
  local first = FIRST_WORD
  for i = 1, part - 1 do
    first = first + tonumber(ARGV[4 + i])
  end
  local found = {}
  for i = first, first + tonumber(ARGV[4 + part]) - 1 do
    found[#found + 1] = ARGV[i]
  end
  return found
end

redis.call('HSET', rollout, unpack(words(1)))
redis.call('XADD', history, 'MAXLEN', '~', kept, '*', unpack(words(2)))
redis.call('XADD', audit, '*', unpack(words(3)))
return 1
