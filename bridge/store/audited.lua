-- Adds an entry to the audit and makes the changes that it tells of: all of it, or nothing.
--
-- KEYS  audit stream, hash that the change is made from
-- ARGV  id of the audit's last entry, which the new one's hash continues ("" for none); field of the
--       hash and what it must hold ("" for a missing one; no field: nothing is asked); words of the
--       entry; commands; then for each part the number of its words and the words
--
-- Returns {1, id of the entry}; {0} where the hash holds something else by now; {-1, id, hash} of the
-- last entry where it is another one.

local audit, guarded = KEYS[1], KEYS[2]
local last, field, expected, commands = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])

if field ~= '' and (redis.call('HGET', guarded, field) or '') ~= expected then
  return {0}
end
local newest = redis.call('XREVRANGE', audit, '+', '-', 'COUNT', 1)
if (newest[1] and newest[1][1] or '') ~= last then
  local fields = newest[1] and newest[1][2] or {}
  for i = 1, #fields, 2 do
    if fields[i] == 'hash' then
      return {-1, newest[1][1], fields[i + 1]}
    end
  end
  return {-1, newest[1] and newest[1][1] or '', ''}
end

local at = 5
local function next_part()
  local words = {}
  for i = at + 1, at + tonumber(ARGV[at]) do
    words[#words + 1] = ARGV[i]
  end
  at = at + #words + 1
  return words
end

local entry = next_part()
for _ = 1, commands do
  redis.call(unpack(next_part()))
end
return {1, redis.call('XADD', audit, '*', unpack(entry))}
