"""One SIP call leg: its dialog, its media row, its digits.

Everything here runs in the loop's thread, inside the endpoint's poll. PJSUA's call object is kept
and dropped by :mod:`bridge.telephony.pj_calls`. Listener methods are called from within the poll,
too, and must return quickly.
"""

import asyncio
import contextlib
import enum
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NewType, Protocol, Self

import structlog

from bridge.clock import SystemClock
from bridge.config.trunks import Codec
from bridge.errors import Outcome, TelephonyError
from bridge.sip.dialog import Dialog, routes_of, uri_of_contact
from bridge.telephony.end_reasons import HEADER, EndReason, reason_for
from bridge.telephony.info import Info
from bridge.telephony.keys import KeyFilter, KeyPress
from bridge.telephony.library import import_pjsua2
from bridge.telephony.ports import ConferencePort, MediaPorts
from bridge.telephony.rtp_stats import RtpStats, add

pj: Any = import_pjsua2()
log = structlog.get_logger(__name__)

CallId = NewType("CallId", str)

_FIRST_FINAL_CODE = 200
"""SIP statuses from here on are final (RFC 3261 section 7.2), whatever the subscription does."""

_TIMED_OUT = 408
_UNANSWERED = frozenset({_TIMED_OUT, 481, 503})

_DIALOG_GONE = 481
"""What a request gets whose dialog is no more (RFC 3261 section 12.2.2)."""

NO_MEDIA = 488
"""SIP status of a call that ends because no media was agreed on (RFC 3261 section 21.4.26)."""

_PAUSE_S = 0.5
_INFO_ANSWER_S = 5.0


def new_call_id() -> CallId:
    """Make a call id: unique over nodes, fit for a Redis key and a file name."""
    return CallId(f"c_{secrets.token_hex(8)}")


class LegState(enum.StrEnum):
    """The INVITE session's state (RFC 3261 section 13)."""

    CALLING = "calling"
    INCOMING = "incoming"
    EARLY = "early"
    CONFIRMED = "confirmed"
    DISCONNECTED = "disconnected"


class Lost(enum.StrEnum):
    """Why a far end is taken to be gone, though it has not hung up."""

    NO_MEDIA = "no_media"
    NO_ANSWER = "no_answer"


@dataclass(frozen=True, slots=True)
class TransferProgress:
    """The far end's report on a transfer (RFC 3515 section 2.4).

    Attributes:
        sip_code: of the REFER where that was refused, else of the far end's own call to the target;
            100 for a REFER that was taken.
        over: this is the last report.
    """

    sip_code: int
    over: bool

    @property
    def completed(self) -> bool:
        """Whether the far end reached the target."""
        return 200 <= self.sip_code < 300


class LegListener(Protocol):
    """The interface of whatever follows a leg."""

    def on_state(self, state: LegState) -> None:
        """Learn of a new state; DISCONNECTED comes once and is the last."""
        ...

    def on_media(self, flowing: bool) -> None:
        """Learn that media flows, or that the far end put the call on hold."""
        ...

    def on_digit(self, press: KeyPress) -> None:
        """Learn of a key, or that one came again by another method."""
        ...

    def on_transfer(self, progress: TransferProgress) -> None:
        """Learn how far a :meth:`Leg.transfer` is; one that is over comes once and is the last."""
        ...

    def on_replaced(self) -> None:
        """Learn that another far end has taken the place of the one so far (RFC 3891)."""
        ...


class _Deaf:
    """The listener of a leg that nobody has taken yet."""

    def on_state(self, state: LegState) -> None: ...

    def on_media(self, flowing: bool) -> None: ...

    def on_digit(self, press: KeyPress) -> None: ...

    def on_transfer(self, progress: TransferProgress) -> None: ...

    def on_replaced(self) -> None: ...


@dataclass(frozen=True, slots=True)
class FarEnd:
    """Whom a leg is with, as their INVITE says."""

    sip_call_id: str
    from_uri: str
    to_uri: str
    headers: Mapping[str, tuple[str, ...]]
    source: str
    trunk: str = ""


class Heir(Protocol):
    """Another dialog, about to take a leg's place (:mod:`bridge.telephony.succession`)."""

    def inherit(self) -> None:
        """Take the leg's place now: the leg's own dialog is over."""
        ...

    def give_up(self) -> None:
        """End: the leg is over."""
        ...


