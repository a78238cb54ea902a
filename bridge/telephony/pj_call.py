"""PJSUA's call object: its callbacks, passed on to its owner. No exception may leave a callback."""

import contextlib
from typing import Any, Protocol

import structlog

from bridge.config.sip import MediaTerms
from bridge.config.trunks import Codec, Trunk
from bridge.errors import TelephonyError
from bridge.sip.dialog import UNSEEN_CSEQ, Dialog, uri_of_contact
from bridge.sip.text import clean
from bridge.telephony.guarding import guarded
from bridge.telephony.headers import read_headers
from bridge.telephony.info import Info, respond
from bridge.telephony.leg import LegState
from bridge.telephony.library import import_pjsua2
from bridge.telephony.pj_calls import PjCalls
from bridge.telephony.ports import ConferencePort
from bridge.telephony.reliable_rings import ReliableRings
from bridge.telephony.replaces import DialogId, InviteId
from bridge.telephony.rtp_lock import RtpLocks
from bridge.telephony.rtp_stats import RtpStats, read_rtp
from bridge.telephony.sdp import (
    codecs_towards,
    has_usable_audio,
    with_codecs,
    with_own_ptime,
)
from bridge.telephony.secure_media import with_offered_suites
from bridge.telephony.sip_messages import host_of

pj: Any = import_pjsua2()
log = structlog.get_logger(__name__)

_FIRST_FINAL_CODE = 200
_CHALLENGES = frozenset({401, 407})

_EVENT_ENDS = 2
"""PJMEDIA_STREAM_DTMF_IS_END (pjmedia/stream.h), which pjsua2 leaves out."""


_REFRESHING = frozenset({"INVITE", "UPDATE"})
"""Methods that may change a dialog's remote target (RFC 3261 section 12.2, RFC 3311)."""


class CallOwner(Protocol):
    """Whatever a PJSUA call is part of: a leg, or a dialog that is about to become one."""

    sip_call_id: str

    @property
    def transferring(self) -> bool:
        """Return whether the far end owes us news of a transfer."""

    @property
    def dialog(self) -> Dialog | None:
        """Return the facts of its dialog, where the far end has called; else None."""

    @property
    def call_id(self) -> str:
        """The bridge's name of the call, for logs."""

    @property
    def wanted_codec(self) -> Codec | None:
        """The codec that fits the call's service; None where any does."""
        ...

    def reject(self, sip_code: int, reason: str) -> None:
        """Refuse the INVITE, or end the call."""

    def on_pj_state(self, state: LegState, code: int) -> None:
        """Take the INVITE session's state and its last status; DISCONNECTED comes last."""

    def on_pj_media(
        self, audio: ConferencePort | None, codec: str, telephone_event: bool = False
    ) -> None:
        """Take the conference port after an offer/answer; None without audio."""

    def on_pj_rtp(self, rtp: RtpStats) -> None:
        """Take the figures of a stream that ends."""

    def on_pj_event(self, digit: str, timestamp_ms: int, duration_ms: int, ended: bool) -> None:
        """Take a packet of an RFC 4733 event."""

    def on_pj_reason(self, reason: str) -> None:
        """Take why the far end ends the call."""

    def on_pj_info(self, info: Info) -> None:
        """Take an INFO of the far end's."""

    def on_pj_info_answered(self, code: int) -> None:
        """Take the answer to an INFO of ours."""

    def on_pj_transfer(self, sip_code: int, final: bool) -> None:
        """Take how far a transfer of ours is."""


