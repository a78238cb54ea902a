-- Applies one call's coalesced writes in one step.
--
-- KEYS  call hash, events stream, active set, ended set, nodes
-- ARGV  call_id, "1" if the pairs are the whole state, "1" if they end the call,
--       start time in ms, seconds to keep an ended call, then field, value, field, value...
--
-- Returns 0, having done nothing, if Redis no longer has the call and the pairs are only a part of
-- it (the caller then sends the whole state); otherwise 1.

local call, events, active, ended_calls = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local call_id, whole, ending = ARGV[1], ARGV[2] == '1', ARGV[3] == '1'
local FIRST_PAIR = 6
local GROWING = {last_user_audio_seq = true, last_agent_audio_seq = true, updated_at = true}
local ENDING = {phase = true, ended_at = true, outcome = true, fault = true}

if not whole and redis.call('EXISTS', call) == 0 then
  return 0
end

local ended = redis.call('HEXISTS', call, 'ended_at') == 1
-- A sweep only presumes: the owner of the call knows better how it ended.
local presumed = ended and redis.call('HGET', call, 'outcome') == 'node_lost'
local sealed = ended and not (ending and presumed)

local writes = {}
for i = FIRST_PAIR, #ARGV, 2 do
  local field, value = ARGV[i], ARGV[i + 1]
  local stale = sealed and ENDING[field]
  if GROWING[field] then
    local stored = tonumber(redis.call('HGET', call, field))
    stale = stored and stored >= tonumber(value)
  end
  if not stale then
    writes[#writes + 1] = field
    writes[#writes + 1] = value
  end
end
if #writes > 0 then
  redis.call('HSET', call, unpack(writes))
end

if ending or ended then
  redis.call('ZREM', active, call_id)
  local ended_at = redis.call('HGET', call, 'ended_at')
  redis.call('ZADD', ended_calls, ended_at, call_id)
  redis.call('ZREMRANGEBYSCORE', ended_calls, '-inf', ended_at - ARGV[5] * 1000)
  for _, key in ipairs({call, events}) do
    if redis.call('TTL', key) == -1 then
      redis.call('EXPIRE', key, ARGV[5])
    end
  end
elseif whole then
  redis.call('ZADD', active, 'NX', ARGV[4], call_id)
  -- Even a node that dies before its next heartbeat is missed then.
  redis.call('ZADD', KEYS[5], 'NX', 0, redis.call('HGET', call, 'node'))
end
return 1
