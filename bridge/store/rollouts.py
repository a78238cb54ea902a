"""Rollouts in Redis: their states, their histories, and the calls that decide them.

    bridge:rollout:{flag}            hash: the state, each field as JSON; one version, one change
    bridge:rollout:{flag}:history    stream of changes: author, reason, evidence
    bridge:rollout:{flag}:calls      stream of ended calls, capped
    bridge:rollout:{flag}:verdict    what the leading node holds of the new arm now
    bridge:rollouts:active           hash: node to its calls of each arm, and when it said so
    bridge:rollouts:leader           the node that decides, a lock that runs out
    bridge:audit                     every change, chained by hashes

A change is one script: it is made from a version, and refused where another is in force by then.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files

from bridge.config.settings import RedisSettings
from bridge.errors import ConfigError, InfrastructureError
from bridge.routing.rollout.changes import Change
from bridge.routing.rollout.observed import CallEntry
from bridge.routing.rollout.state import RolloutState
from bridge.store.audit_log import AuditLog, Guard
from bridge.store.client import Command, CommandRefused, RedisLink, RedisStore
from bridge.store.keys import Keys
from bridge.store.replies import Entry, entries, listed, pairs, texts, words_of

CALLS_KEPT = 20_000
"""Of a flag; a step that takes more calls than that is judged by the latest ones."""

HISTORY_KEPT = 10_000
LEAD_MS = 3_000
"""A leader that says nothing for so long is none."""

ACTIVE_MS = 5_000
"""Calls of a node that says nothing for so long are not counted: it is dead, and so are they."""

_ATTEMPTS = 20
_PAGE = 200
_KEYS_A_SCAN = 1_000
_ACTIVE = files("bridge.store").joinpath("rollout_active.lua").read_text("utf-8")
_COUNT = """
local call, log, kept = KEYS[1], KEYS[2], ARGV[1]
if redis.call('EXISTS', call) == 1 and redis.call('HSETNX', call, 'rollout_counted', 1) == 0 then
  return 0
end
redis.call('XADD', log, 'MAXLEN', '~', kept, '*', unpack(ARGV, 2))
return 1
"""
"""Adds a call to a log once: neither an answer that was lost on its way, nor a node that was taken
for dead and ends the call itself after all, counts it again."""

_LEAD = """
local leader = redis.call('GET', KEYS[1])
if leader and leader ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
_RESIGN = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end return 1"


LoggedCalls = Mapping[str, Sequence[str]]
"""Keys of logs, to ids of their entries."""


@dataclass(frozen=True, slots=True)
class Signature:
    """Who changes something, and why.

    Attributes:
        evidence: what a verdict was made from, for the history.
        roles, address: of a person at a console: what they were, and where.
    """

    author: str
    reason: str = ""
    evidence: Mapping[str, object] | None = None
    roles: Sequence[str] = ()
    address: str = ""


