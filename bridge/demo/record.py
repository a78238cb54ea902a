"""The gateway's record of the demo's call, and the conclusion from both ends."""

from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from bridge.demo.figures import Figures
from bridge.demo.result import DemoCall, DemoResult
from bridge.demo.verdict import CallerSide, RecordedTurn, SpeakerName, judge
from bridge.errors import InfrastructureError


class _Turn(BaseModel):
    model_config = ConfigDict(frozen=True)

    speaker: SpeakerName
    text: str
    latency_ms: int | None
    interrupted: bool


class _Record(BaseModel):
    """What the demo reads of the gateway's JSON (`live.record.CallSummary`)."""

    model_config = ConfigDict(frozen=True)

    call_id: str
    arm: str
    dialect: str
    outcome: str
    duration_ms: int
    interruptions: int
    turns: tuple[_Turn, ...]
    recording: Path | None


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
    record = _read(path)
    turns = _with_greeting(
        [
            RecordedTurn(turn.speaker, turn.text, turn.latency_ms, turn.interrupted)
            for turn in record.turns
        ],
        greeting_latency_ms,
    )
    faults = judge(record.outcome, turns, caller)
    if record.recording is not None and not record.recording.is_file():
        faults.append(f"the recording {record.recording} was not written")
    call = DemoCall(
        call_id=record.call_id,
        arm=record.arm,
        dialect=record.dialect,
        outcome=record.outcome,
        turns=turns,
        interruptions=record.interruptions,
        duration_ms=record.duration_ms,
        agent_heard_ms=caller.agent_heard_ms,
        recording=record.recording,
        record=path,
        caller_recording=_rename(caller_recording, f"{record.call_id}-caller.wav"),
    )
    return DemoResult(call, faults, figures)


def _read(path: Path) -> _Record:
    try:
        return _Record.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InfrastructureError(
            f"the gateway's record {path} can't be read: {error.strerror}",
            remedy="see that there is room for it, or name another place with --recordings",
        ) from error
    except ValidationError:
        # Not chained: pydantic's text repeats what was said.
        raise InfrastructureError(f"the gateway's record {path} is not what it should be") from None


def _with_greeting(turns: list[RecordedTurn], latency_ms: int | None) -> list[RecordedTurn]:
    if turns and turns[0].speaker == "agent" and turns[0].latency_ms is None:
        return [replace(turns[0], latency_ms=latency_ms), *turns[1:]]
    return turns


def _rename(path: Path, name: str) -> Path | None:
    return path.rename(path.with_name(name)) if path.is_file() else None
