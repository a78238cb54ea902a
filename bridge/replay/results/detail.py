"""The details of one played call: transcript, stages, tools, markers and a judge's answers.

Times ``at_ms`` are ms since the answer on the caller's clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import JsonValue

from bridge.replay.checks.check import Check
from bridge.replay.evidence.evidence import WireEvent

JudgeVerdict = Literal["pass", "fail", "inconclusive"]


@dataclass(frozen=True, slots=True)
class TranscriptTurn:
    """A stretch that one side spoke, in its wordings.

    Attributes:
        text: the caller's as scripted, the agent's as the caller's recogniser heard it; None where
            it had none.
        reference: the caller's: the script's words; the agent's: what the gateway says it said.
        recognised: the caller's: the session's input transcript.
        off_script: the talk had left the script by then.
        open_text: the agent's, by a recogniser of any words (``--transcribe``); None without one.
        open_error_rate: its word error rate against ``reference``, or else ``text``.
    """

    speaker: Literal["caller", "agent"]
    text: str | None
    reference: str | None
    recognised: str | None
    start_ms: int
    end_ms: int
    off_script: bool = False
    open_text: str | None = None
    open_error_rate: float | None = None


@dataclass(frozen=True, slots=True)
class TurnStages:
    """The stages of an agent's turn in ms (:class:`bridge.telemetry.labels.TurnStage`)."""

    number: int
    stages: Mapping[str, float]
    total_ms: float | None


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A call of a tool, as the session saw it."""

    name: str
    arguments: Mapping[str, JsonValue]
    output: str | None
    start_ms: float
    end_ms: float | None
    ok: bool


@dataclass(frozen=True, slots=True)
class PressedKeys:
    """Keys that the caller pressed."""

    at_ms: float
    digits: str


@dataclass(frozen=True, slots=True)
class TransferMade:
    """A transfer to a person."""

    at_ms: float
    to: str
    way: str
    result: str


@dataclass(frozen=True, slots=True)
class JudgeQuote:
    """A judge's quote, with its speaker and its moment."""

    text: str
    speaker: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Judged:
    """A judge's answer to one question.

    Attributes:
        answer: `yes`, `no` or `unclear`; "" where there is none.
        verdict: what counts of it: an answer without a true quote is inconclusive.
        quotes: those that were found in the conversation.
        why: of what is inconclusive.
        model: that was asked, and its host.
    """

    question: str
    expected: str
    answer: str
    verdict: JudgeVerdict
    quotes: tuple[JudgeQuote, ...]
    why: str
    model: str
    tokens: int = 0
    cost_usd: float = 0.0


@dataclass(frozen=True, slots=True)
class RunDetail:
    """``result.json``: one call.

    Attributes:
        call: :meth:`bridge.replay.results.call.CallResult.as_json`.
        rtp: figures of the caller's stream and of the gateway's.
        off_script_from: from when on the talk had left the script; None if it hadn't.
        why: the reason of the verdict, in one line; "" for a pass.
        switched_off: kinds of the checks that the script's faults switch off.
        judged: the script's questions to a judge, in order.
    """

    call: Mapping[str, JsonValue]
    checks: tuple[Check, ...] = ()
    transcript: tuple[TranscriptTurn, ...] = ()
    turns: tuple[TurnStages, ...] = ()
    tools: tuple[ToolUse, ...] = ()
    dtmf: tuple[PressedKeys, ...] = ()
    transfer: TransferMade | None = None
    rtp: Mapping[str, JsonValue] = field(default_factory=dict)
    off_script_from: int | None = None
    why: str = ""
    switched_off: tuple[str, ...] = ()
    judged: tuple[Judged, ...] = ()


@dataclass(frozen=True, slots=True)
class Marker:
    """A moment of the call at which an event is marked."""

    at_ms: float
    lane: Literal["caller", "agent", "bridge"]
    kind: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class RunFiles:
    """The files of a call's folder.

    Attributes:
        wire, record: None where they are missing.
        audio: None where there is no file.
    """

    detail: RunDetail
    markers: tuple[Marker, ...] = ()
    wire: tuple[WireEvent, ...] | None = None
    record: Mapping[str, JsonValue] | None = None
    audio: Path | None = None
