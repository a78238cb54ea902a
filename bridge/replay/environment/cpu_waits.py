"""Measures how long a call's processes waited for a CPU, and excuses verdicts that this spoilt.

Work that a process does itself is none of it, so that a bridge which is slow by its own fault is
not excused. Threads that sound goes through count beside the main ones, and so does what the
hypervisor takes from all. Where the kernel does not count (:mod:`bridge.children`), nobody has
waited.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from bridge.children import stolen_ns, thread_waits_ns
from bridge.clock import NS_PER_MS, NS_PER_S
from bridge.replay.checks.run import RunJudgement
from bridge.replay.evidence.evidence import Evidence
from bridge.replay.results.run import RunVerdict

TOO_LONG_MS = 200.0
"""Of one second: silence after an interruption is due within 500 to 900 ms."""

_EVERY_S = 0.25
_WINDOW = 4
"""Looks that make the second over which is summed up."""

_SOUND = frozenset({"media", "clock"})
"""Names of PJSIP's own threads: RTP sockets, conference. A recogniser's may wait."""

_MACHINE = ("this virtual machine", 0)

_Looks = dict[tuple[str, int], int]
"""Who and which thread -> ns waited so far."""


@dataclass(frozen=True, slots=True)
class CpuWait:
    """The second in which a thread waited longest for a CPU.

    Attributes:
        who: its process: "the gateway".
        waited_ms: how much of that second it could have run, and did not.
    """

    who: str
    waited_ms: float

    def __str__(self) -> str:
        return f"{self.who} waited {self.waited_ms:.0f} ms of one second for a CPU"


class CpuWaits:
    """Looks at processes while a call goes on. Use ``async with``.

    Args:
        pids: of the processes whose threads must not wait, by name.
    """

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = dict(pids)
        self._looks: list[tuple[int, _Looks]] = []
        self._looking: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "CpuWaits":
        self._looking = asyncio.create_task(self._look_on(), name="replay-cpu-waits")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    def worst(self, since_ns: int, until_ns: int) -> CpuWait | None:
        """Return the worst second between two moments (wall time); None where nothing is known."""
        looks = [look for look in self._looks if since_ns <= look[0] <= until_ns]
        waits = [
            CpuWait(key[0], (after[key] - before[key]) / (after_ns - before_ns) * 1000)
            for (before_ns, before), (after_ns, after) in zip(looks, looks[_WINDOW:], strict=False)
            for key in before.keys() & after.keys()
        ]
        return max(waits, key=lambda wait: wait.waited_ms, default=None)

    async def _look_on(self) -> None:
        while True:
            self._looks.append((time.time_ns(), self._look()))
            await asyncio.sleep(_EVERY_S)

    def _look(self) -> _Looks:
        found = {_MACHINE: stolen_ns()}
        for who, pid in self._pids.items():
            for thread, name, waited in thread_waits_ns(pid):
                if thread == pid or name in _SOUND:
                    found[who, thread] = waited
        return found


def span_ns(evidence: Evidence) -> tuple[int, int]:
    """Return a call's begin and end, wall time; of one without an answer nothing is left out."""
    caller = evidence.caller
    if caller is None or caller.answered_wall_ns is None or caller.log is None:
        return 0, time.time_ns()
    begun_ns = caller.answered_wall_ns - (caller.answered_after_ms or 0) * NS_PER_MS
    # A second more on each side: what went on then is seen in the looks around it.
    ended_ns = caller.answered_wall_ns + caller.log.duration_ms * NS_PER_MS
    return begun_ns - NS_PER_S, ended_ns + NS_PER_S


def excused(judgement: RunJudgement, worst: CpuWait | None, too_long_ms: float) -> RunJudgement:
    """Return a judgement as it stands, or as none where it is no pass and somebody waited so long.

    Args:
        too_long_ms: of one second.
    """
    undisputed = judgement.verdict in (RunVerdict.PASS, RunVerdict.INFRASTRUCTURE)
    if undisputed or worst is None or worst.waited_ms < too_long_ms:
        return judgement
    return replace(
        judgement,
        verdict=RunVerdict.INCONCLUSIVE,
        reason=f"the machine was too busy to tell ({worst}): {judgement.reason}",
        spoiled=True,
    )
