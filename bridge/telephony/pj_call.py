"""PJSUA's call object: its callbacks, passed on to the leg. No exception may leave a callback."""

import contextlib
from typing import Any

import structlog

from bridge.errors import TelephonyError
from bridge.telephony.info import Info, respond
from bridge.telephony.leg import Leg, LegState
from bridge.telephony.library import import_pjsua2
from bridge.telephony.offers import has_usable_audio
from bridge.telephony.rtp_stats import add, read_rtp

pj: Any = import_pjsua2()
log = structlog.get_logger(__name__)

_EVENT_ENDS = 2
"""PJMEDIA_STREAM_DTMF_IS_END (pjmedia/stream.h), which pjsua2 leaves out."""


class PjCall(pj.Call):  # type: ignore[misc]  # SWIG class without types
    """One call; what it is told goes to its leg."""

    def __init__(self, account: Any, leg: Leg, pj_call_id: int = pj.PJSUA_INVALID_ID) -> None:
        super().__init__(account, pj_call_id)
        self._leg = leg

    def onCallState(self, prm: Any) -> None:
        """Pass the INVITE session's state on."""
        try:
            info = self.getInfo()
            state = _STATES.get(info.state)
            self._leg.sip_call_id = info.callIdString
            if state is not None:
                self._leg.on_pj_state(state, int(info.lastStatusCode))
        except Exception:
            log.exception("call_state_failed", call_id=self._leg.call_id)

    def onCallMediaState(self, prm: Any) -> None:
        """Pass the call's audio on."""
        try:
            active = self._active_audio()
            if active is None:
                self._leg.on_pj_media(None, "")
                return
            place, index = active
            stream = self.getStreamInfo(index)  # owns what is read below
            telephone_event = int(stream.audTxEventPt) >= 0
            codec = str(stream.codecName)
            self._leg.on_pj_media(self.getAudioMedia(place), codec, telephone_event)
        except Exception:
            log.exception("call_media_failed", call_id=self._leg.call_id)
            with contextlib.suppress(TelephonyError):
                self._leg.reject(500, "Media Failed")  # rather than dead air

    def onCallRxOffer(self, prm: Any) -> None:
        """Refuse a new offer within the call that has no audio for us; the call goes on."""
        try:
            offer = str(prm.offer.wholeSdp)  # empty where it is too long for pjsua2 to print
            codecs = [
                str(codec.codecId).rpartition("/")[0]
                for codec in pj.Endpoint.instance().codecEnum2()
                if codec.priority
            ]
            if offer and not has_usable_audio(offer, codecs):
                prm.statusCode = pj.PJSIP_SC_NOT_ACCEPTABLE_HERE
        except Exception:
            log.exception("offer_failed", call_id=self._leg.call_id)

    def onStreamDestroyed(self, prm: Any) -> None:
        """Keep the figures of a stream's RTP; a re-INVITE may bring another stream."""
        try:
            with contextlib.suppress(pj.Error):  # a stream that never ran has none
                self._leg.rtp = add(self._leg.rtp, read_rtp(self, int(prm.streamIdx)))
        except Exception:
            log.exception("rtp_figures_failed", call_id=self._leg.call_id)

    def onDtmfEvent(self, prm: Any) -> None:
        """Pass a packet of an RFC 4733 event on; INFO is taken whole, where it comes in."""
        try:
            if prm.method != pj.PJSUA_DTMF_METHOD_RFC2833:
                return
            ended = bool(prm.flags & _EVENT_ENDS)
            self._leg.on_pj_event(
                str(prm.digit), int(prm.timestamp), max(int(prm.duration), 0), ended
            )
        except Exception:
            log.exception("digit_failed", call_id=self._leg.call_id)

    def onCallTsxState(self, prm: Any) -> None:
        """Take and answer INFO, and the answers to ours."""
        try:
            change = prm.e.body.tsxState
            transaction = change.tsx
            if transaction.method != "INFO":
                return
            if transaction.role == pj.PJSIP_ROLE_UAC:
                if transaction.state == pj.PJSIP_TSX_STATE_COMPLETED:
                    self._leg.on_pj_info_answered(int(transaction.statusCode))
            elif transaction.state == pj.PJSIP_TSX_STATE_TRYING:
                request = change.src.rdata
                info = Info.parse(str(request.wholeMsg))
                if info.answer is not None:
                    respond(int(transaction.pjTransaction), int(request.pjRxData), info.answer)
                self._leg.on_pj_info(info)
        except Exception:
            log.exception("info_failed", call_id=self._leg.call_id)

    def onCallTransferStatus(self, prm: Any) -> None:
        """Pass the end of a transfer on, and what comes before it."""
        try:
            self._leg.on_pj_transfer(int(prm.statusCode), bool(prm.finalNotify))
        except Exception:
            log.exception("transfer_status_failed", call_id=self._leg.call_id)

    def onCallTransferRequest(self, prm: Any) -> None:
        """Decline to be transferred: no peer may have us place calls.

        Left alone, PJSUA would make a call that no object of ours belongs to, and crash.
        """
        prm.statusCode = pj.PJSIP_SC_DECLINE

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
