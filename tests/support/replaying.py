"""A replay in a test: a small agent and a short call of our own, played as `bridge replay` does."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge.config.models import load_models
from bridge.replay.environment.arms import ReplayArm, choose_arms
from bridge.replay.environment.environment import RunningGateway
from bridge.replay.environment.startup import Startup
from bridge.replay.environment.tool_mocks import ToolMocks
from bridge.replay.results.detail import RunFiles
from bridge.replay.results.files import read_run, write_results
from bridge.replay.results.run import Results, RunInfo
from bridge.replay.runs.agenda import Job
from bridge.replay.runs.plan import ReplayPlan
from bridge.replay.runs.runner import ReplayRun
from bridge.replay.script import load_script
from bridge.replay.script.files import ScriptFile
from tests.support.processes import write_yaml

QUESTION, ANSWER = "Where is my order?", "Your order was shipped on Monday."
LONG_QUESTION = "What is your return policy?"
LONG_ANSWER = (
    "You can return anything that you bought within thirty days of delivery. Please keep the"
    " original packaging, because the warehouse needs the label on the side of the box."
)
INTERRUPTION, GO_AHEAD = "Sorry, let me interrupt you there.", "Sure, go ahead."

Document = dict[str, Any]  # Any: YAML

_SCENARIO: Document = {
    "name": "small",
    "greeting": "Hello.",
    "fallback": "Would you say that again, please?",
    "rules": [
        {"hears": [QUESTION], "say": ANSWER},
        {"hears": [LONG_QUESTION], "say": LONG_ANSWER},
        {"hears": [INTERRUPTION], "say": GO_AHEAD},
    ],
}
_DIALPLAN: Document = {
    "schema": "dialplan/v1",
    "name": "small",
    "match": [{"called": "*"}],
    "arm": "local",
    "agent": {
        "instructions": "Be brief.",
        "language": "en",
        "turn_detection": {"type": "server_vad", "silence_duration_ms": 500},
        "transcription": {"model": "gpt-transcribe"},
    },
}
ASKS: Document = {
    "schema": "callscript/v1",
    "id": "asks",
    "hears": [ANSWER],
    "realtime": {"scenario": "scenario.yaml"},
    "caller": [{"say": QUESTION, "expect": {"text_contains": "shipped on Monday"}}],
    "end": {"max_duration_s": 30},
}
"""The caller asks one thing, is answered, and hangs up."""


@dataclass(frozen=True, slots=True)
class Played:
    """What came of it.

    Attributes:
        again: script, arm and reason of each call that was placed once more.
    """

    results: Results
    directory: Path
    replayed: ReplayRun
    again: tuple[tuple[str, str, str], ...] = ()

    def run(self, arm: str, number: int = 1) -> tuple[RunInfo, RunFiles]:
        """Return a run of the only script."""
        (info,) = (r for r in self.results.runs if (r.arm, r.number) == (arm, number))
        return info, read_run(self.directory / info.folder)

    def run_of(self, script: str) -> tuple[RunInfo, RunFiles]:
        """Return a script's first run."""
        info = next(run for run in self.results.runs if run.script == script)
        return info, read_run(self.directory / info.folder)


class _Noting:
    """Shows nothing, and notes what is played again."""

    def __init__(self) -> None:
        self.again_for: list[tuple[str, str, str]] = []

    def begun(self, job: Job) -> None: ...

    def again(self, job: Job, reason: str) -> None:
        self.again_for.append((job.script, job.arm, reason))

    def done(self, job: Job, info: RunInfo) -> None: ...


def write_script(directory: Path, script: Document, dialplan: Document = _DIALPLAN) -> Path:
    """Write a script with the agent and the dialplan that it needs."""
    write_yaml(directory / "scenario.yaml", _SCENARIO)
    write_yaml(directory / "dialplans" / "small.yaml", dialplan)
    return write_yaml(directory / f"{script['id']}.yaml", script)


def arms_of(*names: str) -> tuple[ReplayArm, ...]:
    """Return arms of the simulator."""
    return choose_arms(names, None, {}, load_models())


def arms_at_a_target(*names: str) -> tuple[ReplayArm, ...]:
    """Return arms of a running gateway whose settings are not known."""
    return choose_arms(names, None, {}, load_models(), of_a_target=True)


async def play(
    directory: Path,
    scripts: Sequence[Path],
    arms: Sequence[ReplayArm],
    redis_url: str,
    *,
    repeat: int | None = None,
    jobs: int = 4,
    environ: Mapping[str, str] | None = None,
    cap_usd: float | None = None,
    target: RunningGateway | None = None,
    too_busy_ms: float = math.inf,
    load: int = 0,
) -> Played:
    """Play scripts on arms; ``environ``: more variables of all processes.

    A verdict stands, however busy the machine was, unless the test says otherwise.
    """
    files = [ScriptFile(path.absolute(), load_script(path), "") for path in scripts]
    results = directory / "results"
    plan = ReplayPlan(
        files,
        arms,
        repeat,
        jobs,
        results,
        target,
        cap_usd=cap_usd,
        too_busy_ms=too_busy_ms,
        load=load,
    )
    async with ToolMocks() as mocks:
        variables = {**os.environ, **(environ or {})}
        startup = Startup(variables, redis_url, directory / "gateways", mocks, load=load)
        view = _Noting()
        replayed = ReplayRun(plan, load_models(), startup, view)
        await replayed.play()
    found = replayed.conclude()
    write_results(results, found)
    return Played(found, results, replayed, tuple(view.again_for))
