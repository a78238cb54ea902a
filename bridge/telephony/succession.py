"""One dialog takes another's place in a leg (RFC 3891), as in an attended transfer.

    INVITE with Replaces -> 200 -> ACK -> the leg goes on with the new dialog -> BYE to the old one

The leg keeps its row, its listener and all that hangs on them: agent, record and recording. Until
the ACK the old dialog is unchanged; if the far end hangs that one up first, the ACK is not waited
for. An INVITE whose offer can't be taken, or whose caller goes away, changes nothing.
"""

import contextlib
from typing import Any

import structlog

from bridge.errors import TelephonyError
from bridge.sip.dialog import Dialog
from bridge.telephony.info import Info
from bridge.telephony.leg import FarEnd, Leg, LegState, audio_only
from bridge.telephony.library import import_pjsua2
from bridge.telephony.pj_call import PjCall
from bridge.telephony.ports import ConferencePort
from bridge.telephony.rtp_stats import RtpStats

pj: Any = import_pjsua2()  # a SWIG module without types
log = structlog.get_logger(__name__)


class _Aside:
    """Owns a PJSUA call that is no leg: nothing that it receives matters, unless it is overridden.

    Args:
        leg: the call's, before or after.
    """

    def __init__(self, leg: Leg) -> None:
        self.call_id = leg.call_id
        self.wanted_codec = leg.wanted_codec
        self.sip_call_id = ""
        self.transferring = False
        self.dialog: Dialog | None = None
        self._leg = leg

    def reject(self, sip_code: int, reason: str) -> None: ...

    def on_pj_state(self, state: LegState, code: int) -> None: ...

    def on_pj_media(
        self, audio: ConferencePort | None, codec: str, telephone_event: bool = False
    ) -> None: ...

    def on_pj_rtp(self, rtp: RtpStats) -> None: ...

    def on_pj_event(self, digit: str, timestamp_ms: int, duration_ms: int, ended: bool) -> None: ...

    def on_pj_reason(self, reason: str) -> None: ...

    def on_pj_info(self, info: Info) -> None: ...

    def on_pj_info_answered(self, code: int) -> None: ...

    def on_pj_transfer(self, sip_code: int, final: bool) -> None: ...


class Successor(_Aside):
    """A dialog that is to take a leg's place; owns its PJSUA call until it does.

    Args:
        leg: goes on with it.
    """

    def __init__(self, leg: Leg) -> None:
        super().__init__(leg)
        self._far_end: FarEnd
        self._call: PjCall | None = None
        self._media: tuple[ConferencePort | None, str, bool] | None = None

    def answer(self, call: PjCall, far_end: FarEnd) -> None:
        """Answer the INVITE.

        Args:
            call: of its dialog.
            far_end: whom the leg is with then.

        Raises:
            TelephonyError: PJSIP refused it.
        """
        self._call, self._far_end, self._leg.heir = call, far_end, self
        parameters = audio_only()
        parameters.statusCode = 200
        try:
            call.answer(parameters)
        except pj.Error as error:
            raise TelephonyError(f"PJSIP refused answer: {error.reason}") from error

    def reject(self, sip_code: int, reason: str) -> None:
        """End the dialog: its audio can't be had."""
        self.give_up()

    def give_up(self) -> None:
        """End the dialog: nobody is left to take it up."""
        if self._call is not None:
            with contextlib.suppress(pj.Error):
                self._call.end(self._leg.farewell)

    def inherit(self) -> None:
        """Take the place of a leg whose dialog is over."""
        self._take_place()

    def on_pj_state(self, state: LegState, code: int) -> None:
        """Take the leg's place when confirmed; an end before that leaves the leg as it is."""
        if self._leg.heir is not self:
            return
        if state is LegState.DISCONNECTED:
            log.info("replacing_failed", call_id=self.call_id, sip_code=code)
            self._leg.heir = self._call = None
        elif state is LegState.CONFIRMED and not (self._media and self._leg.ended_by_far_end):
            self.give_up()  # no media was agreed on, or the bridge has hung up meanwhile
        elif state is LegState.CONFIRMED:
            former = self._take_place()
            with contextlib.suppress(pj.Error):  # it may be over
                former.end(self._leg.farewell)

    def on_pj_media(
        self, audio: ConferencePort | None, codec: str, telephone_event: bool = False
    ) -> None:
        """Keep the audio for the leg."""
        self._media = audio, codec, telephone_event

    def _take_place(self) -> Any:
        call, leg = self._call, self._leg
        if call is None:
            raise AssertionError("an heir has a call")
        self._call = None
        log.info("leg_replaced", call_id=self.call_id)
        former = leg.rebind(call, self._far_end)
        call.owner, former.owner = leg, Predecessor(leg)
        if self._media is None:
            leg.await_media()
        else:
            leg.on_pj_media(*self._media)
        if leg.state is not LegState.CONFIRMED:
            leg.on_pj_state(LegState.CONFIRMED, 200)
        return former


class Predecessor(_Aside):
    """A dialog that a leg has left; owns its PJSUA call until that is over."""

    def on_pj_rtp(self, rtp: RtpStats) -> None:
        """Add the figures of what was talked there to the leg's."""
        self._leg.on_pj_rtp(rtp)
