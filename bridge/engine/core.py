"""One call's core: inputs in, effects out, nothing else.

Invariants: pure (no I/O, no clock, no task); every member of :data:`Input` has a handler or is
named among those that the core leaves alone; an event that comes again does nothing; the last
effect of every call is its one CallClosed, and nothing comes out after it. Runs in the loop's
thread; the runner carries out the effects of one input before it feeds the next, so that flushes
and reports of the playout keep their order.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, get_args

from bridge.audio.ledger import PlayoutDrained, PlayoutStarted
from bridge.audio.sounds import SoundLasted, SoundStarted, SoundStopped
from bridge.engine.agent import greeting, playout, responses
from bridge.engine.call import goodbye, lifecycle
from bridge.engine.call.state import Stage
from bridge.engine.caller import barge_in, interruption, silence, turn, words
from bridge.engine.consent import disclosure
from bridge.engine.duplex import delegation, listening, voice
from bridge.engine.effects import Effect, PlayAudio
from bridge.engine.handoff import person, transfer
from bridge.engine.inputs import (
    AgentElsewhere,
    AnnouncementHeard,
    CallAnswered,
    CallEnded,
    CallOffered,
    DigitReceived,
    HoldChanged,
    Input,
    PersonAnswered,
    PersonHeld,
    PersonLeft,
    PersonPressed,
    PersonSpoke,
    SessionFailed,
    SessionReady,
    ShutdownRequested,
    SpareFailed,
    SpareReady,
    SupervisorActed,
    SupervisorHeard,
    SupervisorLost,
    TimerFired,
    ToolFinished,
    TransferCompleted,
    TransferFailed,
    TransferProgressed,
)
from bridge.engine.keypad import collecting, keys
from bridge.engine.media import (
    AudioAppended,
    AudioLost,
    AudioStopped,
    LastSoundSent,
    PlayoutFlushed,
    ProcessStopped,
)
from bridge.engine.news import TransitionRefused
from bridge.engine.policy import CallPolicy
from bridge.engine.session import liveness, recovery, rollover, way_out
from bridge.engine.state import CallState, Effects
from bridge.engine.supervision import orders
from bridge.engine.timers import Timer
from bridge.engine.tools import calls, mcp
from bridge.engine.turns import State
from bridge.engine.voice import dead_air, filler, speech
from bridge.realtime import duplex_events as duplex
from bridge.realtime import events
from bridge.realtime.ids import ResponseId

__all__ = ["IGNORED", "LIFECYCLE", "TALK", "CallCore", "CallPolicy"]

# Each handler takes the member of Input that is its key (a test holds the two together), which
# a mapping's type cannot say.
Handler = Callable[[CallState, Any, int], Effects]

TIMERS: Mapping[Timer, Callable[[CallState, int], Effects]] = MappingProxyType(
    {
        Timer.SESSION_READY: lifecycle.on_session_late,
        Timer.RESPONSE: responses.on_response_overdue,
        Timer.MAX_DURATION: goodbye.on_max_duration,
        Timer.KEYPAD: keys.on_no_key,
        Timer.LAST_TONE: collecting.on_last_tone_over,
        Timer.MAX_WARNING: goodbye.on_max_warning,
        Timer.CLOSING: lifecycle.on_closing_late,
        Timer.FILLER: filler.on_silence_too_long,
        Timer.RETRY: recovery.on_retry_due,
        Timer.STALLED: responses.on_stalled,
        Timer.ROLLOVER: recovery.on_life_timer,
        Timer.TRANSFER: transfer.on_transfer_overdue,
        Timer.FALSE_STOP: barge_in.on_false_stop,
        Timer.OPEN_TURN: turn.on_turn_overdue,
        Timer.WORDS: words.on_words_paused,
        Timer.UNHEARD: liveness.on_unheard,
        Timer.APOLOGY: dead_air.on_apology_due,
        Timer.OFFER: dead_air.on_offer_due,
        Timer.CALLER_SILENT: silence.on_caller_silent,
        Timer.CALLER_CAP: silence.on_caller_cap,
        Timer.RESCUE: way_out.on_rescue_due,
        Timer.GREETING: greeting.on_greeting_late,
        Timer.CONSENT: disclosure.on_answer_overdue,
        Timer.SUPERVISOR: orders.on_supervisor_overdue,
    }
)
"""The handler of each timer that runs out."""


def _on_timer_fired(call: CallState, event: TimerFired, now_ns: int) -> Effects:
    """Act on a timer; one that was stopped while it fired is stale."""
    if event.timer in call.timers:
        call.timers.remove(event.timer)
        yield from TIMERS[event.timer](call, now_ns)


LIFECYCLE: Mapping[type[Input], Handler] = MappingProxyType(
    {
        CallOffered: lifecycle.on_call_offered,
        SessionReady: lifecycle.on_session_ready,
        SessionFailed: recovery.on_session_failed,
        AgentElsewhere: way_out.on_agent_elsewhere,
        SpareReady: recovery.on_spare_ready,
        SpareFailed: rollover.on_spare_failed,
        CallAnswered: lifecycle.on_call_answered,
        CallEnded: lifecycle.on_call_ended,
        ShutdownRequested: lifecycle.on_shutdown_requested,
        TimerFired: _on_timer_fired,
        events.ConversationCreated: lifecycle.on_conversation_created,
        events.ItemAdded: mcp.on_item_added,
        events.McpToolsListed: mcp.on_tools_listed,
        events.ErrorReported: responses.on_error_reported,
        events.SessionUpdated: liveness.on_session_updated,
        duplex.SessionClosed: recovery.on_session_closed,
        duplex.VoiceDelta: voice.on_voice_delta,
        duplex.VoiceTranscriptDelta: voice.on_voice_transcript,
        duplex.WorkDelegated: delegation.on_work_delegated,
        duplex.DelegatedCreated: delegation.on_delegated_created,
        duplex.DelegatedDone: delegation.on_delegated_done,
        HoldChanged: turn.on_hold_changed,
        ProcessStopped: dead_air.on_process_stopped,
        AudioStopped: lifecycle.on_audio_stopped,
        PersonAnswered: person.on_answered,
        PersonLeft: person.on_left,
        SupervisorActed: orders.on_acted,
        SupervisorHeard: orders.on_heard,
        SupervisorLost: orders.on_lost,
    }
)
"""Inputs that mean something at any time."""

TALK: Mapping[type[Input], Handler] = MappingProxyType(
    {
        AudioAppended: turn.on_audio_appended,
        LastSoundSent: turn.on_last_sound_sent,
        SoundStarted: barge_in.on_sound_started,
        SoundLasted: barge_in.on_sound_lasted,
        SoundStopped: barge_in.on_sound_stopped,
        events.SpeechStarted: barge_in.on_speech_started,
        events.SpeechStopped: turn.on_speech_stopped,
        events.InputCommitted: turn.on_input_committed,
        events.InputCleared: turn.on_input_cleared,
        events.InputTranscriptCompleted: words.on_input_transcript,
        events.InputTranscriptFailed: barge_in.on_transcript_failed,
        DigitReceived: keys.on_digit,
        events.ResponseCreated: responses.on_response_created,
        events.AudioDelta: responses.on_audio_delta,
        AudioLost: responses.on_audio_lost,
        events.AudioDone: responses.on_audio_done,
        events.TranscriptDelta: responses.on_transcript_delta,
        events.TranscriptDone: responses.on_transcript_done,
        events.ResponseDone: responses.on_response_done,
        events.OutputItemDone: calls.on_output_item_done,
        duplex.DelegatedItemDone: calls.on_delegated_item_done,
        duplex.CallerTranscriptDelta: words.on_caller_transcript,
        events.McpCallChanged: mcp.on_call_changed,
        events.OutputItemAdded: mcp.on_output_item_added,
        ToolFinished: calls.on_tool_finished,
        TransferProgressed: transfer.on_transfer_progressed,
        TransferCompleted: transfer.on_transfer_completed,
        TransferFailed: transfer.on_transfer_failed,
        AnnouncementHeard: person.on_announcement_heard,
        PersonSpoke: person.on_spoke,
        PersonPressed: person.on_pressed,
        PersonHeld: person.on_held,
        PlayoutStarted: playout.on_playout_started,
        PlayoutDrained: playout.on_playout_drained,
        PlayoutFlushed: interruption.on_playout_flushed,
    }
)
"""Inputs of the conversation: refused before the call is answered."""

WATCHES: tuple[Callable[[CallState, Input, int], Effects], ...] = (
    listening.watch_listening,
    words.watch_words,
    delegation.watch_delegated,
    barge_in.watch_barge_in,
    disclosure.watch_consent,
    way_out.watch_way_out,
    transfer.watch_handoff,
    orders.watch_supervision,
    keys.watch_keypad,
    speech.watch_speech,
    turn.watch_open_turn,
    liveness.watch_liveness,
    recovery.watch_unheard,
    dead_air.watch_waiting,
    dead_air.watch_dead_air,
    silence.watch_caller,
)
"""The watches that run after an input, in this order: who has the floor decides the rest."""

_BY_SESSION = "left to the session layer"
_BY_RESPONSE = "items are followed through their response or their turn"
_LATER_WHOLE = "announced again, whole, by a later event"
_BY_SERVER = "the server runs it alone"
_OTHER_TRANSPORT = "for other transports (WebRTC, SIP)"
_UNHEARD = "nothing of a text answer can be heard"

IGNORED: Mapping[type[Input], str] = MappingProxyType(
    {
        events.SessionCreated: _BY_SESSION,
        events.RateLimitsUpdated: "only tells; a limit that bites fails its response",
        events.UnknownEvent: "counted by the session layer",
        events.QuietEvent: "counted by the session layer, and not passed on",
        events.ItemDone: _BY_RESPONSE,
        events.ItemRetrieved: _BY_RESPONSE,
        events.ItemTruncated: _BY_RESPONSE,
        events.ItemDeleted: _BY_RESPONSE,
        events.ContentPartAdded: _BY_RESPONSE,
        events.ContentPartDone: _BY_RESPONSE,
        events.FunctionArgumentsDelta: _LATER_WHOLE,
        events.FunctionArgumentsDone: _LATER_WHOLE,
        events.InputTranscriptDelta: _LATER_WHOLE,
        events.InputTranscriptSegment: _LATER_WHOLE,
        events.InputTimedOut: "the commit that follows opens the turn",
        events.TextDelta: _UNHEARD,
        events.TextDone: _UNHEARD,
        events.McpArgumentsDelta: _BY_SERVER,
        events.McpArgumentsDone: _BY_SERVER,
        events.OutputBufferChanged: _OTHER_TRANSPORT,
        events.DtmfReceived: _OTHER_TRANSPORT,
        duplex.DelegatedProgressed: _LATER_WHOLE,
        duplex.ContextAppended: "what comes of it is heard",
        duplex.SessionTimeUsed: "a full-duplex session is billed by its time, which is known here",
        duplex.NoticeGiven: "no error",
    }
)
"""Inputs that the core leaves alone, and why."""

_TURNS_OF_CALLER = frozenset(
    {events.SpeechStarted, events.SpeechStopped, events.InputCommitted, events.InputCleared}
)
"""Late news of a caller whom the agent does not hear any more."""

_PIECES = (events.AudioDelta, events.TranscriptDelta)
"""Pieces of an answer: some 30 a second while the agent speaks."""

_VOICE = ResponseId("voice")
"""Stands for all that a full-duplex service streams."""

_SERVER_EVENTS: frozenset[type] = frozenset(get_args(events.ServerEvent))
_WORD_START = re.compile(r"(?<!^)(?=[A-Z])")


class CallCore:
    """The decisions of one call.

    Args:
        policy: what the dialplan decided.
        jitter: draws a number in [0, 1), to spread the calls that lost one server together.
    """

    def __init__(self, policy: CallPolicy, jitter: Callable[[], float] = lambda: 0.5) -> None:
        self._call = CallState(policy, jitter=jitter)
        self._streaming: ResponseId | None = None

    @property
    def state(self) -> State:
        """Where the turn machine stands."""
        return self._call.turns.state

    @property
    def closed(self) -> bool:
        """Whether CallClosed was given: nothing more will come."""
        return self._call.stage is Stage.CLOSED

    def feed(self, event: Input, now_ns: int) -> list[Effect]:
        """Take one input.

        Args:
            event: what happened.
            now_ns: monotonic time of it, never before that of the input before.

        Returns:
            What to do about it, in this order; at most one StateChanged, last but for CallClosed.
        """
        call = self._call
        if call.stage is Stage.CLOSED:
            return []
        if isinstance(event, AudioAppended) and call.stage is Stage.TALKING:
            # Fifty times a second of every call: nothing that is watched below can have changed.
            return list(turn.on_audio_appended(call, event, now_ns))
        # Only server events carry an event_id, and not all of those (`PROTOCOL.md` section 3).
        event_id = getattr(event, "event_id", None)
        if call.session.seen.repeated(event_id):
            return []
        call.last_event_id = event_id or call.last_event_id
        kind = type(event)
        if kind in _SERVER_EVENTS and call.stage is Stage.TALKING:
            if call.lost and (kind in TALK or kind is events.ErrorReported):
                return [TransitionRefused(call.turns.state, _word(kind))]
            call.log.feed(event)  # type: ignore[arg-type]  # its type is one of the union's
        if kind in IGNORED or (call.handing_over and kind in _TURNS_OF_CALLER):
            return []
        handler = LIFECYCLE.get(kind)
        if handler is None:
            if call.stage is not Stage.TALKING:
                return [TransitionRefused(call.turns.state, _word(kind))]
            handler = TALK[kind]
        effects = list(handler(call, event, now_ns))
        if self.closed:
            return [*dead_air.silence_at_close(call, now_ns), *effects]
        effects.extend(self._watch(event, effects, now_ns))
        effects.extend(call.take_changes())
        return effects

    def _watch(self, event: Input, done: Sequence[Effect], now_ns: int) -> list[Effect]:
        """Look at the call after an input, of which ``done`` has come.

        Not after a piece of an answer that follows on audio of it at which there was nothing to do:
        nothing that is watched can have changed between the two.
        """
        stream = _stream_of(event, done)
        if stream is not None and stream == self._streaming:
            return []
        effects = [effect for watch in WATCHES for effect in watch(self._call, event, now_ns)]
        streams = isinstance(event, events.AudioDelta | duplex.VoiceDelta) and not effects
        self._streaming = stream if streams else None
        return effects


def _stream_of(event: Input, done: Sequence[Effect]) -> ResponseId | None:
    """Return the stream that a piece of the agent's belongs to, if it is only more of it."""
    if isinstance(event, duplex.VoiceDelta):
        return _VOICE if all(isinstance(effect, PlayAudio) for effect in done) else None
    return event.response_id if isinstance(event, _PIECES) else None


def _word(kind: type[Input]) -> str:
    return _WORD_START.sub("_", kind.__name__).lower()
