"""The handing over of one call: the core's orders to its leg and to the person's.

The person's phone learns of the call from two SIP headers: ``X-Bridge-Call-Id`` names the call in
the bridge's records; ``X-Bridge-Summary`` holds the summary's beginning, all of which is in the
call's event stream in Redis. Headers of the caller's INVITE that the dialplan names go on beside
them.
"""

import asyncio
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

import structlog

from bridge.engine.effects import (
    AnnounceToPerson,
    BridgePerson,
    DialPerson,
    Effect,
    LetPersonGo,
    PassDigits,
    TransferCall,
)
from bridge.engine.inputs import (
    Input,
    PersonLeft,
    PersonSpoke,
    TransferCompleted,
    TransferFailed,
    TransferProgressed,
)
from bridge.errors import CallNotPlacedError, TelephonyError
from bridge.live.filler import filler_audio
from bridge.live.person import FirstVoice, Person
from bridge.live.phrases import Phrases
from bridge.sip.trace import PERSON
from bridge.telemetry.logs import call_context
from bridge.telephony.endpoint import SipEndpoint
from bridge.telephony.leg import Leg, TransferProgress
from bridge.telephony.max_forwards import hops_onward
from bridge.telephony.pump import Pump

log = structlog.get_logger(__name__)

_NOT_SENT = 500
"""SIP status of a request that PJSIP would not send: our own failure (RFC 3261 section 21.5.1)."""

_MAX_SPOKEN_CHARS = 400
"""Of one text that the person hears: half a minute."""


CALL_ID_HEADER = "X-Bridge-Call-Id"
SUMMARY_HEADER = "X-Bridge-Summary"
MAX_SUMMARY_OCTETS = 200
"""Encoded. An INVITE with SDP takes about 900 octets, and one of more than 1300 has to leave UDP
(RFC 3261 section 18.1.1)."""
_AS_IT_IS = " .,:!?'()-/+@_="
"""Beside letters and digits. Everything else is percent-encoded UTF-8, so that the value is good in
any header (RFC 3261 section 25.1) and a line can't be broken."""


