"""Plays call scripts: dials, lets the scripted caller speak, and judges the agent.

Everything that blocks is done before the call (:func:`bridge.replay.call.preparation.prepare`) or
after it, in a worker thread, when PJSIP is gone.
"""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from bridge.clock import NS_PER_MS, Clock
from bridge.errors import InfrastructureError
from bridge.replay.call.caller import ScriptedCaller
from bridge.replay.call.fillers import find_fillers
from bridge.replay.call.preparation import PreparedScript
from bridge.replay.call.timeline import (
    CallLog,
    agent_heard_ms,
    make_interruptions,
    make_turns,
    voices,
)
from bridge.replay.chat.client import ChatModel
from bridge.replay.chat.stand_in import ChatStandIn
from bridge.replay.checks.call import judge
from bridge.replay.checks.check import Check, CheckStatus
from bridge.replay.evidence.evidence import CallerEvidence, Evidence
from bridge.replay.persona.caller import PersonaCaller
from bridge.replay.persona.mind import Mind, scripted_answers
from bridge.replay.persona.outcome import PersonaOutcome
from bridge.replay.results.call import CallOutcome, CallResult
from bridge.softphone.call import PhoneCall
from bridge.softphone.ear import EAR_HZ
from bridge.softphone.events import SoftphoneListener
from bridge.softphone.phone import Softphone
from bridge.softphone.sip_relay import SipRelay
from bridge.speech.recognition import HeardPiece
from bridge.telephony.rtp_stats import RtpStats

_REACTION_S = 15.0
"""RFC 3261 wants ringing at once; INVITEs sent again after 0.5, 1, 2 and 4 s fit in."""
_ANSWER_S = 60.0
_UNASKED, _NONE = "only bridge replay asks a judge", CheckStatus.INCONCLUSIVE


