"""One live call: the only place where a core's effects become I/O.

The runner listens to its leg and its session, the call's :mod:`~bridge.live.audio` to its line in
the pump. The :mod:`~bridge.live.driver` feeds what they hear to the
:class:`~bridge.engine.core.CallCore`, and has the parts of the call carry out what comes back, in
order. All in the loop's thread; :meth:`CallRunner.run` is the call's one task and ends when
everything of the call has.
"""

import asyncio
import random
from dataclasses import replace
from functools import partial

import structlog

from bridge.engine.core import CallCore
from bridge.engine.effects import (
    AnswerCall,
    RejectCall,
    RingCall,
)
from bridge.engine.inputs import (
    CallAnswered,
    CallEnded,
    CallOffered,
    DigitReceived,
    HoldChanged,
    ShutdownRequested,
)
from bridge.engine.media import AudioStopped, ProcessStopped
from bridge.engine.news import CallClosed
from bridge.engine.policy import CallPolicy, policy_of
from bridge.live.audio import CallAudio, Farewell
from bridge.live.driver import CallTimers, CoreDriver, Handlers
from bridge.live.handoff import Handoffs
from bridge.live.recording import CallRecording
from bridge.live.records.keeper import DISK_WITHIN_S
from bridge.live.records.record import CallRecord
from bridge.live.records.safety import SafetyRecord
from bridge.live.records.summary import CallSummary
from bridge.live.services import Route, Services
from bridge.live.supervision.supervisors import Supervision
from bridge.live.supervision.transfers import TransferTargets
from bridge.live.tools import CallTools
from bridge.live.upstream.listener import SessionListener
from bridge.live.upstream.sessions import Upstream
from bridge.live.voice import BridgeVoice
from bridge.sip.trace import CALLER
from bridge.telemetry.logs import bind_call, call_context, set_session
from bridge.telephony.keys import KeyPress
from bridge.telephony.leg import Leg, LegState, TransferProgress