class Handoffs:
    """Handings over of one call.

    Args:
        leg: the call's.
        feed: takes what is to be fed to the core.
        endpoint: places the call to the person.
        language: of the announcement.
        passed: headers of the caller's INVITE that go on to the person.
        on_heard: called when the caller first hears the agent of an arm.
    """

    def __init__(
        self,
        leg: Leg,
        feed: Callable[[Input], None],
        endpoint: SipEndpoint,
        pump: Pump,
        phrases: Phrases,
        language: str | None,
        passed: Mapping[str, str],
        on_heard: Callable[[], None],
    ) -> None:
        self._leg = leg
        self._feed = feed
        self._endpoint = endpoint
        self._pump = pump
        self._phrases = phrases
        self._language = language
        self._passed = passed
        self._person: Person | None = None
        self._announcing: asyncio.Task[None] | None = None
        self._on_heard = on_heard
        self._ear: tuple[int, FirstVoice] | None = None  # and the row that it hears

    @property
    def effects(self) -> Mapping[type[Effect], Callable[[Any], None]]:  # the key is its argument
        """The effects that are carried out here."""
        return MappingProxyType(
            {
                TransferCall: self._transfer,
                DialPerson: self._dial,
                AnnounceToPerson: self._announce,
                BridgePerson: self._bridge,
                LetPersonGo: lambda _: self._let_go(),
                PassDigits: self._pass_digits,
            }
        )

    async def aclose(self) -> None:
        """End the person's call, if it is still there."""
        announcing = self._announcing
        self._let_go()
        if announcing is not None:
            await asyncio.gather(announcing, return_exceptions=True)

    def on_transfer(self, progress: TransferProgress) -> None:
        """Take the progress of a transfer from the leg."""
        code = progress.sip_code
        log.info("transfer_progressed", sip_code=code, over=progress.over)
        if not progress.over:
            self._feed(TransferProgressed(code))
        elif progress.completed:
            self._feed(TransferCompleted(code))
        else:
            self._feed(TransferFailed(code))

    def _transfer(self, effect: TransferCall) -> None:
        headers = self._headers(effect.summary)
        to = self._endpoint.with_its_number(effect.to)
        if effect.refer_to_headers:
            to = with_headers(to, headers)
        try:
            self._leg.transfer(to, self._endpoint.with_its_headers(headers, self._leg.trunk))
        except TelephonyError as error:
            log.warning("transfer_not_sent", error=error.what)
            self._feed(TransferFailed(_NOT_SENT))

    def _headers(self, summary: str) -> Mapping[str, str]:
        return {**self._passed, **context_headers(self._leg.call_id, summary)}

    def _dial(self, effect: DialPerson) -> None:
        headers = self._headers(effect.summary)
        try:
            hops = hops_onward(self._leg.headers)
            leg = self._endpoint.dial(effect.to, headers, hops=hops)
        except TelephonyError as error:
            log.warning("person_not_dialled", error=error.what)
            reason = error.reason if isinstance(error, CallNotPlacedError) else ""
            self._feed(PersonLeft(_NOT_SENT, not_placed=reason))
            return
        leg.passed = self._passed
        log.info("person_dialled", person_call_id=leg.call_id)
        self._endpoint.traces.join(self._leg.call_id, leg.sip_call_id, PERSON)
        self._person = Person(
            leg, self._pump, self._endpoint.ports, self._feed, silent_ms=effect.silent_ms
        )

    def _announce(self, effect: AnnounceToPerson) -> None:
        self._announcing = asyncio.get_running_loop().create_task(
            self._render_and_announce(effect.texts), name=f"announce-to-person-{self._leg.call_id}"
        )

    async def _render_and_announce(self, texts: tuple[str, ...]) -> None:
        audio = b""
        for text in texts:
            cut = text[:_MAX_SPOKEN_CHARS]
            audio += await self._phrases.spoken(self._language, cut) or b""
        # Without a voice there is a tone; the keys are good all the same.
        if self._person is not None:
            self._person.announce(audio or filler_audio(pause=False))

    def _bridge(self, effect: BridgePerson) -> None:
        if self._person is None or self._leg.row is None:
            return
        self._person.join(self._leg.row)
        if effect.listen:
            ear = FirstVoice(self._endpoint.ports.arena.rate_hz, self._on_first_voice)
            self._ear = (self._leg.row, ear)
            self._pump.admit(self._leg.row, ear.hear)

    def _on_first_voice(self, unasked: bool) -> None:
        self._stop_listening()
        self._on_heard()
        self._feed(PersonSpoke(unasked))

    def _stop_listening(self) -> None:
        ear, self._ear = self._ear, None
        if ear is not None:
            self._pump.dismiss(ear[0], ear[1].hear)

    def _let_go(self) -> None:
        self._stop_listening()
        person, self._person = self._person, None
        announcing, self._announcing = self._announcing, None
        if announcing is not None:
            announcing.cancel()
        if person is not None:
            with call_context(self._leg.call_id):
                person.let_go()

    def _pass_digits(self, effect: PassDigits) -> None:
        try:
            if not effect.to_person:
                self._leg.send_digits(effect.digits)
            elif self._person is not None:
                self._person.press(effect.digits)
        except TelephonyError as error:  # the other phone has no telephone-event
            log.warning("digits_not_passed", error=error.what, to_person=effect.to_person)


def left_a_bridge(headers: Mapping[str, tuple[str, ...]]) -> bool:
    """Return whether an INVITE is one that a bridge has sent, or has led to.

    Args:
        headers: values by lower-case name.
    """
    return CALL_ID_HEADER.lower() in headers


def summary_value(summary: str) -> str:
    """Return a summary as a header's value: one line, bounded, ASCII; cut between characters."""
    kept, octets = [], 0
    for character in " ".join(summary.split()):
        encoded = quote(character, safe=_AS_IT_IS)
        octets += len(encoded)
        if octets > MAX_SUMMARY_OCTETS:
            break
        kept.append(encoded)
    return "".join(kept).strip()


def context_headers(call_id: str, summary: str) -> Mapping[str, str]:
    """Return the headers for a call's person; without a summary, the call's id alone."""
    headers = {CALL_ID_HEADER: call_id}
    value = summary_value(summary)
    if value:
        headers[SUMMARY_HEADER] = value
    return headers


def with_headers(uri: str, headers: Mapping[str, str]) -> str:
    """Return a SIP URI that has its caller add these headers (RFC 3261 section 19.1.1).

    A tel URI has no room for any, and comes back as it is.
    """
    if uri.startswith("tel:"):
        return uri
    added = "&".join(f"{name}={quote(value, safe='')}" for name, value in headers.items())
    return f"{uri}{'&' if '?' in uri else '?'}{added}"
