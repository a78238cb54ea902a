"""Rates a call that is over as good or bad for the arm that it was dealt to.

Only faults of connection, protocol, timing and handoff count (`NEEDS.md` section 4 "What to
separate"). A caller who hangs up before there was a session, or the carrier's faults, say nothing.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from bridge.config.rollouts import RolloutSettings
from bridge.errors import Fault
from bridge.realtime.failures import Layer
from bridge.routing.rollout.verdict import Badness, SampledCall

_NOT_THE_ARMS = frozenset({Fault.NONE.value, Fault.CALLER.value, Fault.CARRIER.value})

_BADNESS_OF_LAYER = {
    Layer.CONNECTION.value: Badness.CONNECTION,
    Layer.PROTOCOL.value: Badness.PROTOCOL,
    Layer.MODEL.value: Badness.PROTOCOL,
}


@dataclass(frozen=True, slots=True)
class Loss:
    """A session that was lost, or could not be had; words of :mod:`bridge.realtime.failures`."""

    code: str
    layer: str
    fault: str
    permanent: bool = False


@dataclass(frozen=True, slots=True)
class Observed:
    """The evidence of a call, until the arm that it was dealt to was left, or the call ended.

    Attributes:
        losses: of that arm alone.
        set_up: a session was had.
        connected: there was one at the end.
        answered: our 200 was out.
        silent: the agent should have spoken, and was never heard.
        odd: the service sent what is no event of its dialect.
        greeting_ms: answer to the greeting's first sample; None where there was none.
        turns_ms: the caller's last sound to the agent's first, of each turn.
        silence_ms: the longest while the agent owed something.
        cut_offs: how often a pause of the caller's was taken for the end of their turn.
        handoff_failed: a person was wanted and not reached.
    """

    losses: tuple[Loss, ...] = ()
    set_up: bool = True
    connected: bool = True
    answered: bool = True
    silent: bool = False
    odd: bool = False
    greeting_ms: int | None = None
    turns_ms: tuple[int, ...] = ()
    silence_ms: int = 0
    cut_offs: int = 0
    handoff_failed: bool = False

    @property
    def says_something(self) -> bool:
        """Whether the call is evidence about its arm."""
        return self.set_up or bool(self.losses)

    @property
    def permanent(self) -> bool:
        """Whether the arm refused for good."""
        return any(loss.permanent for loss in self.losses)

    def badness(self, plan: RolloutSettings) -> frozenset[Badness]:
        """Return why the call counts as a bad one; empty for a good one."""
        bad = {
            _BADNESS_OF_LAYER[loss.layer]
            for loss in self.losses
            if loss.fault not in _NOT_THE_ARMS and loss.layer in _BADNESS_OF_LAYER
        }
        off_beat = (
            (self.greeting_ms or 0) > plan.slow_greeting_s * 1000,
            any(turn_ms > plan.slow_turn_s * 1000 for turn_ms in self.turns_ms),
            self.silence_ms > plan.dead_air_s * 1000,
            self.cut_offs > plan.max_cut_offs,
        )
        rules = {
            Badness.PROTOCOL: self.odd or (self.silent and self.answered),
            Badness.TIMING: any(off_beat),
            Badness.HANDOFF: self.handoff_failed,
        }
        return frozenset(bad | {kind for kind, broken in rules.items() if broken})


@dataclass(frozen=True, slots=True)
class CallEntry:
    """A call's line in the log that decisions are made from.

    Attributes:
        arm: that it was dealt to.
        share: the treatment's when it was dealt, 0 to 1; None for a call that was not drawn.
        version: of the flag that dealt it.
        caller: who called, as the draw knows them; empty for a withheld number.
        connected: see :class:`~bridge.routing.rollout.verdict.SampledCall`.
        code: the first failure's; empty without one.
        rescued_by: the other arm, where it took the call over.
        digest: of the arm's settings; empty where nobody knows.
    """

    call_id: str
    arm: str
    share: float | None
    version: int
    at_s: float
    bad: frozenset[Badness] = frozenset()
    connected: bool = True
    permanent: bool = False
    turns_ms: tuple[int, ...] = ()
    caller: str = ""
    code: str = ""
    rescued_by: str = ""
    node: str = ""
    digest: str = ""

    def to_fields(self) -> dict[str, str]:
        """Return the fields of a stream entry."""
        return {
            "call_id": self.call_id,
            "arm": self.arm,
            "share": "" if self.share is None else repr(self.share),
            "version": str(self.version),
            "at_s": repr(self.at_s),
            "bad": " ".join(sorted(self.bad)),
            "connected": str(int(self.connected)),
            "permanent": str(int(self.permanent)),
            "turns_ms": json.dumps(self.turns_ms),
            "caller": self.caller,
            "code": self.code,
            "rescued_by": self.rescued_by,
            "node": self.node,
            "digest": self.digest,
        }

    @classmethod
    def from_fields(cls, fields: Mapping[str, str]) -> "CallEntry":
        """Read what :meth:`to_fields` made.

        Raises:
            ValueError, KeyError: somebody else wrote it.
        """
        return cls(
            call_id=fields["call_id"],
            arm=fields["arm"],
            share=float(fields["share"]) if fields["share"] else None,
            version=int(fields["version"]),
            at_s=float(fields["at_s"]),
            bad=frozenset(Badness(word) for word in fields["bad"].split()),
            connected=fields["connected"] == "1",
            permanent=fields["permanent"] == "1",
            turns_ms=tuple(int(ms) for ms in json.loads(fields["turns_ms"])),
            caller=fields["caller"],
            code=fields["code"],
            rescued_by=fields["rescued_by"],
            node=fields["node"],
            digest=fields.get("digest", ""),  # an older node's entries have none
        )

    def result(self, treatment: str) -> SampledCall:
        """Return what it says in a comparison of two arms."""
        return SampledCall(
            in_treatment=self.arm == treatment,
            share=self.share,
            bad=self.bad,
            connected=self.connected,
            permanent=self.permanent,
            at_s=self.at_s,
        )
