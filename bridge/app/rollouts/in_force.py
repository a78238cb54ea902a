"""One node's rollouts: their state here, the decision about each call, and the calls' results.

Redis is asked twice a second, so a kill switch works on every node well within two seconds. While
Redis is away, and at a start without it, the last state that was known is in force. What a node
sees by itself that needs no statistics (an arm that refuses for good, failures in a row) is in
force on it at once, and in Redis as soon as that takes it. Caps count the calls of all nodes, as
each said them last: within half a second, nodes that don't know of each other's new calls may
together pass one by as many. Runs in the loop's thread.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog

from bridge.app.rollouts.files import RolloutFiles
from bridge.clock import NS_PER_MS, NS_PER_S, Clock
from bridge.config.rollouts import RolloutSettings
from bridge.errors import BridgeError
from bridge.routing.numbers import shown_number
from bridge.routing.rollout.changes import follow
from bridge.routing.rollout.decision import CallFacts, Decision, Reason, decide
from bridge.routing.rollout.draw import logged_caller, targeting_key
from bridge.routing.rollout.ledger import Ledger
from bridge.routing.rollout.observed import CallEntry
from bridge.routing.rollout.signed_arm import HEADER, checked_arm
from bridge.routing.rollout.state import RolloutState, flag_of, stop_here
from bridge.routing.rollout.verdict import Action, Judgement
from bridge.routing.rules import IncomingCall
from bridge.store.client import RedisUnavailableError
from bridge.store.rollouts import RolloutStore, Signature
from bridge.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)

PROVIDER = "telephony-bridge"
POLL_S = 0.5
_REPORTS_KEPT = 5_000
"""Ended calls that wait for Redis; then the oldest are dropped."""

_REPORTS_AT_ONCE = 200
_DISK_WITHIN_S = 2.0
_ACTIONS = tuple(action.value for action in Action if action is not Action.NONE)
_AT_ONCE = frozenset({Action.STOP, Action.PAUSE})
"""What one node does alone (`NEEDS.md` section 4, rule 1)."""


@dataclass(slots=True)
class _Here:
    """The state of one flag on this node.

    Attributes:
        state: the newest that is known.
        stopped: arms that this node has closed and Redis does not know of yet.
        ledger: of this node's own calls, for the hard gate.
        pending: findings of the hard gate, with their evidence, that Redis is yet to hold.
        spoilt: Redis holds something else in the flag's place.
    """

    plan: RolloutSettings
    state: RolloutState
    ledger: Ledger
    stopped: frozenset[str] = frozenset()
    pending: tuple[Judgement, dict[str, object]] | None = None
    spoilt: bool = False
    reports: deque[CallEntry] = field(default_factory=lambda: deque(maxlen=_REPORTS_KEPT))


class Rollouts:
    """All flags on one node.

    Args:
        plans: of the settings, by name.
        secret: draws callers and checks test headers.
        store: Redis; ``files``: this node's disk.
        active: gives the calls of each arm on this node.
        sip_arms: arms that are SIP URIs, of which less is seen.
    """

    def __init__(
        self,
        plans: Mapping[str, RolloutSettings],
        secret: bytes,
        store: RolloutStore,
        files: RolloutFiles,
        node: str,
        clock: Clock,
        metrics: Metrics,
        active: Callable[[], Mapping[str, int]],
        sip_arms: frozenset[str] = frozenset(),
    ) -> None:
        self._active = active
        self._sip_arms = sip_arms
        self._elsewhere: Mapping[str, int] = {}  # calls of each arm on other nodes, when last heard
        self._secret = secret
        self._store = store
        self._files = files
        self._node = node
        self._clock = clock
        self._metrics = metrics.rollouts
        self._here = {
            name: _Here(plan, RolloutState(), self._ledger(plan, RolloutState()))
            for name, plan in plans.items()
        }
        self._connected = True
        self._soon = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Read the state in force, from Redis or else from the disk, and keep it up to date."""
        for name in self._here:
            known = await asyncio.to_thread(self._files.read, name)
            if known is not None:
                self._take(name, known)
        await self._synchronise()
        for name, here in self._here.items():
            self._metrics.expect_actions(here.plan.treatment, _ACTIONS)
            self._publish(name)
        self._task = asyncio.create_task(self._keep_synchronised(), name="rollouts")

    async def aclose(self) -> None:
        """Write to Redis, once, all that it lacks, and stop."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await self._synchronise()

    def state(self, name: str) -> RolloutState:
        """Return what is in force on this node."""
        here = self._here[name]
        return stop_here(here.state, here.stopped)

    def plan(self, name: str) -> RolloutSettings:
        """Return what the settings say of a flag."""
        return self._here[name].plan

    def decide(self, name: str, call: IncomingCall, route: str) -> tuple[Decision, str]:
        """Decide about a call; never raises.

        Args:
            call: at its INVITE.
            route: the dialplan that takes it.

        Returns:
            The decision, and the key that the caller is drawn by, empty for a withheld number.
        """
        try:
            decision, key = self._decide(name, call, route)
        except Exception:  # a call must get an arm, whatever is wrong here
            log.exception("rollout_broken", flag=name)
            here = self._here[name]
            decision, key = (
                Decision(name, here.plan.control, Reason.ERROR, here.state.version),
                "",
            )
        self._metrics.evaluated(decision.arm or "none", decision.reason)
        log.info(
            "feature_flag.evaluation",
            **{
                "feature_flag.key": name,
                "feature_flag.result.variant": decision.arm or "none",
                "feature_flag.result.value": decision.arm or "none",
                "feature_flag.result.reason": decision.reason.lower(),
                "feature_flag.version": str(decision.version),
                "feature_flag.provider.name": PROVIDER,
                "feature_flag.context.id": key,
            },
        )
        return decision, key

    def _decide(self, name: str, call: IncomingCall, route: str) -> tuple[Decision, str]:
        here = self._here[name]
        number = shown_number(call.caller)
        key = targeting_key(self._secret, number, call.sip_call_id)
        asked = next(iter(call.headers.get(HEADER.lower(), ())), None)
        now_s = self._clock.wall_ns() / NS_PER_S
        facts = CallFacts(
            key=key,
            caller=number,
            called=call.called,
            route=route,
            trunk=call.trunk,
            test_arm=None if asked is None else checked_arm(self._secret, name, asked, now_s),
            active=Counter(self._active()) + Counter(self._elsewhere),
        )
        flag = flag_of(name, here.plan, self.state(name))
        decision = decide(flag, facts)
        if decision.arm in flag.caps:
            self._soon.set()  # the other nodes are to know of it
        return decision, logged_caller(key) if number else ""

    def rescuer(self, name: str, arm: str) -> str | None:
        """Return the arm that may take over a call whose arm fails; None where none may.

        An arm that is stopped, or has no share, is not what a call is to be rescued by.
        """
        here, state = self._here[name], self.state(name)
        other = here.plan.treatment if arm == here.plan.control else here.plan.control
        if state.ai_off or other in state.stopped:
            return None
        return other if other == here.plan.control or state.share else None

    def ended(self, name: str, entry: CallEntry) -> None:
        """Take what a call says of the arm that it was dealt to; each call once."""
        here = self._here[name]
        here.reports.append(entry)
        here.ledger.take(entry)
        judgement = here.ledger.judge(entry.at_s)
        if judgement.action in _AT_ONCE and not self.state(name).stopped & {here.plan.treatment}:
            here.stopped |= {here.plan.treatment}
            here.pending = (judgement, here.ledger.figures(judgement) | {"node": self._node})
            log.error(
                "arm_closed",
                flag=name,
                arm=here.plan.treatment,
                action=judgement.action.value,
                why="; ".join(judgement.reasons),
            )
            self._publish(name)
        self._soon.set()

    def lost(self, name: str, entry: CallEntry) -> None:
        """Take what is known of a call of another node, which is dead.

        It is for the verdict alone: what this node closes by itself, it closes for its own calls.
        """
        here = self._here.get(name)
        if here is not None:
            here.reports.append(entry)
            self._soon.set()

    async def _keep_synchronised(self) -> None:
        while True:
            try:
                async with asyncio.timeout(POLL_S):
                    await self._soon.wait()
            except TimeoutError:
                pass
            self._soon.clear()
            try:
                await self._synchronise()
            except Exception:  # task root: without it no kill switch would be heard of any more
                log.exception("rollouts_broken")

    async def _synchronise(self) -> None:
        """Write this node's findings to Redis, and read the state in force."""
        try:
            for name, here in self._here.items():
                await self._synchronise_one(name, here)
            self._elsewhere = await self._store.share_active(self._node, self._active())
        except RedisUnavailableError as error:
            if self._connected:
                log.error("rollouts_from_last_known", error=str(error))
            self._connected = False
        else:
            if not self._connected:
                log.info("rollouts_from_redis_again")
            self._connected = True

    async def _synchronise_one(self, name: str, here: _Here) -> None:
        """Synchronise a flag; one that another has spoilt must not stand in the others' way."""
        try:
            found = await self._store.read([name])
            await self._settle(name, here, found.get(name, RolloutState()))
        except RedisUnavailableError:
            raise
        except BridgeError as error:  # what is known stays in force
            if not here.spoilt:
                log.error("rollout_unreadable", flag=name, error=str(error))
            here.spoilt = True
        else:
            here.spoilt = False
        await self._report(name, here)

    async def _settle(self, name: str, here: _Here, found: RolloutState) -> None:
        if found.version < here.state.version:
            # It was emptied, or brought back from an older copy: a kill switch must not be lost.
            await self._store.restore(name, here.state, found)
        elif found.version > here.state.version:
            await self._adopt(name, found)
        if here.pending is None:
            return
        now_ms = self._clock.wall_ns() // NS_PER_MS
        judgement, figures = here.pending
        changed = await self._store.change(
            name,
            lambda state: follow(state, here.plan, judgement, now_ms),
            Signature(f"node {self._node}", evidence=figures),
            now_ms,
        )
        here.pending = None
        here.stopped = frozenset()
        if changed is not None:
            self._metrics.acted(here.plan.treatment, judgement.action.value)
            await self._adopt(name, changed[1])
        else:
            self._publish(name)

    async def _adopt(self, name: str, state: RolloutState) -> None:
        self._take(name, state)
        self._publish(name)
        log.info(
            "rollout_changed",
            flag=name,
            version=state.version,
            action=state.action,
            percent=state.percent,
            author=state.author,
        )
        try:
            async with asyncio.timeout(_DISK_WITHIN_S):
                await asyncio.to_thread(self._files.write, name, state)
        except OSError as error:
            log.error("rollout_file_unwritable", flag=name, error=error.strerror)

    def _ledger(self, plan: RolloutSettings, state: RolloutState) -> Ledger:
        return Ledger(plan, state, sip_arms=self._sip_arms)

    def _take(self, name: str, state: RolloutState) -> None:
        here = self._here[name]
        if (state.step_ms, state.trial) != (here.state.step_ms, here.state.trial):
            here.ledger = self._ledger(here.plan, state)
        here.state = state

    async def _report(self, name: str, here: _Here) -> None:
        while here.reports:
            entries = [here.reports[i] for i in range(min(_REPORTS_AT_ONCE, len(here.reports)))]
            await self._store.report(name, entries)
            for _ in entries:
                here.reports.popleft()

    def _publish(self, name: str) -> None:
        here, state = self._here[name], self.state(name)
        shares = {
            here.plan.control: 1 - state.share / 1000,
            here.plan.treatment: state.share / 1000,
        }
        for arm, share in shares.items():
            open_ = not state.ai_off and arm not in state.stopped
            self._metrics.set_target(arm, share if open_ else 0.0)
