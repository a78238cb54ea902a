"""One live call: the only place where a core's effects become I/O.

The runner listens to its leg, its line in the pump and its session, feeds their events to the
:class:`~bridge.engine.core.CallCore`, and carries out what comes back, in order. All in the loop's
thread; :meth:`CallRunner.run` is the call's one task and ends when everything of the call has.
"""

import asyncio
import contextvars
import random
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any

import structlog

from bridge.engine.core import CallCore
from bridge.engine.effects import (
    AnswerCall,
    CloseSession,
    Effect,
    FlushPlayout,
    HangUp,
    KeepSpeech,
    OpenSession,
    OpenSpare,
    PlayAudio,
    RejectCall,
    RingCall,
    Send,
    SendKeptAudio,
    StartTimer,
    StopTimer,
    SwitchArm,
    TakeSpare,
)
from bridge.engine.inputs import (
    AudioAppended,
    CallAnswered,
    CallEnded,
    CallOffered,
    DigitReceived,
    HoldChanged,
    Input,
    LastSoundSent,
    PlayoutDrained,
    PlayoutFlushed,
    PlayoutStarted,
    SessionFailed,
    SessionReady,
    ShutdownRequested,
    SoundStopped,
    Timer,
    TimerFired,
)
from bridge.engine.news import CallClosed
from bridge.errors import BridgeError, UpstreamError
from bridge.live.handoff import Handoffs
from bridge.live.policy import policy_of
from bridge.live.record import CallRecord
from bridge.live.recording import CallRecording
from bridge.live.safety_record import SafetyRecord
from bridge.live.services import Route, Services
from bridge.live.summary import CallSummary
from bridge.live.supervision import Supervision
from bridge.live.supervisor_actions import SupervisorActions
from bridge.live.tools import CallTools
from bridge.live.uplink import UplinkGate
from bridge.live.upstream import SessionNews, Upstream
from bridge.live.voice import BridgeVoice
from bridge.realtime.events import ServerEvent
from bridge.telemetry.labels import Path
from bridge.telemetry.logs import bind_call, call_context
from bridge.telephony.keys import KeyPress
from bridge.telephony.leg import Leg, LegState, TransferProgress
from bridge.telephony.lines import Line, Sound, Sounds

log = structlog.get_logger(__name__)

DISK_WITHIN_S = 10.0
"""For recording and record; a disk that hangs must not keep the call, and with it the gateway."""

SILENT_AFTER_S = 5.0
"""A caller who has heard nothing for so long after the answer is in a silent call."""