class Leg:
    """One call, inbound or outbound.

    Attributes:
        called: user part of the Request-URI (inbound) or of the dialled URI.
        source: host that the INVITE came from; "" where we called.
        trunk: that its address or its user is of, or that it leads to; "" for none.
        rtp: figures of its RTP up to the end of its last stream; None where there was none.
        headers: of an inbound INVITE, values by lower-case name.
        row: its row in the rings, from the first media until it ends; None before and after.
        telephone_event: keys go as RFC 4733 events, as both sides offered them.
        last_code: last SIP status of the INVITE.
        ended_by_far_end: who sent BYE or CANCEL, or refused.
        far_end_reason: Reason header of the far end's BYE or CANCEL (RFC 3326); "" without one.
        lost: why the far end is taken to be gone without a BYE; None while it is not.
        transferring: the far end owes us news of a :meth:`transfer`.
        answer_sent: it was sent a 200, which may be without its ACK yet.
        outbound: the bridge has called.
        replaceable: another far end may take this one's place, as in an attended transfer.
        heir: the dialog that is about to do so.
        passed: headers of the caller's INVITE that go on in every BYE of ours.
        wanted_codec: what the call's service takes as it is; None where any will do. It counts from
            the next offer or answer on.
    """

    def __init__(self, ports: MediaPorts, *, called: str, from_uri: str, to_uri: str) -> None:
        self.call_id = new_call_id()
        self.called = called
        self.from_uri = from_uri
        self.to_uri = to_uri
        self.sip_call_id = ""
        self.headers: Mapping[str, tuple[str, ...]] = {}
        self.source = self.trunk = ""
        self.codec = ""
        self.wanted_codec: Codec | None = None
        self.state = LegState.INCOMING
        self.held = False
        self.row: int | None = None
        self.telephone_event = False
        self.rtp: RtpStats | None = None
        self.last_code = 0
        self.ended_by_far_end = True
        self.far_end_reason = ""
        self.lost: Lost | None = None
        self.answer_sent = False
        self.outbound = False
        self.replaceable = False
        self.heir: Heir | None = None
        self.passed: Mapping[str, str] = {}
        self.listener: LegListener = _Deaf()
        self._ports = ports
        self.transferring = False
        self._keys = KeyFilter(SystemClock())
        self._info_answered: asyncio.Future[int] | None = None
        self._pj_call: Any = None  # SWIG object without types
        self._release: Callable[[Leg], None] = lambda leg: None
        self._is_offered = True
        self._ended_with: int | None = None
        self._closing_row: Callable[[int], None] = _no_row
        self._media_agreed = False

    @classmethod
    def offered(cls, ports: MediaPorts, called: str, far_end: FarEnd) -> Self:
        """Return the leg of an INVITE that came in."""
        leg = cls(ports, called=called, from_uri=far_end.from_uri, to_uri=far_end.to_uri)
        leg._name_far_end(far_end)
        leg._is_offered = False
        return leg

    def offer(self, take: Callable[["Leg"], None]) -> None:
        """Hand the leg of an INVITE to its taker.

        A caller may take the INVITE back before that: the taker then learns of the end after the
        beginning, as of any other call's.
        """
        try:
            take(self)
        finally:
            self._is_offered = True
            if self._ended_with is not None:
                self.on_pj_state(LegState.DISCONNECTED, self._ended_with)

    def bind(self, pj_call: Any, release: Callable[["Leg"], None]) -> None:
        """Give the leg its PJSUA call, and whom to notify when it has ended (the endpoint)."""
        self._pj_call = pj_call
        self._release = release

    def unbind(self) -> None:
        """Have nothing to do with the PJSUA call any more."""
        self._pj_call = None

    def rebind(self, pj_call: Any, far_end: FarEnd) -> Any:
        """Go on with another PJSUA call, which is confirmed; return the one so far.

        What was asked of the far end so far will not be answered any more.
        """
        former, self._pj_call = self._pj_call, pj_call
        self.heir = None
        self._media_agreed = False
        self._name_far_end(far_end)
        self._keys = KeyFilter(SystemClock())
        self.on_pj_info_answered(_DIALOG_GONE)
        self.on_pj_transfer(_DIALOG_GONE, final=True)
        self.listener.on_replaced()
        return former

    def _name_far_end(self, far_end: FarEnd) -> None:
        self.from_uri, self.to_uri = far_end.from_uri, far_end.to_uri
        self.headers, self.source = far_end.headers, far_end.source
        self.trunk = far_end.trunk
        self.sip_call_id = far_end.sip_call_id

    def ring(self) -> None:
        """Send 180 Ringing."""
        parameters = audio_only()
        parameters.statusCode = 180
        self._do("answer", lambda: self._pj_call.answer(parameters))

    def answer(self) -> None:
        """Send 200 OK."""
        parameters = audio_only()
        parameters.statusCode = 200
        self._do("answer", lambda: self._pj_call.accept(parameters))
        self.answer_sent = True

    def reject(self, sip_code: int, reason: str, headers: Mapping[str, str] | None = None) -> None:
        """Refuse the INVITE with a final status, or end the call if it is answered already.

        PJSUA gives the BYE of an answered call the status as its Reason (RFC 3326).
        """
        if self._pj_call is None:
            return
        self.ended_by_far_end = False
        parameters = self.farewell
        parameters.statusCode = sip_code
        parameters.reason = reason
        add_headers(parameters, headers or {})
        if sip_code and self.state is LegState.INCOMING:
            # While the INVITE is still being offered, PJSUA's hangup would lose the headers.
            self._do("answer", lambda: self._pj_call.answer(parameters))
        else:
            self._do("hangup", lambda: self._end(parameters))

    def _end(self, parameters: Any) -> None:
        if not self._pj_call.end(parameters) and self.row is not None:
            self._ports.disconnect(self.row)  # nobody talks on while the ACK is awaited

    @property
    def farewell(self) -> Any:
        """Make a `CallOpParam`, a SWIG object without types, for the end of a dialog of the leg's.

        A refusal and a CANCEL have no headers of the caller's: nobody has talked yet.
        """
        parameters = pj.CallOpParam()
        if self.answer_sent or self.state is LegState.CONFIRMED:
            add_headers(parameters, self.passed)
        return parameters

    def lose(self, why: Lost) -> None:
        """End the call, whose far end is gone; nobody waits for its answer.

        Where another far end is about to take its place, that one is waited for.
        """
        if self.heir is not None:
            return
        self.lost = why
        log.warning("far_end_lost", call_id=self.call_id, reason=self.lost)
        with contextlib.suppress(TelephonyError):  # then PJSIP has ended it
            self.hangup(reason_for(Outcome.CALLER_LOST))
        self.ended_by_far_end = True
        self.on_pj_state(LegState.DISCONNECTED, _TIMED_OUT)

    def ask(self) -> None:
        """Ask the far end within the dialog if it is still there; PJSIP ends the call if not."""
        parameters = pj.CallSendRequestParam()
        parameters.method = "OPTIONS"
        self._do("sendRequest", lambda: self._pj_call.sendRequest(parameters))

    @property
    def signs(self) -> tuple[int, int]:
        """How often the far end has been heard of so far: by RTP and RTCP, and by SIP."""
        return (0, 0) if self._pj_call is None else self._pj_call.signs()

    @property
    def packets_heard(self) -> int:
        """Packets of RTP that came in the present stream, and were played."""
        return 0 if self._pj_call is None else int(self._pj_call.media_counts()[0])

    @property
    def dialog(self) -> Dialog | None:
        """The facts of an inbound leg's dialog; None before its answer, and where we called."""
        call = self._pj_call
        if call is None or call.dialog is None or self.outbound:
            return None
        # Tags alone name it (RFC 3261 section 12): who asks for privacy stays anonymous.
        return Dialog(
            call_id=call.dialog.call_id,
            local=f"{self.to_uri};tag={call.dialog.local_tag}",
            remote=f"{self.from_uri};tag={call.dialog.remote_tag}",
            target=call.contact or uri_of_contact(self.headers.get("contact", ())),
            contact=call.local_contact,
            routes=routes_of(self.headers.get("record-route", ())),
            cseq=call.cseq,
            passed=tuple(self.passed.items()),
        )

    def hangup(self, reason: EndReason | None = None) -> None:
        """Send BYE (CANCEL before the answer), with its reason; ending twice is no error."""
        self.reject(0, "", {} if reason is None else {HEADER: str(reason)})

    def send_digits(self, digits: str, *, by_info: bool = False) -> None:
        """Press keys: as telephone-events, else by SIP INFO, whose answers nobody waits for.

        Args:
            digits: ``0-9 * # A-D``.
            by_info: even if the far end takes telephone-events.

        Raises:
            TelephonyError: the far end takes neither.
        """
        if self.telephone_event and not by_info:
            self._do("dialDtmf", lambda: self._pj_call.dialDtmf(digits))
            return
        allows = pj.PJSIP_H_ALLOW, "", "INFO"
        # Where there is no Allow header nothing is known (RFC 3261 section 20.5), and it is tried.
        unsupported = pj.PJSIP_DIALOG_CAP_UNSUPPORTED
        if self._pj_call is not None and self._pj_call.remoteHasCap(*allows) == unsupported:
            raise TelephonyError("the far end takes neither telephone-events nor INFO")
        parameters = pj.CallSendDtmfParam()
        parameters.method, parameters.digits = pj.PJSUA_DTMF_METHOD_SIP_INFO, digits
        self._do("sendDtmf", lambda: self._pj_call.sendDtmf(parameters))

    async def press(self, digits: str) -> None:
        """Press keys one after another, and see that each is taken; ``w`` waits half a second.

        Raises:
            TelephonyError: the far end takes none, or refused one.
        """
        for digit in digits:
            if digit == "w":
                await asyncio.sleep(_PAUSE_S)
            elif self.telephone_event:
                self.send_digits(digit)
            else:
                await self._press_by_info(digit)

    async def _press_by_info(self, digit: str) -> None:
        self._info_answered = asyncio.get_running_loop().create_future()
        self.send_digits(digit)
        try:
            # PJSIP answers 408 itself where nobody does (RFC 3261 section 17.1.2.2, timer F: 32 s).
            code = await asyncio.wait_for(self._info_answered, _INFO_ANSWER_S)
        except TimeoutError:
            raise TelephonyError("the far end did not answer the INFO for a key") from None
        if not 200 <= code < 300:
            raise TelephonyError(f"the far end refused the INFO for a key with {code}")

    def hold(self) -> None:
        """Put the far end on hold by re-INVITE."""
        self._do("setHold", lambda: self._pj_call.setHold(audio_only()))

    def resume(self) -> None:
        """Take the far end back from hold by re-INVITE."""
        parameters = audio_only()
        parameters.opt.flag = pj.PJSUA_CALL_UNHOLD
        self._do("reinvite", lambda: self._pj_call.reinvite(parameters))

    def transfer(self, uri: str, headers: Mapping[str, str] | None = None) -> None:
        """Send the far end to ``uri`` by REFER; the listener hears how it goes.

        Args:
            uri: of the target, its own headers escaped (RFC 3261 section 19.1.1).
            headers: of the REFER.

        Raises:
            TelephonyError: PJSIP can't send it, as for a URI that is none.
        """
        self.transferring = True
        parameters = pj.CallOpParam()
        add_headers(parameters, headers or {})
        # In brackets: parameters of the URI would be the header's (RFC 3261 section 20).
        self._do("xfer", lambda: self._pj_call.xfer(f"<{uri}>", parameters))

    def _do(self, what: str, operation: Callable[[], None]) -> None:
        if self._pj_call is None or self.state is LegState.DISCONNECTED:
            log.debug("leg_operation_too_late", operation=what)
            return
        try:
            operation()
        except pj.Error as error:
            raise TelephonyError(f"PJSIP refused {what}: {error.reason}") from error

    def on_pj_state(self, state: LegState, code: int) -> None:
        """Take a state from PJSUA."""
        if self.state is LegState.DISCONNECTED:
            return
        if state is LegState.DISCONNECTED and not self._is_offered:
            self._ended_with = code
            self.unbind()  # nothing can be sent any more
            return
        if state is LegState.DISCONNECTED and self.heir is not None:
            if self.ended_by_far_end:
                self.heir.inherit()
                return
            self.heir.give_up()
        if self._ends_by_silence(state, code):
            self.lost = Lost.NO_ANSWER
            log.warning("far_end_lost", call_id=self.call_id, reason=self.lost, sip_code=code)
        self.state, self.last_code = state, code
        if state is LegState.CONFIRMED and not self._media_agreed:
            # Our offer was not answered in the ACK (RFC 3264 section 4): nobody would ever hear.
            self.reject(NO_MEDIA, "No Media")
            return
        if state is not LegState.DISCONNECTED:
            self.listener.on_state(state)
            return
        with contextlib.ExitStack() as stack:  # whatever fails: nobody may wait for this call's end
            stack.callback(self.forget_listener)
            stack.callback(self.listener.on_state, state)
            stack.callback(self._release, self)
            self.close_media()

    def _ends_by_silence(self, state: LegState, code: int) -> bool:
        """Return whether a call ends because the far end answered a request of ours no more.

        PJSIP ends it so where a request in the dialog gets 408 or 481 (RFC 3261 section 12.2.1.2)
        or can't be delivered (503, section 8.1.3.1), and where no session refresh came in time
        (RFC 4028 section 10).
        """
        ends = state is LegState.DISCONNECTED and self.state is LegState.CONFIRMED
        return ends and self.ended_by_far_end and not self.lost and code in _UNANSWERED

    def on_pj_media(
        self, audio: ConferencePort | None, codec: str, telephone_event: bool = False
    ) -> None:
        """Take the call's conference port after an offer/answer; None when there is no audio."""
        self._media_agreed = True
        self._move_to(audio, codec, telephone_event=telephone_event)

    def await_media(self) -> None:
        """Part from the audio of the dialog so far, where the next one's isn't agreed on yet.

        That one's port in the conference may be another call's at any moment.
        """
        self._move_to(None, "", telephone_event=False)

    def _move_to(self, audio: ConferencePort | None, codec: str, *, telephone_event: bool) -> None:
        if self.state is LegState.DISCONNECTED:
            return
        if self.row is None:
            self.row = self._ports.open_row()
        else:
            self._ports.disconnect(self.row)
        self.held = audio is None
        if audio is not None:
            self.codec, self.telephone_event = codec, telephone_event
            self._ports.connect(self.row, audio)
        self.listener.on_media(audio is not None)

    def on_pj_event(self, digit: str, timestamp_ms: int, duration_ms: int, ended: bool) -> None:
        """Take a packet of an RFC 4733 event."""
        self._publish(self._keys.on_event(digit, timestamp_ms, duration_ms, ended))

    def on_pj_rtp(self, rtp: RtpStats) -> None:
        """Take the figures of a stream that ends; a re-INVITE may bring another one."""
        self.rtp = add(self.rtp, rtp)

    def on_pj_reason(self, reason: str) -> None:
        """Take why the far end ends the call."""
        self.far_end_reason = reason

    def on_pj_info(self, info: Info) -> None:
        """Take an INFO request of the far end's."""
        if info.digit is not None:
            self._publish(self._keys.on_info(info.digit))

    def on_pj_info_answered(self, code: int) -> None:
        """Take the final answer to an INFO of ours."""
        if self._info_answered is not None and not self._info_answered.done():
            self._info_answered.set_result(code)

    def _publish(self, press: KeyPress | None) -> None:
        if press is not None and self.state is not LegState.DISCONNECTED:
            self.listener.on_digit(press)

    def on_pj_transfer(self, sip_code: int, final: bool) -> None:
        """Take the far end's report on a transfer; after its end, or without one, nothing."""
        if not self.transferring or self.state is LegState.DISCONNECTED:
            return
        over = final or sip_code >= _FIRST_FINAL_CODE
        self.transferring = not over
        self.listener.on_transfer(TransferProgress(sip_code, over))

    def close_media(self) -> None:
        """Give the row back; the listener has let go of it at DISCONNECTED at the latest."""
        row, self.row = self.row, None
        if row is not None:
            try:
                self._closing_row(row)
            finally:
                self._ports.close_row(row)

    def before_row_closes(self, closing: Callable[[int], None]) -> None:
        """Have ``closing`` called with the row just before it goes away."""
        self._closing_row = closing

    def forget_listener(self) -> None:
        """Forget the listener; PJSIP may keep a leg longer than its call lasts."""
        self.listener = _Deaf()
        self._closing_row = _no_row


def _no_row(row: int) -> None:
    """Nobody minds."""


def audio_only() -> Any:
    """Make a `CallOpParam`, a SWIG object without types, for one stream of audio and no other.

    By its defaults, PJSIP 2.17 would offer text (T.140) beside it.
    """
    parameters = pj.CallOpParam(True)
    parameters.opt.audioCount, parameters.opt.videoCount, parameters.opt.textCount = 1, 0, 0
    return parameters


def add_headers(parameters: Any, headers: Mapping[str, str]) -> None:
    """Add SIP headers to a `CallOpParam`, a SWIG object without types."""
    for name, value in headers.items():
        header = pj.SipHeader()
        header.hName, header.hValue = name, value
        parameters.txOption.headers.append(header)
