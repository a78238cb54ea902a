-- Writes down how many calls a node has on each arm, and returns what the others have said lately.
--
-- KEYS: the hash of all nodes
-- ARGV: the node; its counts, as JSON; ms after which a node that says nothing is forgotten
--
-- Redis's own clock: those of nodes differ.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[1], ARGV[1], string.format('%d %s', now, ARGV[2]))
local others = {}
local said = redis.call('HGETALL', KEYS[1])
for i = 1, #said, 2 do
  local at, counts = string.match(said[i + 1], '^(%d+) (.*)$')
  if not at or now - tonumber(at) > tonumber(ARGV[3]) then
    redis.call('HDEL', KEYS[1], said[i])
  elseif said[i] ~= ARGV[1] then
    others[#others + 1] = counts
  end
end
return others