class PjCall(pj.Call):  # type: ignore[misc]  # SWIG class without types
    """One call.

    Args:
        account: ours.
        trunk: as it is when the call begins; None for none.
        owner: gets what PJSUA reports of the call.
        calls: keeps this object until PJSUA has done with the call.
        locks: of the far ends' RTP.
        terms: what audio it may have.
        host: that its INVITE came from; "" where the bridge calls.

    Attributes:
        trunk: see above: it stays, whatever is in force later.
        account: PJSUA's number of it.
        dialog: its name; None until both tags are known.
        invite: with which it came in; None where the bridge has called.
        contact: URI of the far end's last Contact; "" while that is the first INVITE's.
        cseq: the highest of our own requests.
        connection: address of the TLS connection that its requests keep to; 0 for none.
        rings: responses to its INVITE that the far end has not acknowledged.
    """

    def __init__(
        self,
        account: Any,
        owner: CallOwner,
        calls: PjCalls["PjCall"],
        pj_call_id: int = pj.PJSUA_INVALID_ID,
        *,
        trunk: Trunk | None = None,
        terms: MediaTerms,
        locks: RtpLocks,
        host: str = "",
    ) -> None:
        super().__init__(account, pj_call_id)
        self.owner = owner
        self.account = int(account.getId())
        self.dialog: DialogId | None = None
        self.invite: InviteId | None = None
        self.contact = ""
        self.cseq = UNSEEN_CSEQ
        self.connection = 0
        self.rings = ReliableRings()
        self.trunk = trunk
        self._terms = terms
        self._offer = self._described = ""
        self._named = False
        self._stream = 0
        self._sip_signs = 0
        self._farewell: Any = None  # a CallOpParam, a SWIG object without types
        self._calls = calls
        self._lock = locks.lock(self, self.getId, host, () if trunk is None else trunk.media_from)
        calls.add(self)

    def accept(self, parameters: Any) -> None:
        """Answer the INVITE with 200, by the codec that the owner wants, if it is offered.

        PJSUA describes what we have as the INVITE comes in, before anybody has chosen its service.

        Args:
            parameters: a `CallOpParam`, a SWIG object without types.

        Raises:
            pj.Error: PJSIP refused it.
        """
        answer = self._narrowed(self._described) if self._offer else ""
        if answer != self._described:
            parameters.sdp.wholeSdp = answer
        self.answer(parameters)

    def end(self, parameters: Any) -> bool:
        """Hang up; where the far end owes the ACK of our 200, after it (RFC 3261 section 15).

        PJSUA, too, would wait for the ACK, and then send BYE without the headers.

        Args:
            parameters: a `CallOpParam`, a SWIG object without types.

        Returns:
            Whether the call is over now. Asked a second time, PJSUA waits by itself.

        Raises:
            pj.Error: PJSIP refused it.
        """
        if self._farewell is None and self.getInfo().state == pj.PJSIP_INV_STATE_CONNECTING:
            self._farewell = parameters
            return False
        self.hangup(parameters)
        return True

    def refuse(self, sip_code: int, reason: str) -> None:
        """Answer the INVITE with a final status, or end the call, whatever became of its owner."""
        parameters = pj.CallOpParam()
        parameters.statusCode = sip_code
        parameters.reason = reason
        try:
            self.hangup(parameters)
        except pj.Error as error:  # it has just ended
            log.debug("call_not_refused", call_id=self.owner.call_id, error=error.reason)

    def free(self) -> None:
        """Destroy the C++ object, whoever still knows this one; a method of it fails from then on.

        SWIG would leave the pointer in ``this``, where it pointed.
        """
        self._lock.end()
        del self._lock  # which knows this object
        pj.Call.__swig_destroy__(self)
        del self.this

    def onCallState(self, prm: Any) -> None:
        """Pass the INVITE session's state on."""
        with guarded(log, "call_state_failed", call_id=self.owner.call_id):
            info = self.getInfo()
            state = _STATES.get(info.state)
            self.owner.sip_call_id = clean(str(info.callIdString))
            if state is LegState.DISCONNECTED:
                self._lock.end()
                self._calls.over(self)
            if state is not None:
                self.owner.on_pj_state(state, int(info.lastStatusCode))
            if state is LegState.CONFIRMED and self._farewell is not None:
                with contextlib.suppress(pj.Error):  # it has ended at its owner's word
                    self.hangup(self._farewell)

    def onCallMediaState(self, prm: Any) -> None:
        """Pass the call's audio on."""
        try:
            self._lock.renew()
            active = self._active_audio()
            if active is None:
                self.owner.on_pj_media(None, "")
                return
            place, index = active
            self._stream = index
            stream = self.getStreamInfo(index)  # owns what is read below
            telephone_event = int(stream.audTxEventPt) >= 0
            codec = str(stream.codecName)
            audio = ConferencePort(self.getAudioMedia(place), int(self.getId()))
            self.owner.on_pj_media(audio, codec, telephone_event)
        except Exception:
            log.exception("call_media_failed", call_id=self.owner.call_id)
            with contextlib.suppress(TelephonyError):
                self.owner.reject(500, "Media Failed")  # rather than dead air

    def onCallRxOffer(self, prm: Any) -> None:
        """Refuse a new offer within the call that has no audio for us; the call goes on."""
        with guarded(log, "offer_failed", call_id=self.owner.call_id):
            offer = str(prm.offer.wholeSdp)  # empty where it is too long for pjsua2 to print
            if offer and not has_usable_audio(offer, self._terms):
                prm.statusCode = pj.PJSIP_SC_NOT_ACCEPTABLE_HERE

    def onCallSdpCreated(self, prm: Any) -> None:
        """Write the codecs and keys that we offer, and how much audio a packet to us carries."""
        with guarded(log, "sdp_failed", call_id=self.owner.call_id):
            own = str(prm.sdp.wholeSdp)  # empty where it is too long for pjsua2 to print
            self._offer = str(prm.remSdp.wholeSdp)
            self._described = self._narrowed(with_own_ptime(with_offered_suites(own)))
            prm.sdp.wholeSdp = self._described

    def _narrowed(self, own: str) -> str:
        wanted = self.owner.wanted_codec
        return with_codecs(own, codecs_towards(self._offer, self._terms.codecs, wanted))

    def onStreamPreCreate(self, prm: Any) -> None:
        """Close the media's sockets to strangers, before anything of theirs can be heard."""
        with guarded(log, "rtp_not_locked", call_id=self.owner.call_id):
            index = int(prm.streamIdx)
            places = str(prm.streamInfo.remoteRtpAddress), str(prm.streamInfo.remoteRtcpAddress)
            self._stream = index
            self._lock.begin(index, [host_of(place) for place in places])

    def onStreamDestroyed(self, prm: Any) -> None:
        """Keep the figures of a stream's RTP; a re-INVITE may bring another stream."""
        failed = guarded(log, "rtp_figures_failed", call_id=self.owner.call_id)
        with failed, contextlib.suppress(pj.Error):  # a stream that never ran has none
            self.owner.on_pj_rtp(read_rtp(self, int(prm.streamIdx)))

    def onDtmfEvent(self, prm: Any) -> None:
        """Pass a packet of an RFC 4733 event on; INFO is taken whole, where it comes in."""
        with guarded(log, "digit_failed", call_id=self.owner.call_id):
            if prm.method != pj.PJSUA_DTMF_METHOD_RFC2833:
                return
            ended = bool(prm.flags & _EVENT_ENDS)
            self.owner.on_pj_event(
                str(prm.digit), int(prm.timestamp), max(int(prm.duration), 0), ended
            )

    def onCallTsxState(self, prm: Any) -> None:
        """Take and answer INFO, and the answers to ours; learn the dialog's name."""
        with guarded(log, "info_failed", call_id=self.owner.call_id):
            change = prm.e.body.tsxState
            transaction = change.tsx
            self._sip_signs += change.type == pj.PJSIP_EVENT_RX_MSG
            if transaction.method == "INVITE" and not self._named:
                self._take_name(change)
            self._follow(change)
            if transaction.method != "INFO":
                return
            if transaction.role == pj.PJSIP_ROLE_UAC:
                if transaction.state == pj.PJSIP_TSX_STATE_COMPLETED:
                    self.owner.on_pj_info_answered(int(transaction.statusCode))
            elif transaction.state == pj.PJSIP_TSX_STATE_TRYING:
                request = change.src.rdata
                info = Info.parse(str(request.wholeMsg))
                if info.answer is not None:
                    respond(int(transaction.pjTransaction), int(request.pjRxData), info.answer)
                self.owner.on_pj_info(info)

    def onCallTransferStatus(self, prm: Any) -> None:
        """Pass the end of a transfer on, and what comes before it."""
        with guarded(log, "transfer_status_failed", call_id=self.owner.call_id):
            self.owner.on_pj_transfer(int(prm.statusCode), bool(prm.finalNotify))

    def onCallTransferRequest(self, prm: Any) -> None:
        """Decline to be transferred: no peer may have us place calls.

        Left alone, PJSUA would make a call that no object of ours belongs to, and crash.
        """
        prm.statusCode = pj.PJSIP_SC_DECLINE

    def media_counts(self) -> tuple[int, int]:
        """Return RTP packets that were played, and RTCP packets that were read, of the stream."""
        try:
            figures = self.getStreamStat(self._stream)  # owns what is read below
        except pj.Error:  # no stream: the far end holds the call with `inactive`
            return 0, 0
        return int(figures.rtcp.rxStat.pkt), int(figures.rtcp.txStat.updateCount)

    def signs(self) -> tuple[int, int]:
        """Return RTP packets and RTCP reports that came, and SIP messages; both only grow.

        A new stream begins to count anew, which is a change, too.
        """
        return sum(self.media_counts()), self._sip_signs

    def onCallReplaceRequest(self, prm: Any) -> None:
        """Refuse to be replaced by PJSUA, which would have two calls share this object.

        :mod:`bridge.telephony.replaces_door` lets no such INVITE come so far.
        """
        prm.statusCode = pj.PJSIP_SC_FORBIDDEN

    def _take_name(self, change: Any) -> None:
        """Read the dialog's tags from the INVITE's response, as it goes out or comes in."""
        as_caller = change.tsx.role == pj.PJSIP_ROLE_UAC
        if as_caller and change.type == pj.PJSIP_EVENT_RX_MSG:
            if change.tsx.statusCode in _CHALLENGES:
                return  # the INVITE goes out again, and makes another dialog
            text = str(change.src.rdata.wholeMsg)
        elif not as_caller and change.type == pj.PJSIP_EVENT_TX_MSG:
            text = str(change.src.tdata.wholeMsg)
            self.rings.sent(read_headers(text))
        else:
            return
        self.dialog = DialogId.of_message(text, as_caller=as_caller) or self.dialog
        # Of an INVITE that forks, each provisional response may be of another dialog.
        self._named = self.dialog is not None and change.tsx.statusCode >= _FIRST_FINAL_CODE

    def _follow(self, change: Any) -> None:
        """Keep what another process would need to go on with the dialog, as it changes."""
        transaction = change.tsx
        if change.type == pj.PJSIP_EVENT_RX_MSG and transaction.method in _REFRESHING:
            # Of a request or of a 2xx (RFC 3261 sections 12.2.1.2 and 12.2.2).
            received = change.src.rdata
            self._lock.heard_from(host_of(str(received.srcAddress)))
            headers = read_headers(str(received.wholeMsg))
            self.contact = uri_of_contact(headers.get("contact", ())) or self.contact
        elif change.type == pj.PJSIP_EVENT_TX_MSG and transaction.role == pj.PJSIP_ROLE_UAC:
            number, *_ = read_headers(str(change.src.tdata.wholeMsg)).get("cseq", ("",))
            self.cseq = max(self.cseq, int(number.split(" ")[0] or 0))

    @property
    def sip_call_id(self) -> str:
        """Its dialog's Call-ID."""
        return clean(str(self.getInfo().callIdString))

    @property
    def local_contact(self) -> str:
        """URI of our own Contact in this call."""
        return uri_of_contact((str(self.getInfo().localContact),))

    def _active_audio(self) -> tuple[int, int] | None:
        """Find the audio: its place in the call's list of media, and its m= line's number.

        They differ where an m= line before it is refused: PJSUA leaves that out of the list.
        """
        info = self.getInfo()  # owns the list below: a temporary would free it under the loop
        for place, media in enumerate(info.media):
            if media.type == pj.PJMEDIA_TYPE_AUDIO and media.status == pj.PJSUA_CALL_MEDIA_ACTIVE:
                return place, int(media.index)
        return None


_STATES = {
    pj.PJSIP_INV_STATE_CALLING: LegState.CALLING,
    pj.PJSIP_INV_STATE_INCOMING: LegState.INCOMING,
    pj.PJSIP_INV_STATE_EARLY: LegState.EARLY,
    pj.PJSIP_INV_STATE_CONFIRMED: LegState.CONFIRMED,
    pj.PJSIP_INV_STATE_DISCONNECTED: LegState.DISCONNECTED,
}