log = structlog.get_logger(__name__)


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
        self._services = services
        policy = _policy_of(route, services)
        self._over = asyncio.Event()
        self._driver = CoreDriver(CallCore(policy, random.random), services.clock, leg.call_id)
        self._feed = self._driver.feed
        self._upstream = Upstream(
            route,
            services,
            SessionListener(self._feed, self.record, self._recording, services.metrics.media),
            leg.call_id,
            kept_ms=policy.recovery.kept_audio_ms,
        )
        self._timers = CallTimers(self._feed)
        audio = self._audio = CallAudio(
            services,
            self._driver,
            self._upstream,
            self.record,
            self._recording,
            route.dialplan.agent.barge_in.sounds,
        )
        self._farewell = Farewell(leg, audio, services.clock)
        language = route.dialplan.agent.language
        self._voice = BridgeVoice(
            services.pump,
            lambda: audio.line,
            services.phrases,
            language,
            self.record.event,
        )
        self._handoffs = Handoffs(
            leg,
            self._feed,
            services.endpoint,
            services.pump,
            services.phrases,
            language,
            route.origin.passed,
            audio.end_silence,
        )
        self._tools = self._make_tools(route)
        self.supervision = self._make_supervision(route, policy)
        self._handlers = self._make_handlers()
        self._driver.attach(self._handlers)
        traces, record = services.endpoint.traces, self.record
        traces.join(leg.call_id, leg.sip_call_id, CALLER)
        traces.describe(leg.call_id, lambda: record.owner, record.redactor.redact_header)
        leg.listener, leg.replaceable = self, True
        leg.passed = route.origin.passed
        leg.wanted_codec = route.arm.audio.codec
        leg.before_row_closes(self._let_line_go)
        # Now: a CANCEL may come in this very poll, before the task runs, and ends the record.
        self._driver.context.run(self.record.begin)

    def _make_recording(self, leg: Leg, route: Route, services: Services) -> CallRecording:
        return CallRecording(
            services.recording_of(leg.call_id, route.dialplan),
            {
                "call_id": leg.call_id,
                "route": route.dialplan.name,
                "caller": leg.from_uri,
                "asserted": route.origin.asserted,
                "called": leg.called,
                "keep_days": route.dialplan.recording.keep_days.model_dump(),
            },
            services.pump,
            services.clock,
            services.metrics.media,
            lambda kind, fields: self.record.event(kind, fields),
        )

    def _make_tools(self, route: Route) -> CallTools:
        record = self.record
        return CallTools(
            self._leg,
            route.dialplan.agent.tools,
            self._services.webhooks,
            self._feed,
            record.tools.began,
            record.tools.ended,
            clock=self._services.clock,
            facts=record.facts,
            trace_headers=record.trace_headers,
        )

    def _make_supervision(self, route: Route, policy: CallPolicy) -> Supervision:
        dialplan, phrases, audio = route.dialplan, self._services.phrases, self._audio
        return Supervision(
            TransferTargets(
                policy.handoff,
                dialplan.handoff,
                partial(phrases.at_hand, dialplan.agent.language),
                self._services.may_transfer,
            ),
            self._feed,
            self.record,
            self._services,
            lambda: audio.line,
        )

    def _make_handlers(self) -> Handlers:
        """Join the parts' handlers; none of them knows the runner, which would be a circle."""
        leg, upstream, audio, record = self._leg, self._upstream, self._audio, self.record
        over = self._over
        safety = SafetyRecord(record, self._services, upstream.route.dialplan.agent.language)

        def close(effect: CallClosed) -> None:
            record.closed(effect, audio.heard_ms)
            over.set()

        return Handlers(
            {
                RingCall: lambda _: leg.ring(),
                AnswerCall: lambda _: leg.answer(),
                RejectCall: lambda effect: leg.reject(effect.sip_code, effect.reason),
                CallClosed: close,
                **self._farewell.effects,
                **upstream.effects,
                **self._timers.effects,
                **audio.effects,
                **self._voice.effects,
                **self._tools.effects,
                **self._handoffs.effects,
                **self.supervision.effects,
                **self._recording.effects,
                **record.effects,
                **safety.effects,
            },
            upstream.fail,
        )

    @property
    def route(self) -> Route:
        """What was decided about it."""
        return self._upstream.route

    @property
    def call_id(self) -> str:
        """Its id."""
        return self.record.summary.call_id

    @property
    def arm(self) -> str:
        """The arm that the call uses now."""
        return self.record.summary.arm_in_use

    @property
    def is_over(self) -> bool:
        """Whether the call has ended, and only its record and its recording are being finished."""
        return self._over.is_set()

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
            try:
                await self._farewell.sent()
            finally:
                await self._let_go()
        return self.record.summary

    async def _let_go(self) -> None:
        try:
            await self._clean_up()
        finally:
            self.record.close_trace()
            self._leg.forget_listener()  # PJSIP may keep it for longer
            self._services.endpoint.traces.end(self._leg.call_id)
            set_session(self._leg.call_id, "")

    def shut_down(self) -> None:
        """Ask the call to end because the gateway goes down."""
        self._feed(ShutdownRequested())

    def process_stopped(self, ms: int) -> None:
        """Note that the process stood still, and the call's audio with it."""
        self.record.event("process_stopped", {"ms": ms})
        self._feed(ProcessStopped(ms))

    def audio_stopped(self, ms: int) -> None:
        """End the call, since the audio of this process stands still for good."""
        self.record.event("audio_stopped", {"ms": ms})
        self._feed(AudioStopped(ms))

    # Listener of the leg

    def on_state(self, state: LegState) -> None:
        """Take the leg's state."""
        if state is LegState.DISCONNECTED:
            leg = self._leg
            self._feed(CallEnded(leg.ended_by_far_end, leg.last_code, leg.lost))
        elif state is LegState.CONFIRMED:
            self._confirm()

    def on_media(self, flowing: bool) -> None:
        """Take up the leg's audio, or learn of a hold."""
        line = self._audio.line
        if line is None:
            if self._leg.row is not None:
                self._audio.take_up(self._leg.row)
            self._confirm()
            return
        line.playout.paused = not flowing
        self._services.metrics.media.reinvited()
        # PJSIP reports the re-INVITE itself, with its Contact, after the media.
        asyncio.get_running_loop().call_soon(self.record.keep_dialog)
        self.record.caller.held(held=not flowing)
        self._feed(HoldChanged(not flowing))

    def on_digit(self, press: KeyPress) -> None:
        """Take a key, unless it was reported before."""
        if self.record.caller.key(press):
            self._feed(DigitReceived(press.digit))

    def on_transfer(self, progress: TransferProgress) -> None:
        """Take how far a transfer is."""
        with call_context(self._leg.call_id):  # PJSIP's callback knows of no call
            self._handoffs.on_transfer(progress)

    def on_replaced(self) -> None:
        """Go on with another caller, as an attended transfer to the bridge gives us."""
        leg = self._leg
        self._services.endpoint.traces.join(leg.call_id, leg.sip_call_id, CALLER)
        with call_context(self._leg.call_id):  # PJSIP's callback knows of no call
            self.record.caller_replaced()

    def _confirm(self) -> None:
        """Begin the conversation when our answer is confirmed and media flows, whatever is last."""
        audio = self._audio
        if audio.line is None or audio.answered or self._leg.state is not LegState.CONFIRMED:
            return
        with call_context(self._leg.call_id):  # PJSIP's callback knows of no call
            self.record.answered()
            audio.begin()
        self._feed(CallAnswered())

    def _let_line_go(self, row: int) -> None:
        # First: the last of the caller's audio may still be worth an answer, which has no way out.
        self.supervision.on_line_gone()
        self._audio.let_go(row)

    async def _clean_up(self) -> None:
        self._audio.end_silence()
        self._timers.close()
        if self._audio.line is not None:
            self._let_line_go(self._audio.line.row)
        self.supervision.close()
        await self._tools.aclose()
        await self._voice.aclose()
        await self._handoffs.aclose()
        await self._upstream.aclose()
        try:
            async with asyncio.timeout(DISK_WITHIN_S):
                await self._recording.aclose()
        except TimeoutError:
            directory = str(self._services.recordings_dir)
            log.error("recording_not_closed", directory=directory, error="the disk hangs")
        await self._services.records.keep(self.record.finished())


def _policy_of(route: Route, services: Services) -> CallPolicy:
    at_hand = partial(services.phrases.at_hand, route.dialplan.agent.language)
    policy = policy_of(route.dialplan, at_hand, route.mode)
    if route.rescuer is None or route.dealt is None:
        return policy
    return replace(policy, rescue_after_ms=round(route.dealt.plan.rescue_after_s * 1000))
