"""A call at hand for tests: a core on a manual clock, with the events that a server would send."""

from typing import TypeVar

from bridge.audio.ledger import PlayedItem, PlayoutStarted
from bridge.clock import ManualClock
from bridge.engine.core import CallCore, CallPolicy
from bridge.engine.effects import Effect
from bridge.engine.inputs import CallAnswered, CallOffered, Input, SessionReady
from bridge.engine.media import AudioAppended, PlayoutFlushed
from bridge.realtime.event_values import ResponseStatus
from bridge.realtime.events import (
    AudioDelta,
    OutputItemDone,
    ResponseCreated,
    ResponseDone,
    SpeechStarted,
    SpeechStopped,
    TranscriptDelta,
    TranscriptDone,
)
from bridge.realtime.ids import ItemId, ResponseId, ToolCallId
from bridge.realtime.items import FunctionCall, ItemStatus
from tests.support.policies import call_policy

SILENT = call_policy(greet=False)
R1, R2 = ResponseId("resp_1"), ResponseId("resp_2")
A1, A2 = ItemId("item_agent_1"), ItemId("item_agent_2")
U1, U2 = ItemId("item_user_1"), ItemId("item_user_2")
T1, T2 = ToolCallId("call_1"), ToolCallId("call_2")
MS = 1_000_000

EffectT = TypeVar("EffectT", bound=Effect)


class Call:
    """One call under test; ``feed`` returns the effects of all its inputs."""

    def __init__(self, policy: CallPolicy = SILENT) -> None:
        self.core = CallCore(policy)
        self.clock = ManualClock(now_ns=5_000 * MS)

    def feed(self, *inputs: Input, after_ms: float = 0) -> list[Effect]:
        now_ns = self.clock.advance_ms(after_ms)
        return [effect for event in inputs for effect in self.core.feed(event, now_ns)]


def answered(policy: CallPolicy = SILENT) -> Call:
    call = Call(policy)
    call.feed(CallOffered(), SessionReady("sess_1"), CallAnswered())
    return call


def thinking(policy: CallPolicy = SILENT) -> Call:
    """The caller has spoken; response R1 runs."""
    call = answered(policy)
    call.feed(AudioAppended(1_000, call.clock.now_ns()), started(), stopped(), ResponseCreated(R1))
    return call


def speaking(policy: CallPolicy = SILENT, audio_ms: int = 2_000) -> Call:
    """Response R1 runs, ``audio_ms`` of A1 came, and the caller hears its first samples."""
    call = thinking(policy)
    call.feed(audio(A1, R1, audio_ms), PlayoutStarted(A1, 0))
    return call


def started(item_id: ItemId = U1) -> SpeechStarted:
    return SpeechStarted(item_id, 0)


def stopped(audio_end_ms: int = 1_000, item_id: ItemId = U1) -> SpeechStopped:
    return SpeechStopped(item_id, audio_end_ms)


def audio(
    item_id: ItemId, response_id: ResponseId, audio_ms: int = 100, content_index: int = 0
) -> AudioDelta:
    return AudioDelta(
        response_id=response_id,
        item_id=item_id,
        content_index=content_index,
        audio=bytes(48 * audio_ms),
    )


def said(item_id: ItemId, response_id: ResponseId, delta: str) -> TranscriptDelta:
    return TranscriptDelta(response_id=response_id, item_id=item_id, delta=delta)


def said_all(item_id: ItemId, response_id: ResponseId, transcript: str) -> TranscriptDone:
    return TranscriptDone(response_id=response_id, item_id=item_id, transcript=transcript)


def done(
    response_id: ResponseId, status: ResponseStatus = ResponseStatus.COMPLETED
) -> ResponseDone:
    return ResponseDone(response_id, status)


def wants_tool(
    call_id: ToolCallId = T1,
    name: str = "lookup",
    response_id: ResponseId = R1,
    status: ItemStatus = ItemStatus.COMPLETED,
) -> OutputItemDone:
    return OutputItemDone(response_id, 0, FunctionCall(call_id, name, "{}", status=status))


def flushed(*parts: tuple[ItemId, int, int]) -> PlayoutFlushed:
    """Parts as (item, played_ms, queued_ms), content_index 0."""
    return PlayoutFlushed(
        tuple(PlayedItem(item, 0, played, queued) for item, played, queued in parts)
    )


def of(kind: type[EffectT], effects: list[Effect]) -> list[EffectT]:
    return [effect for effect in effects if isinstance(effect, kind)]
