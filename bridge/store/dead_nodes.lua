-- Finds the nodes that are gone without having left. One node at a time looks.
--
-- A heartbeat that is not there proves nothing yet: after an outage of Redis every node's has run
-- out, and those that live need a moment to write it again. So a node is first noted as missed.
--
-- KEYS  nodes, lock
-- ARGV  prefix of the heartbeats, node that looks, ms until another may look,
--       ms that a node must have been missed
--
-- Returns the names of dead nodes; none if another node looks just now.

local nodes, lock = KEYS[1], KEYS[2]

if not redis.call('SET', lock, ARGV[2], 'NX', 'PX', ARGV[3]) then
  return {}
end
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local known = redis.call('ZRANGE', nodes, 0, -1, 'WITHSCORES')
local dead = {}
for i = 1, #known, 2 do
  local name, missed_ms = known[i], tonumber(known[i + 1])
  local lives = redis.call('EXISTS', ARGV[1] .. name) == 1
  if lives and missed_ms > 0 then
    redis.call('ZADD', nodes, 0, name)
  elseif not lives and missed_ms == 0 then
    redis.call('ZADD', nodes, now_ms, name)
  elseif not lives and now_ms - missed_ms >= tonumber(ARGV[4]) then
    dead[#dead + 1] = name
  end
end
return dead
