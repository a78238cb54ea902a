"""Limits on trying: counted before each try, on all nodes together, in Redis."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from bridge.store.client import RedisStore, Script
from bridge.store.replies import listed

_TRY = Script("""
-- KEYS  for each bucket its counter and its lock
-- ARGV  for each bucket: tries that are free, ms of the first lock, most ms of a lock, ms after
--       which a counter is forgotten
-- Returns ms to wait (0: try), and whether this try has locked a bucket for those that follow.
local wait = 0
for i = 2, #KEYS, 2 do
  wait = math.max(wait, redis.call('PTTL', KEYS[i]))
end
if wait > 0 then return {wait, 0} end
local locked = 0
for i = 1, #KEYS, 2 do
  local at = (i - 1) / 2 * 4
  local count = redis.call('INCR', KEYS[i])
  redis.call('PEXPIRE', KEYS[i], ARGV[at + 4])
  local over = count - ARGV[at + 1]
  if over >= 0 then
    local ms = math.min(ARGV[at + 2] * 2 ^ math.min(over, 30), tonumber(ARGV[at + 3]))
    redis.call('SET', KEYS[i + 1], '1', 'PX', string.format('%d', ms))
    locked = 1
  end
end
return {0, locked}
""")

_FORGIVE = Script("""
for i = 1, #KEYS, 2 do
  if (tonumber(redis.call('GET', KEYS[i])) or 0) > 1 and ARGV[(i + 1) / 2] == '1' then
    redis.call('DECR', KEYS[i])
  else
    redis.call('DEL', KEYS[i])
  end
  redis.call('DEL', KEYS[i + 1])
end
return 1
""")


@dataclass(frozen=True, slots=True)
class Bucket:
    """One thing that tries are counted for.

    Attributes:
        name: what kind of thing.
        of: which one; any text.
        free: so many tries, then a lock that doubles with each further one.
        first_lock_ms: the first lock.
        longest_lock_ms: the longest.
        forget_ms: after so long without a try everything is forgotten.
        shared: others try here, too: a good try takes back itself alone, not what was before.
    """

    name: str
    of: str
    free: int
    first_lock_ms: int
    longest_lock_ms: int
    forget_ms: int
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Try:
    """Whether somebody may try.

    Attributes:
        wait_ms: 0 if he may; else he has to wait so long.
        locks: this was the last try before a lock.
    """

    wait_ms: int
    locks: bool


class LimitStore(RedisStore):
    """Counts tries."""

    async def attempt(self, buckets: Sequence[Bucket]) -> Try:
        """Count a try in every bucket, if none is locked. What comes at once is counted at once."""
        limits = [
            limit
            for each in buckets
            for limit in (each.free, each.first_lock_ms, each.longest_lock_ms, each.forget_ms)
        ]
        wait_ms, locks = listed(await self._link.run(_TRY, self._keys_of(buckets), limits))
        return Try(int(str(wait_ms)), locks == 1)

    async def forgive(self, buckets: Sequence[Bucket]) -> None:
        """Take the try back: it was a good one."""
        shared = [int(each.shared) for each in buckets]
        await self._link.run(_FORGIVE, self._keys_of(buckets), shared)

    def _keys_of(self, buckets: Sequence[Bucket]) -> list[str]:
        # What was typed may be anything, a password in the wrong field, too.
        names = [f"{each.name}:{sha256(each.of.encode()).hexdigest()[:32]}" for each in buckets]
        return [key for name in names for key in self._keys.tries(name)]
