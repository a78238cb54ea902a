"""The reports of both ends of the demo's call, and the conclusion from them.

The gateway leaves its record as JSON, the caller (`bridge call --script`) prints a JSON object.
"""

from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from bridge.demo.figures import Figures
from bridge.demo.result import DemoCall, DemoResult
from bridge.demo.verdict import CallerSide, RecordedTurn, judge
from bridge.errors import InfrastructureError
from bridge.processes.child import Child

_REPORTED = (0, 1, 2)
"""Exit codes of a caller that could call: all went well, something expected did not happen, or it
can't judge."""
_BAD_INPUT = 2
"""This, too, and then there is no report."""


class _HeardTurn(BaseModel):
    model_config = ConfigDict(frozen=True)

    speaker: Literal["caller", "agent"]
    text: str | None


class CallerReport(BaseModel):
    """The part of the caller's report that the demo reads.

    Attributes:
        outcome: of the INVITE, as the caller saw it.
        turns: the agent's as the caller's recogniser heard them.
        agent_heard_ms: how long the agent was to be heard.
        broken: expectations of the script that did not hold, in words.
        undecided: those that what was heard can't decide.
    """

    model_config = ConfigDict(frozen=True)

    outcome: str
    turns: tuple[_HeardTurn, ...]
    agent_heard_ms: int
    broken: tuple[str, ...]
    undecided: tuple[str, ...] = ()

    @property
    def unmet(self) -> tuple[str, ...]:
        """All that was expected and not seen to hold."""
        return (*self.broken, *self.undecided)

    @property
    def heard(self) -> tuple[str, ...]:
        """The agent's turns, "" for one that was not understood."""
        return tuple(turn.text or "" for turn in self.turns if turn.speaker == "agent")


async def caller_report(caller: Child) -> CallerReport:
    """Read all that a caller prints, to its end.

    Raises:
        ConfigError, InfrastructureError: it could not do its work.
    """
    last = ""
    while line := await caller.line():
        last = line
    exit_code = await caller.wait()
    if exit_code not in _REPORTED:
        raise caller.failure()
    try:
        return CallerReport.model_validate_json(last)
    except ValidationError:
        if exit_code == _BAD_INPUT:
            raise caller.failure() from None
        # Not chained: pydantic's text repeats what was heard.
        raise InfrastructureError(f"{caller.name} left no report") from None


def conclude(
    path: Path,
    caller: CallerSide,
    *,
    greeting_latency_ms: int | None,
    caller_recording: Path,
    figures: Figures,
) -> DemoResult:
    """Judge the call by its record and by what the caller knows.

    Args:
        path: the gateway's JSON of the call.
        caller: the other end.
        greeting_latency_ms: the answer to the greeting's first sound, which the record leaves out.
        caller_recording: the caller's WAV; takes the call's name here.
        figures: for the summary.

    Raises:
        InfrastructureError: there is no such record.
    """
    recorded = _read(path)
    call = recorded.model_copy(
        update={
            "turns": _with_greeting(recorded.turns, greeting_latency_ms),
            "agent_heard_ms": caller.agent_heard_ms,
            "record": path,
            "caller_recording": _rename(caller_recording, f"{recorded.call_id}-caller.wav"),
        }
    )
    faults = judge(call.outcome, call.turns, caller)
    if call.recording is not None and not call.recording.is_file():
        faults.append(f"the recording {call.recording} was not written")
    return DemoResult(call, faults, figures)


def _read(path: Path) -> DemoCall:
    try:
        return DemoCall.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InfrastructureError(
            f"the gateway's record {path} can't be read: {error.strerror}",
            remedy="see that there is room for it, or name another place with --recordings",
        ) from error
    except ValidationError:
        # Not chained: pydantic's text repeats what was said.
        raise InfrastructureError(f"the gateway's record {path} is not what it should be") from None


def _with_greeting(
    turns: tuple[RecordedTurn, ...], latency_ms: int | None
) -> tuple[RecordedTurn, ...]:
    if turns and turns[0].speaker == "agent" and turns[0].latency_ms is None:
        return (replace(turns[0], latency_ms=latency_ms), *turns[1:])
    return turns


def _rename(path: Path, name: str) -> Path | None:
    return path.rename(path.with_name(name)) if path.is_file() else None