class CallRunner:
    """Runs one call. Make it within the callback that offers the leg, and start :meth:`run` there.

    Args:
        leg: an inbound leg in state INCOMING.
        route: dialplan and arm.
        services: what calls share.
    """

    def __init__(self, leg: Leg, route: Route, services: Services) -> None:
        self._recording = self._make_recording(leg, route, services)
        self.record = CallRecord(leg, route, services, self._recording)
        self._leg = leg
        self._route = route
        self._services = services
        policy = policy_of(route.dialplan, services.phrases, route.mode)
        if route.rescuer is not None and route.dealt is not None:
            policy = replace(policy, rescue_after_ms=round(route.dealt.plan.rescue_after_s * 1000))
        self._core = CallCore(policy, random.random)
        self._line: Line | None = None
        self._pending: deque[Input] = deque()
        self._feeding = False
        self._over = asyncio.Event()
        self._timers: dict[Timer, asyncio.TimerHandle] = {}
        self._silent: asyncio.TimerHandle | None = None
        self._answered = False
        self._captured_ns = 0
        self._appended_ms = 0.0
        self._appended_pieces = 0
        # Log lines carry the call; to enter a context costs a tenth of binding it anew each time.
        self._context = contextvars.copy_context()
        self._context.run(bind_call, leg.call_id)
        self._upstream = Upstream(
            route, services, self, leg.call_id, kept_ms=policy.recovery.kept_audio_ms
        )
        self._gate = UplinkGate(services.clock, services.append_ms)
        self._voice = BridgeVoice(
            services.pump,
            lambda: self._line,
            services.phrases,
            route.dialplan.agent.language,
            self.record.event,
        )
        self._handoffs = Handoffs(
            leg,
            self._feed,
            services.endpoint,
            services.pump,
            services.phrases,
            route.dialplan.agent.language,
        )
        self._tools = CallTools(
            leg,
            route.dialplan.agent.tools,
            services.webhooks,
            self._feed,
            lambda name: self.record.event("tool_called", {"tool": name}),
            self.record.tools.ended,
            clock=services.clock,
            facts=self.record.facts,
        )
        self.supervision = Supervision(
            SupervisorActions(
                dict(policy.handoff),
                route.dialplan.handoff,
                lambda text: services.phrases.at_hand(route.dialplan.agent.language, text),
            ),
            self._feed,
            self.record,
            services,
            lambda: self._line,
        )
        self._carry_out = self._handlers()
        leg.listener = self
        leg.before_row_closes(self._let_line_go)
        # Now: a CANCEL may come in this very poll, before the task runs, and ends the record.
        self._context.run(self.record.begin)

    def _make_recording(self, leg: Leg, route: Route, services: Services) -> CallRecording:
        return CallRecording(
            services.recording_of(leg.call_id, route.dialplan),
            {
                "call_id": leg.call_id,
                "route": route.dialplan.name,
                "caller": leg.from_uri,
                "called": leg.called,
                "keep_days": route.dialplan.recording.keep_days.model_dump(),
            },
            services.pump,
            services.clock,
            services.metrics.media,
            lambda kind, fields: self.record.event(kind, fields),
        )

    # The key is the handler's argument type, which a mapping's type cannot say.
    def _handlers(self) -> dict[type[Effect], Callable[[Any], None]]:
        safety = SafetyRecord(self.record, self._services, self._route.dialplan.agent.language)
        return {
            RingCall: lambda _: self._leg.ring(),
            AnswerCall: lambda _: self._leg.answer(),
            RejectCall: lambda effect: self._leg.reject(effect.sip_code, effect.reason),
            HangUp: lambda _: self._leg.hangup(),
            OpenSession: self._upstream.open,
            SwitchArm: self._switch_arm,
            OpenSpare: self._upstream.open_spare,
            TakeSpare: lambda _: self._upstream.take_spare(),
            SendKeptAudio: self._send_kept,
            KeepSpeech: lambda effect: self._upstream.keep_speech(effect.ms_ago),
            CloseSession: lambda _: self._upstream.close(),
            Send: lambda effect: self._upstream.send(effect.command),
            PlayAudio: self._play,
            FlushPlayout: self._flush,
            StartTimer: self._start_timer,
            StopTimer: self._stop_timer,
            CallClosed: self._close,
            **self._gate.effects,
            **self._voice.effects,
            **self._tools.effects,
            **self._handoffs.effects,
            **self.supervision.effects,
            **self._recording.effects,
            **self.record.effects,
            **safety.effects,
        }

    @property
    def route(self) -> Route:
        """What was decided about it."""
        return self._route

    @property
    def call_id(self) -> str:
        """Its id."""
        return self.record.summary.call_id

    @property
    def arm(self) -> str:
        """The arm that the call uses now."""
        return self._route.arm.name

    @property
    def round_trip_ms(self) -> float | None:
        """The last ping of the call's session; None before the first pong."""
        return self._upstream.round_trip_ms

    async def run(self) -> CallSummary:
        """Run the call to its end and to the end of all that it holds."""
        bind_call(self._leg.call_id)
        if not self._over.is_set():
            self._feed(CallOffered())
        try:
            await self._over.wait()
        except asyncio.CancelledError:
            self._feed(ShutdownRequested())
            raise
        finally:
            await self._clean_up()
        return self.record.summary

    def shut_down(self) -> None:
        """Ask the call to end because the gateway goes down."""
        self._feed(ShutdownRequested())

    def let_go(self) -> None:
        """Forget everything but the record, once :meth:`run` is over.

        The parts of a call know each other in circles. Broken, they are freed at once; else they
        wait for a full collection, and at 20 calls a second that is 60 MiB, and a tick of 100 ms.
        """
        self._leg.tell_nobody()
        record = self.record
        vars(self).clear()
        self.record = record

    # Listener of the leg

    def on_state(self, state: LegState) -> None:
        """Take the leg's state."""
        if state is LegState.DISCONNECTED:
            self._feed(CallEnded(self._leg.ended_by_far_end, self._leg.last_code))
        elif state is LegState.CONFIRMED:
            self._confirm()

    def on_media(self, flowing: bool) -> None:
        """Take up the leg's audio, or learn of a hold."""
        if self._line is None:
            self._take_up_audio()
            self._confirm()
            return
        self._line.playout.paused = not flowing
        self.record.caller.held(held=not flowing)
        self._feed(HoldChanged(not flowing))

    def on_digit(self, press: KeyPress) -> None:
        """Take a key, unless it was told before."""
        if self.record.caller.key(press):
            self._feed(DigitReceived(press.digit))

    def on_transfer(self, progress: TransferProgress) -> None:
        """Take how far a transfer is."""
        with call_context(self._leg.call_id):  # PJSIP's callback knows of no call
            self._handoffs.on_transfer(progress)

    # Listener of the line

    def on_caller_audio(self, audio: bytes, captured_ns: int) -> None:
        """Send caller audio up, from the moment on that the call is answered."""
        if not self._answered or not self._gate.lets_through(captured_ns):
            return
        self._captured_ns = captured_ns
        try:
            appended_ms = self._upstream.append(audio, captured_ns)
        except UpstreamError as error:
            self._feed(self._upstream.fail(error))
            return
        if appended_ms is not None:
            self._appended_ms = appended_ms
            self._appended_pieces += 1

    def on_playout(self, event: PlayoutStarted | PlayoutDrained) -> None:
        """Take what the caller hears."""
        self._recording.on_playout(event)
        self.record.vitals.on_playout(event)
        self._end_silence()
        self._feed(event)

    # Listener of the session

    def on_server_event(self, event: ServerEvent, received_ns: int) -> None:
        """Take an event of the session; it happened when the socket had it."""
        self.record.on_server_event(event)
        self._recording.on_server_event(event)
        self._feed(event, received_ns)

    def on_session(self, news: SessionNews) -> None:
        """Learn that a session or a spare stands, or is gone."""
        if isinstance(news, SessionReady):
            self.record.watch.session_ready()
        self._feed(news)

    def on_oddity(self, kind: str) -> None:
        """Put down that the session sends what is no event of its dialect."""
        self.record.watch.odd()
        self.record.event(kind)

    def on_uplink(self, added_ns: int) -> None:
        """Take what we added to the delay of caller audio."""
        self._services.metrics.media.added_latency(self._route.arm.name, Path.UPLINK, added_ns)

    def on_last_sound_sent(self, event: LastSoundSent) -> None:
        """Take how the end of a sound of the caller's went up."""
        self._feed(event)

    # The core

    def _feed(self, given: Input, at_ns: int | None = None) -> None:
        """Feed the core; what carrying out its effects brings in is fed after them.

        Appends come before it in one piece: the core reads their clock only at other events, and
        there are 25 a second in every call.

        Args:
            given: what happened.
            at_ns: when, if not now. Nothing was fed since.
        """
        if self._appended_pieces:
            pieces, self._appended_pieces = self._appended_pieces, 0
            appended = AudioAppended(self._appended_ms, self._captured_ns, pieces)
            self._pending.append(appended)
        self._pending.append(given)
        if self._feeding:
            return
        self._feeding = True
        try:
            self._context.run(self._feed_pending, at_ns)
        finally:
            self._feeding = False

    def _feed_pending(self, at_ns: int | None) -> None:
        given = len(self._pending) if at_ns is not None else 0
        while self._pending:
            now_ns = at_ns if given > 0 and at_ns is not None else self._services.clock.now_ns()
            given -= 1
            for effect in self._core.feed(self._pending.popleft(), now_ns):
                self._carry_out_one(effect)

    def _carry_out_one(self, effect: Effect) -> None:
        try:
            self._carry_out[type(effect)](effect)
        except UpstreamError as error:
            self._pending.append(self._upstream.fail(error))
        except BridgeError as error:
            log.warning("effect_failed", effect=type(effect).__name__, error=error.what)
            self._pending.append(SessionFailed(error))

    def _switch_arm(self, effect: SwitchArm) -> None:
        rescuer = self._route.rescuer
        if rescuer is None:
            raise AssertionError("there is no other arm")
        self.record.rescued(rescuer, effect.code)
        self._route = rescuer
        self._upstream.switch(rescuer)

    def _play(self, effect: PlayAudio) -> None:
        if self._line is not None:
            self._services.pump.play(
                self._line.row, effect.item_id, effect.content_index, effect.audio
            )

    def _flush(self, effect: FlushPlayout) -> None:
        parts = () if self._line is None else self._services.pump.flush(self._line.row)
        self._recording.on_agent_silent()
        self.record.vitals.on_agent_silent()
        self._pending.appendleft(PlayoutFlushed(parts))

    def _send_kept(self, effect: SendKeptAudio) -> None:
        sent_ms = self._upstream.send_kept(effect)
        self._pending.append(AudioAppended(sent_ms, self._captured_ns))

    def _start_timer(self, effect: StartTimer) -> None:
        self._stop_timer(StopTimer(effect.timer))
        loop = asyncio.get_running_loop()
        self._timers[effect.timer] = loop.call_later(
            effect.after_ms / 1000, self._feed, TimerFired(effect.timer)
        )

    def _stop_timer(self, effect: StopTimer) -> None:
        handle = self._timers.pop(effect.timer, None)
        if handle is not None:
            handle.cancel()

    def _close(self, effect: CallClosed) -> None:
        self.record.closed(effect)
        self._over.set()

    # Media

    def _take_up_audio(self) -> None:
        if self._leg.row is None:
            return
        self._line = self._services.pump.add(
            self._leg.row,
            self,
            self._recording.open(),
            on_downlink=self._on_downlink,
            sounds=Sounds(self._route.dialplan.agent.barge_in.sounds, self._on_sound),
        )
        self._recording.follow(self._leg.row)

    def _confirm(self) -> None:
        """Begin the conversation when our answer is confirmed and media flows, whatever is last."""
        if self._line is not None and self._leg.state is LegState.CONFIRMED and not self._answered:
            self._answered = True
            with call_context(self._leg.call_id):  # PJSIP's callback knows of no call
                self.record.answered()
                loop = asyncio.get_running_loop()
                self._silent = loop.call_later(SILENT_AFTER_S, self._count_silent)
            self._feed(CallAnswered())

    def _count_silent(self) -> None:
        self._services.metrics.turns.silent(self._route.arm.name)
        self.record.event("silent")

    def _end_silence(self) -> None:
        if self._silent is not None:
            self._silent.cancel()
            self._silent = None

    def _on_sound(self, event: Sound) -> None:
        if not self._answered:
            return
        self._recording.on_sound(event)
        self.record.vitals.on_sound(event)
        self._feed(event)
        if isinstance(event, SoundStopped):
            self._upstream.sound_ended(event.at_ns)

    def _on_downlink(self, added_ns: int) -> None:
        self._services.metrics.media.added_latency(self._route.arm.name, Path.DOWNLINK, added_ns)

    def _let_line_go(self, row: int) -> None:
        # First: the last of the caller's audio may still be worth an answer, which has no way out.
        self.supervision.on_line_gone()
        line, self._line = self._line, None
        self._recording.follow(None)
        self._services.pump.remove(row)
        for _ in range(0 if line is None else line.underruns):
            self._services.metrics.media.underrun(self._route.arm.name)

    async def _clean_up(self) -> None:
        self._end_silence()
        for timer in list(self._timers):
            self._stop_timer(StopTimer(timer))
        if self._line is not None:
            self._let_line_go(self._line.row)
        self.supervision.close()
        await self._tools.aclose()
        await self._voice.aclose()
        await self._handoffs.aclose()
        await self._upstream.aclose()
        directory = self._services.recordings_dir
        try:
            async with asyncio.timeout(DISK_WITHIN_S):
                await self._write(directory)
        except TimeoutError:
            log.error("record_not_written", directory=str(directory), error="the disk hangs")
        except OSError as error:
            log.error("record_not_written", directory=str(directory), error=error.strerror)

    async def _write(self, directory: FilePath) -> None:
        """Put recording and record on the disk; what hangs there is left to its thread."""
        await self._recording.aclose()
        await asyncio.to_thread(self.record.write, directory)
