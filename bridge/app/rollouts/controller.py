"""The automatic decisions: one node, the leader, adds up the log of calls and acts on the verdict.

Every node runs one of these; a lock in Redis, which runs out, says which of them leads. The log and
the state hold all that is known, so a new leader takes up where the old one stopped, and a change
that was made from an older version is refused. Runs in the loop's thread, but for the comparison of
latencies, which takes 0.1 s.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace

import structlog

from bridge.clock import NS_PER_MS, Clock
from bridge.config.rollouts import RolloutSettings
from bridge.errors import BridgeError, ConfigError
from bridge.routing.rollout.changes import follow, why_held
from bridge.routing.rollout.ledger import Ledger
from bridge.routing.rollout.state import RolloutState
from bridge.routing.rollout.verdict import Judgement, Verdict
from bridge.store.rollouts import RolloutStore, Signature
from bridge.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)

EVERY_S = 0.5
AUTHOR = "controller"

_VERDICTS = tuple(verdict.value for verdict in Verdict)


@dataclass(slots=True)
class _Book:
    """The ledger of one flag's step, and the place in the log up to which it is kept."""

    ledger: Ledger
    cursor: str

    @classmethod
    def of(
        cls,
        plan: RolloutSettings,
        state: RolloutState,
        digests: Mapping[str, str],
        sip_arms: frozenset[str],
    ) -> "_Book":
        return cls(Ledger(plan, state, digests, sip_arms), state.cursor)

    def is_of(self, state: RolloutState) -> bool:
        known = self.ledger.state
        return (known.step_ms, known.trial) == (state.step_ms, state.trial)


class RolloutController:
    """Decides about the rollouts, while its node leads.

    Args:
        plans: of the settings, by flag.
        digests: of the arms' settings, by name.
        sip_arms: those that are SIP URIs.
    """

    def __init__(
        self,
        plans: Mapping[str, RolloutSettings],
        digests: Mapping[str, str],
        store: RolloutStore,
        node: str,
        clock: Clock,
        metrics: Metrics,
        sip_arms: frozenset[str] = frozenset(),
    ) -> None:
        self._plans = plans
        self._sip_arms = sip_arms
        self._digests = digests
        self._store = store
        self._node = node
        self._clock = clock
        self._metrics = metrics.rollouts
        self._books: dict[str, _Book] = {}
        self._leads = False

    async def run(self) -> None:
        """Decide for ever; cancel to end."""
        while True:
            try:
                await self.decide()
            except BridgeError as error:  # Redis is away, or holds what it should not
                log.debug("controller_waits", error=str(error))
            except Exception:  # task root: nobody else would roll back
                log.exception("controller_broken")
            await asyncio.sleep(EVERY_S)

    async def resign(self) -> None:
        """Let another node lead; best effort."""
        if self._leads:
            self._leads = False
            self._metrics.follow()
            try:
                await self._store.resign(self._node)
            except BridgeError as error:
                log.debug("controller_not_resigned", error=str(error))

    async def decide(self) -> None:
        """Look once at every flag, if this node leads.

        Raises:
            RedisUnavailableError: Redis is away.
        """
        leads = await self._store.lead(self._node)
        if leads != self._leads:
            log.info("controller_leads" if leads else "controller_follows", node=self._node)
            self._leads = leads
            self._books.clear()
            self._metrics.follow()
        if not leads:
            return
        for flag, plan in self._plans.items():
            try:
                states = await self._store.read([flag])
            except ConfigError as error:  # one that is spoilt must not stand in the others' way
                log.debug("controller_skips", flag=flag, error=str(error))
                continue
            if flag in states:
                await self._judge(flag, plan, states[flag])

    async def _judge(self, flag: str, plan: RolloutSettings, state: RolloutState) -> None:
        book = self._books.get(flag)
        if book is None or not book.is_of(state):
            digests = {arm: self._digests[arm] for arm in plan.arms if arm in self._digests}
            book = self._books[flag] = _Book.of(plan, state, digests, self._sip_arms)
        while calls := await self._store.calls(flag, book.cursor):
            for entry_id, entry in calls:
                book.ledger.take(entry)
                book.cursor = entry_id
        if book.ledger.wants_comparison:
            await asyncio.to_thread(book.ledger.compare)
        now_ms = self._clock.wall_ns() // NS_PER_MS
        judgement = book.ledger.judge(now_ms / 1000)
        figures = book.ledger.figures(judgement)
        self._metrics.judged(plan.treatment, judgement.verdict.value, _VERDICTS, judgement.e_value)
        verdict = figures | {
            "at_ms": now_ms,
            "version": state.version,
            "held": why_held(state, plan, now_ms),
        }
        await self._store.put_verdict(flag, verdict)
        await self._act(flag, plan, book, judgement, figures, now_ms)

    async def _act(
        self,
        flag: str,
        plan: RolloutSettings,
        book: _Book,
        judgement: Judgement,
        figures: Mapping[str, object],
        now_ms: int,
    ) -> None:
        evidence, cursor = book.ledger.trial.evidence, book.cursor

        def change(state: RolloutState) -> RolloutState | None:
            if not book.is_of(state):
                return None  # a person was faster: what was judged is over
            known = replace(state, evidence=evidence, cursor=cursor, arms=book.ledger.digests)
            return follow(known, plan, judgement, now_ms)

        signature = Signature(AUTHOR, evidence={**figures, "node": self._node})
        changed = await self._store.change(flag, change, signature, now_ms)
        if changed is not None:
            before, after = changed
            self._metrics.acted(plan.treatment, judgement.action.value)
            log.warning(
                "rollout_decided",
                flag=flag,
                action=after.action,
                percent=after.percent,
                was=before.percent,
                why=after.reason,
            )