class RolloutStore(RedisStore):
    """Reads and changes rollouts.

    Args:
        link: to Redis; closed by whoever made it.
        settings: the prefix of the keys.
        audit: where changes are put down; None makes one.
    """

    def __init__(
        self, link: RedisLink, settings: RedisSettings, audit: AuditLog | None = None
    ) -> None:
        super().__init__(link, Keys(settings.prefix))
        self._audit = audit or AuditLog(link, self._keys)

    async def read(self, flags: Sequence[str]) -> dict[str, RolloutState]:
        """Return what is in force; flags that nobody ever changed are missing.

        Raises:
            ConfigError: somebody else wrote there.
        """
        replies = await self._link.ask_all([["HGETALL", self._keys.rollout(f)] for f in flags])
        found = {}
        for flag, reply in zip(flags, replies, strict=True):
            if isinstance(reply, CommandRefused):
                raise ConfigError(f"{self._keys.rollout(flag)} in Redis is no hash ({reply.code})")
            if fields := pairs(reply):
                found[flag] = RolloutState.from_fields(fields)
        return found

    async def change(
        self, flag: str, change: Change, signature: Signature, now_ms: int
    ) -> tuple[RolloutState, RolloutState] | None:
        """Change what is in force, made from whatever that is by then.

        Returns:
            (before, after); None where ``change`` found nothing to change.

        Raises:
            ConfigError: the change can't be made.
        """
        for _ in range(_ATTEMPTS):
            before = (await self.read([flag])).get(flag, RolloutState())
            wanted = change(before)
            if wanted is None:
                return None
            after = replace(
                wanted,
                version=before.version + 1,
                author=signature.author,
                reason=signature.reason or wanted.reason,
                at_ms=now_ms,
            )
            if await self._put(flag, before, after, signature):
                return before, after
        raise InfrastructureError(f"flag '{flag}' is changed by others all the time")

    async def restore(self, flag: str, state: RolloutState, found: RolloutState) -> bool:
        """Give Redis a state back that it had and lost; False where somebody was faster.

        Args:
            found: what it has in its place, an older version.
        """
        restored = Signature(state.author, evidence={"restored": True})
        return await self._put(flag, found, state, restored)

    async def history(self, flag: str, most: int) -> list[Entry]:
        """Return the latest changes, (id, fields), the newest first."""
        latest = ("XREVRANGE", self._keys.rollout_history(flag), "+", "-", "COUNT", most)
        return entries(await self._link.ask(latest))

    async def report(self, flag: str, ended: Sequence[CallEntry]) -> None:
        """Add ended calls to the log, each once."""
        log = self._keys.rollout_calls(flag)
        commands: list[Command] = [
            (
                *("EVAL", _COUNT, 2, self._keys.call(entry.call_id), log, CALLS_KEPT),
                *words_of(entry.to_fields()),
            )
            for entry in ended
        ]
        await self._link.ask_all(commands)

    async def calls(self, flag: str, after: str) -> list[tuple[str, CallEntry]]:
        """Return the next calls of the log, at most 200.

        Args:
            after: id of the last one seen, or its time in ms since the Unix epoch.
        """
        page = _page_of(self._keys.rollout_calls(flag), f"({after}")
        return _calls_of(entries(await self._link.ask(page)))

    async def logged(self, is_meant: Callable[[CallEntry], bool]) -> LoggedCalls:
        """Find calls in the logs of all flags, also of such as the settings have no more."""
        found: dict[str, list[str]] = {}
        for key in await self._keys_like(self._keys.rollout_calls("*")):
            after = "-"
            while page := entries(await self._link.ask(_page_of(key, after))):
                found.setdefault(key, []).extend(
                    entry_id for entry_id, entry in _calls_of(page) if is_meant(entry)
                )
                after = f"({page[-1][0]}"
        return {key: ids for key, ids in found.items() if ids}

    async def erase_logged(self, found: LoggedCalls) -> None:
        """Erase such calls from the logs; what was decided by them stays decided."""
        for key, ids in found.items():
            for first in range(0, len(ids), _PAGE):
                await self._link.ask(("XDEL", key, *ids[first : first + _PAGE]))

    async def put_verdict(self, flag: str, verdict: Mapping[str, object]) -> None:
        """Write the present verdict on the new arm."""
        key = self._keys.rollout_verdict(flag)
        await self._link.ask(("SET", key, json.dumps(verdict, ensure_ascii=False)))

    async def verdict(self, flag: str) -> dict[str, object] | None:
        """Return what is held of the new arm; None where nobody has looked yet."""
        reply = await self._link.ask(("GET", self._keys.rollout_verdict(flag)))
        found = json.loads(reply) if isinstance(reply, str) else None
        return found if isinstance(found, dict) else None

    async def lead(self, node: str) -> bool:
        """Become the node that decides, or stay it; False where another is."""
        reply = await self._link.ask(("EVAL", _LEAD, 1, self._keys.rollouts_leader, node, LEAD_MS))
        return reply == 1

    async def resign(self, node: str) -> None:
        """Let another node decide from now on."""
        await self._link.ask(("EVAL", _RESIGN, 1, self._keys.rollouts_leader, node))

    async def leader(self) -> str | None:
        """Return the node that decides."""
        reply = await self._link.ask(("GET", self._keys.rollouts_leader))
        return reply if isinstance(reply, str) else None

    async def share_active(self, node: str, calls: Mapping[str, int]) -> Counter[str]:
        """Publish a node's calls on each arm; return the calls of all other nodes."""
        counts = json.dumps(dict(calls))
        reply = await self._link.ask(
            ("EVAL", _ACTIVE, 1, self._keys.rollouts_active, node, counts, ACTIVE_MS)
        )
        others: Counter[str] = Counter()
        for text in texts(reply):
            try:
                counts = json.loads(text)
                others.update({str(arm): int(count) for arm, count in counts.items()})
            except (AttributeError, TypeError, ValueError):  # another's writing: no node's calls
                continue
        return others

    async def audit(self, most: int) -> list[Entry]:
        """Return the latest entries of the audit, (id, fields), the newest first."""
        return await self._audit.latest(most)

    async def _put(
        self,
        flag: str,
        before: RolloutState,
        after: RolloutState,
        signature: Signature,
    ) -> bool:
        """Write a state, its history and its audit entry; False where another version is there."""
        fields = after.to_fields()
        change = {
            "version": str(after.version),
            "action": after.action,
            "author": after.author,
            "reason": after.reason,
            "share": str(after.share),
            "was": str(before.share),
            "at_ms": str(after.at_ms),
            "state": json.dumps(fields, ensure_ascii=False),
            "evidence": json.dumps(signature.evidence or {}, ensure_ascii=False),
        }
        changed = {n: [v, fields[n]] for n, v in before.to_fields().items() if fields[n] != v}
        audited = {
            "at_ms": str(after.at_ms),
            "actor": after.author,
            "roles": " ".join(signature.roles),
            "address": signature.address,
            "action": f"rollout {after.action}",
            "target": flag,
            "detail": json.dumps({"reason": after.reason, "diff": changed}, ensure_ascii=False),
        }
        kept = ("MAXLEN", "~", HISTORY_KEPT)
        return await self._audit.append(
            {name: value for name, value in audited.items() if value},
            guard=Guard(self._keys.rollout(flag), "version", str(before.version or "")),
            commands=[
                ("HSET", self._keys.rollout(flag), *words_of(fields)),
                ("XADD", self._keys.rollout_history(flag), *kept, "*", *words_of(change)),
            ],
        )

    async def _keys_like(self, pattern: str) -> list[str]:
        found: set[str] = set()
        cursor = "0"
        while True:
            reply = await self._link.ask(("SCAN", cursor, "MATCH", pattern, "COUNT", _KEYS_A_SCAN))
            following, keys = listed(reply)
            found |= set(texts(keys))
            cursor = str(following)
            if cursor == "0":
                return sorted(found)


def _page_of(key: str, after: str) -> Command:
    return ("XRANGE", key, after, "+", "COUNT", _PAGE)


def _calls_of(logged: Sequence[Entry]) -> list[tuple[str, CallEntry]]:
    found = []
    for entry_id, fields in logged:
        try:
            found.append((entry_id, CallEntry.from_fields(fields)))
        except (KeyError, ValueError):  # another's writing: it says nothing of a call
            continue
    return found
