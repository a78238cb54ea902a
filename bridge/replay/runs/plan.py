"""The plan of a `bridge replay` run: its scripts, arms, repetitions and limits."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bridge.replay.checks.needs import why_not_played
from bridge.replay.environment.arms import ReplayArm
from bridge.replay.environment.cpu_waits import TOO_LONG_MS
from bridge.replay.environment.environment import RunningGateway
from bridge.replay.evidence.transcribing import Transcribe
from bridge.replay.results.run import NotPlayed
from bridge.replay.runs.agenda import Job, likely_s
from bridge.replay.script.files import ScriptFile


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """The scripts, arms and limits of a run.

    Attributes:
        repeat: None: as each script says.
        jobs: calls at once.
        results: directory for the runs' folders.
        target: a gateway that runs already; None: our own.
        dialplans: for our own gateways; None: beside the scripts, or the project's.
        cap_usd: what live calls may cost in all.
        too_busy_ms: a part of a call that waits so long for a CPU, of one second, spoils what is no
            pass.
        load: other calls that go on beside each one.
        stand_ins: the scripts' own replies are played in the place of text models.
        transcribe: writes down what the agent says, as evidence; None: nothing does.
    """

    files: Sequence[ScriptFile]
    arms: Sequence[ReplayArm]
    repeat: int | None
    jobs: int
    results: Path
    target: RunningGateway | None = None
    dialplans: Path | None = None
    cap_usd: float | None = None
    too_busy_ms: float = TOO_LONG_MS
    command: str = ""
    transcribe: Transcribe | None = None
    commit: str | None = None
    version: str = ""
    stand_ins: bool = False
    load: int = 0

    def times(self, file: ScriptFile) -> int:
        """Return how often a script is played on each arm."""
        return self.repeat or file.script.target.repeat

    def arms_of(self, file: ScriptFile) -> list[ReplayArm]:
        """Return the arms that a script is for, as far as they are played and can play it."""
        wanted = file.script.target.arms
        return [
            arm
            for arm in self.arms
            if (not wanted or arm.name in wanted)
            and arm.plays(file.script.id)
            and not self._why_not(file, arm)
        ]

    def not_played(self) -> list[NotPlayed]:
        """Return the scripts that need of an arm's service what it does not have."""
        return [
            NotPlayed(file.script.id, arm.name, why)
            for file in self.files
            for arm in self.arms
            if not file.script.target.arms or arm.name in file.script.target.arms
            if (why := self._why_not(file, arm))
        ]

    def _why_not(self, file: ScriptFile, arm: ReplayArm) -> str:
        """Return why a script's circumstances can't be had on an arm; "" where they can."""
        if arm.kind != "emulated":
            return ""  # a script's circumstances are made by the simulator alone
        return why_not_played(file.script, arm.service)

    def play_list(self) -> list[Job]:
        """Return all calls, the longest first: no long one is left when everything else is done."""
        return [
            Job(file.script.id, arm.name, number)
            for file in sorted(self.files, key=lambda file: -likely_s(file.script))
            for arm in self.arms_of(file)
            for number in range(1, self.times(file) + 1)
        ]
