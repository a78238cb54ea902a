"""Refuses requests by their source, and calls over a trunk's limits, before PJSIP acts on them.

A stranger's request gets 403 or nothing before PJSIP makes a transaction of it, whatever it asks
for: an OPTIONS that is answered is what a scanner comes back for. Where users may authenticate, it
gets a challenge (401) as cheaply. New calls are counted behind the transactions, which take the
copies of an INVITE. :mod:`bridge.sip.sources` decides. Runs in the loop's thread, inside the poll.
"""

import ctypes
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import structlog

from bridge.clock import Clock
from bridge.sip.sources import RequestSources, SourceVerdict, TurnedAway
from bridge.sip.users import PresentedRequest
from bridge.telephony.dialogs import has_dialog
from bridge.telephony.library import READ_RECEIVED, import_pjsua2
from bridge.telephony.replies import Replies
from bridge.telephony.sip_messages import host_of
from bridge.telephony.sip_module import HANDLED, PASS, SipModule, Symbols
from bridge.telephony.sip_request import FinalResponse, Request

pj: Any = import_pjsua2()  # a SWIG module without types
log = structlog.get_logger(__name__)

_BEFORE_ANY_ANSWER = 12
"""The request door, whose answers go to known sources alone, has 13."""
_BEHIND_TRANSACTIONS = 30
"""PJSIP_MOD_PRIORITY_TSX_LAYER is 16; the request door has 31 for what is in dialogs."""

_MOST_INVITES = 4_096
"""Of users, whose CANCEL and ACK are waited for: they carry no credentials of their own (RFC 3261
sections 22.1 and 22.3)."""

FORBIDDEN = FinalResponse(403, "Forbidden")

OnTurnedAway = Callable[[str, str, TurnedAway], None]
"""Given the host, the method ("" where it was not read) and the reason."""

OnRefused = Callable[[str, str], None]
"""Given an INVITE's text and where it came from, ``host:port``."""


class SourceDoor:
    """Turns requests away by their source.

    Args:
        lib: PJSIP's symbols; the endpoint must be initialised.
        sources: decides.
        calls_from: returns how many calls go on with a trunk, or with a host where it is of none.
        on_turned_away: called for each request that is not served.
        on_refused: called for each INVITE that is about to be refused, which no module sees then.
        retry_after_s: for a call over its source's limits.

    Attributes:
        trunk: of the request that is just being received, by its address or its user; "" for none.
    """

    def __init__(
        self,
        lib: ctypes.CDLL,
        sources: RequestSources,
        clock: Clock,
        *,
        calls_from: Callable[[str, str], int],
        on_turned_away: OnTurnedAway,
        on_refused: OnRefused = lambda text, far_end: None,
        retry_after_s: int,
    ) -> None:
        self._lib: Symbols = lib
        self._sources = sources
        self._clock = clock
        self.trunk = ""
        self._calls_from = calls_from
        self._invites_of_users: OrderedDict[tuple[str, str, str], str] = OrderedDict()
        self._on_turned_away = on_turned_away
        self._on_refused = on_refused
        self._read_received = getattr(lib, READ_RECEIVED)
        self._received = pj.SipRxData()  # filled anew with each message
        self._replies = Replies(lib)
        retry = (("Retry-After", str(retry_after_s)),)
        self._too_many = FinalResponse(503, "Too Many Calls From There", retry)
        self._modules = (
            SipModule(lib, b"mod-sources", _BEFORE_ANY_ANSWER, {"on_rx_request": self._on_request}),
            SipModule(
                lib, b"mod-source-calls", _BEHIND_TRANSACTIONS, {"on_rx_request": self._on_new}
            ),
        )

    def _on_request(self, rdata: int) -> int:
        try:
            return HANDLED if self._is_turned_away(rdata) else PASS
        except Exception:
            log.exception("source_not_judged")
            return HANDLED  # nobody is let in because of a fault here

    def _is_turned_away(self, rdata: int) -> bool:
        now_ns, host = self._clock.now_ns(), self._host(rdata)
        self.trunk = self._sources.trunk_at(host)
        if self._sources.over_rate(host, now_ns):
            self._on_turned_away(host, "", TurnedAway.RATE)
            return True
        if self._sources.knows(host):
            return False
        request = Request.parse(self._text())
        if request is None or self._is_in_call(request):
            return False
        invite = host, request.header("call-id"), request.tag("from")
        if request.method in {"ACK", "CANCEL"} and invite in self._invites_of_users:
            self.trunk = self._invites_of_users[invite]
            return False
        if request.method == "ACK" and not self._sources.serves(host):
            return True  # of our own refusal
        judgement = self._sources.judge(host, _presented(request), now_ns)
        if judgement.reason is None:
            self.trunk = judgement.trunk
            if judgement.trunk and request.method == "INVITE":
                self._remember(invite, judgement.trunk)
            return False
        if request.method == "INVITE" and judgement.verdict is not SourceVerdict.DROP:
            self._on_refused(str(self._received.wholeMsg), str(self._received.srcAddress))
        if judgement.verdict is SourceVerdict.REFUSE:
            self._replies.send(rdata, FORBIDDEN)
        elif judgement.verdict is SourceVerdict.CHALLENGE:
            headers = self._sources.challenges(host, judgement.reason, now_ns)
            named = tuple(("WWW-Authenticate", value) for value in headers)
            self._replies.send(rdata, FinalResponse(401, "Unauthorized", named))
        self._on_turned_away(host, request.method, judgement.reason)
        return True

    def _remember(self, invite: tuple[str, str, str], trunk: str) -> None:
        self._invites_of_users[invite] = trunk
        self._invites_of_users.move_to_end(invite)
        if len(self._invites_of_users) > _MOST_INVITES:
            self._invites_of_users.popitem(last=False)

    def _on_new(self, rdata: int) -> int:
        """Count a new call, and refuse it where its source has too many."""
        try:
            host = self._host(rdata)
            request = Request.parse(self._text())
            if request is None or request.method != "INVITE" or request.tag("to"):
                return PASS
            calls, now_ns = self._calls_from(host, self.trunk), self._clock.now_ns()
            if self._sources.admits_call(host, now_ns, calls=calls, trunk=self.trunk):
                return PASS
            self._replies.send(rdata, self._too_many)
            self._on_turned_away(host, request.method, TurnedAway.RATE)
        except Exception:
            log.exception("source_not_judged")
        return HANDLED

    def _host(self, rdata: int) -> str:
        self._read_received(int(self._received.this), rdata)
        return host_of(str(self._received.srcAddress))

    def _text(self) -> bytes:
        message: str = self._received.wholeMsg
        return message.encode(errors="surrogateescape")

    def _is_in_call(self, request: Request) -> bool:
        names = request.header("call-id"), request.tag("to"), request.tag("from")
        return has_dialog(self._lib, *names)


def _presented(request: Request) -> PresentedRequest:
    header = request.header
    return PresentedRequest(
        request.method,
        request.uri,
        header("user-agent"),
        request.headers.get("authorization", ()),
        "\n".join((header("via"), header("call-id"), header("cseq"), header("authorization"))),
    )