@dataclass(frozen=True, slots=True)
class CallLine:
    """The way of a call: whom to dial, from where, and what is kept of it.

    Attributes:
        uri: SIP URI to dial.
        host: our own address, see :class:`bridge.softphone.phone.Softphone`.
        recording: where the stereo recording goes; None records nothing.
        headers: of the INVITE, beside the usual ones.
    """

    uri: str
    host: str = "127.0.0.1"
    recording: Path | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Replay:
    """Plays one script once: dials, speaks, and judges what was heard.

    Args:
        prepared: the script.
        line: where to call.
        clock: stamps audio.
        on_event: hears what happens, in the loop's thread.

    Attributes:
        caller_side: what the caller knows of the call; None before its end.
    """

    def __init__(
        self,
        prepared: PreparedScript,
        line: CallLine,
        clock: Clock,
        on_event: SoftphoneListener = lambda event: None,
    ) -> None:
        self._prepared = prepared
        self._line = line
        self._clock = clock
        self._on_event = on_event
        self._call: PhoneCall | None = None
        self._stopped = False
        self._relay: SipRelay | None = None
        self.caller_side: CallerEvidence | None = None

    def stop(self) -> None:
        """Hang up; :meth:`run` goes on to judge what there was."""
        self._stopped = True
        if self._call is not None:
            self._call.hang_up()

    async def run(self) -> CallResult:
        """Place the call, play the script, hang up, and return what came of it.

        Raises:
            InfrastructureError: PJSIP can't start, or the recording can't be written.
            TelephonyError: the URI can't be called, or the far end takes no digits.
        """
        script, line = self._prepared.script, self._line
        async with AsyncExitStack() as stack:
            uri = line.uri
            if script.network is not None:
                self._relay = SipRelay(script.network, uri, self._clock)
                uri = (await stack.enter_async_context(self._relay)).uri
            phone = Softphone(
                self._clock,
                self._on_event,
                recording=line.recording,
                host=line.host,
                media=script.media,
                noise=self._prepared.noise,
                echo=script.echo,
            )
            model = await self._open_model(stack)
            await stack.enter_async_context(phone)
            headers = {**script.setup.headers, **line.headers}
            self._call = call = phone.call(uri, headers, caller=script.setup.from_)
            caller = self._make_caller(call, model)
            try:
                answered = not self._stopped and await self._is_answered(call)
                rang = call.rang
                if answered:
                    await caller.play()
            finally:
                await call.finish()
        if call.recording_failed:
            raise InfrastructureError(
                f"the recording {self._line.recording} could not be written",
                remedy="check the folder, its permissions and the free space",
            )
        if not answered:
            return self._unanswered(call, rang=rang)
        return await asyncio.to_thread(self._judge, call, caller)

    async def _open_model(self, stack: AsyncExitStack) -> ChatModel | None:
        """Open the persona's text model, or what stands in for it; None without a persona."""
        persona, ready = self._prepared.script.persona, self._prepared.persona
        if persona is None or ready is None:
            return None
        model = persona.model
        if model is None:
            stand_in = ChatStandIn(scripted_answers(persona.script))
            model = (await stack.enter_async_context(stand_in)).model
        return await stack.enter_async_context(ChatModel(model, ready.key))

    def _make_caller(self, call: PhoneCall, model: ChatModel | None) -> ScriptedCaller:
        persona, ready = self._prepared.script.persona, self._prepared.persona
        if persona is None or ready is None or model is None:
            return ScriptedCaller(call, self._prepared)
        mind = Mind(persona, model)
        name = model.name if persona.model is not None else "stand-in"
        return PersonaCaller(call, self._prepared, persona, ready, mind, name)

    async def _is_answered(self, call: PhoneCall) -> bool:
        gives_up_ms = self._prepared.script.gives_up_after_ms
        if gives_up_ms is not None:
            answered = await call.answered(gives_up_ms / 1000)
            self._stopped = not answered
            return answered
        if not await call.ringing(_REACTION_S):
            return False
        return await call.answered(_ANSWER_S)

    def _unanswered(self, call: PhoneCall, *, rang: bool) -> CallResult:
        if self._stopped:
            outcome = CallOutcome.CANCELLED
        elif call.leg.ended_by_far_end:
            outcome = CallOutcome.REFUSED
        else:
            outcome = CallOutcome.NO_ANSWER if rang else CallOutcome.FAILED
        self.caller_side = side = self._side(call, outcome, None)
        return CallResult(outcome, call.leg.last_code, checks=self._checks(side))

    def _judge(self, call: PhoneCall, caller: ScriptedCaller) -> CallResult:
        recognizer = self._prepared.recognizer
        utterances = call.ear.utterances
        fillers, voice = find_fillers(call.ear.audio, utterances)
        log = CallLog(
            deeds=caller.deeds,
            utterances=utterances,
            pieces=() if recognizer is None else recognizer.hear_all(voice, EAR_HZ),
            recognised=recognizer is not None,
            duration_ms=call.elapsed_ms,
            ended_by_far_end=call.leg.ended_by_far_end,
            cut_off=caller.cut_off,
            fillers=fillers,
        )
        if recognizer is None:
            spans = ((each.start_ms, each.end_ms or each.start_ms) for each in voices(log))
            log = replace(log, pieces=[HeardPiece(None, *span) for span in spans])
        persona = caller.outcome if isinstance(caller, PersonaCaller) else None
        self.caller_side = side = self._side(call, CallOutcome.ANSWERED, log, persona)
        return CallResult(
            outcome=CallOutcome.ANSWERED,
            sip_code=call.leg.last_code,
            answered_after_ms=call.answered_after_ms,
            duration_ms=call.elapsed_ms,
            ended_by="bridge" if log.ended_by_far_end else "caller",
            turns=make_turns(log),
            agent_heard_ms=agent_heard_ms(utterances),
            interruptions=make_interruptions(log),
            checks=self._checks(side),
            recording=self._line.recording,
            persona=persona,
        )

    def _checks(self, side: CallerEvidence) -> tuple[Check, ...]:
        """Judge by what the caller alone knows; the script's judge is asked elsewhere."""
        script = self._prepared.script
        asked = () if script.judge is None else script.judge.questions
        unasked = (
            Check(None, "judge", f'"{each.ask}" to be answered by {each.expect}', _UNASKED, _NONE)
            for each in asked
        )
        return (*judge(script, Evidence("", "", "", side)), *unasked)

    def _side(
        self,
        call: PhoneCall,
        outcome: CallOutcome,
        log: CallLog | None,
        persona: PersonaOutcome | None = None,
    ) -> CallerEvidence:
        return CallerEvidence(
            outcome=outcome,
            sip_code=call.leg.last_code,
            sip_call_id=call.leg.sip_call_id,
            answered_wall_ns=call.answered_wall_ns,
            answered_after_ms=call.answered_after_ms,
            log=log,
            recording=None if log is None else self._line.recording,
            rtp=_rtp_figures(call.leg.rtp),
            loss_pct=self._loss_pct(call.leg.rtp),
            persona=persona,
        )

    def _loss_pct(self, rtp: RtpStats | None) -> dict[str, float]:
        """Return what was lost on each way: as our network counted it, else as RTP and RTCP did."""
        if self._relay is not None:
            ways = {"to_bridge": self._relay.to_bridge, "to_caller": self._relay.to_caller}
            counts = {way: (each.passed, each.lost) for way, each in ways.items()}
        elif rtp is not None:
            counts = {
                "to_bridge": (rtp.sent.packets - rtp.sent.lost, rtp.sent.lost),
                "to_caller": (rtp.received.packets, rtp.received.lost),
            }
        else:
            counts = {}
        return {
            way: round(100 * lost / (arrived + lost), 1)
            for way, (arrived, lost) in counts.items()
            if arrived + lost > 0
        }


def _rtp_figures(rtp: RtpStats | None) -> dict[str, float | None]:
    """Return what the phone counted of what it received."""
    if rtp is None:
        return {}
    received = rtp.received
    return {
        "packets": received.packets,
        "lost": received.lost,
        "late": received.late,
        "jitter_ms": received.jitter_ns / NS_PER_MS,
    }
