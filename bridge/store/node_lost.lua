-- Ends one active call whose node is gone. Running it twice changes nothing.
--
-- KEYS  call hash, events stream, active set, heartbeat of the call's node, ended set
-- ARGV  call_id, "1" if the caller knows that the node has lost the call, now in ms,
--       seconds to keep an ended call, events to keep, then field, value... for the event
--
-- Returns 1 if the call was ended here, otherwise 0.

local call, events, active, node, ended_calls = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local FIRST_PAIR = 6

if ARGV[2] == '0' and redis.call('EXISTS', node) == 1 then
  return 0
end
redis.call('ZREM', active, ARGV[1])
if redis.call('EXISTS', call) == 0 or redis.call('HEXISTS', call, 'ended_at') == 1 then
  return 0
end
-- The node's last word on the call is the best guess at when it ended.
-- A clock that was set back meanwhile must not let the call end before it began.
local ended_at = redis.call('HGET', call, 'updated_at') or ARGV[3]
local started_at = redis.call('HGET', call, 'started_at')
if started_at and tonumber(ended_at) < tonumber(started_at) then
  ended_at = started_at
end
redis.call('HSET', call, 'phase', 'ended', 'outcome', 'node_lost', 'fault', 'bridge',
           'ended_at', ended_at, 'updated_at', ARGV[3])
-- Whoever watched it hears nothing any more.
redis.call('HDEL', call, 'watchers', 'watched_by', 'watched_since')
redis.call('XADD', events, 'MAXLEN', '~', ARGV[5], '*', 'kind', 'ended',
           'outcome', 'node_lost', 'fault', 'bridge', unpack(ARGV, FIRST_PAIR))
redis.call('ZADD', ended_calls, ended_at, ARGV[1])
redis.call('EXPIRE', call, ARGV[4])
redis.call('EXPIRE', events, ARGV[4])
return 1
