"""The door in front of PJSIP's dialogs: every request gets the answer that it is due.

What PJSUA would leave unanswered, or answer with "500 Unhandled by dialog usages", is answered
here: faulty requests, methods that aren't served, requests for calls that are over, and messages
that go past a bound (:mod:`bridge.sip.bounds`), responses among them. The rest goes on to the
dialogs, the admission door and PJSUA. Runs in the loop's thread, inside the poll.
"""

import ctypes
import enum
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType

import structlog

from bridge.sip.dialog import uri_of_contact
from bridge.telephony.dialogs import has_dialog
from bridge.telephony.guarding import guarded
from bridge.telephony.library import PjHeader, PjString
from bridge.telephony.pj_call import PjCall
from bridge.telephony.received_message import MessageFinder, ReceivedText
from bridge.telephony.replies import Replies
from bridge.telephony.sip_module import HANDLED, PASS, SipModule, Symbols
from bridge.telephony.sip_request import (
    FinalResponse,
    Request,
    is_without_contact,
    out_of_bounds,
    refusal_of,
)

log = structlog.get_logger(__name__)

_BELOW_TRANSACTIONS = 13
"""Between PJSIP_MOD_PRIORITY_TRANSPORT_LAYER (8) and PJSIP_MOD_PRIORITY_TSX_LAYER (16)."""

_BEFORE_DIALOGS = 31
"""PJSIP_MOD_PRIORITY_UA_PROXY_LAYER is 32."""

_SERVED = "INVITE, ACK, BYE, CANCEL, OPTIONS, PRACK, UPDATE, INFO"
_NOT_ALLOWED = FinalResponse(405, "Method Not Allowed", (("Allow", _SERVED),))
_NOT_ALLOWED_IN_CALL = FinalResponse(
    405, "Method Not Allowed", (("Allow", f"{_SERVED}, REFER, NOTIFY"),)
)
_NO_CALL = FinalResponse(481, "Call/Transaction Does Not Exist")
_NO_EVENT = FinalResponse(489, "Bad Event")
_ALIVE = FinalResponse(
    200, "OK", (("Allow", f"{_SERVED}, REFER, NOTIFY"), ("Accept", "application/sdp"))
)
"""RFC 3261 section 11.2."""


class RequestStanding(enum.Enum):
    """Where a request stands to our calls."""

    OUTSIDE = enum.auto()
    """It has no To tag: it belongs to no dialog."""
    UNKNOWN = enum.auto()
    """Its dialog isn't there, or the response that it acknowledges as PRACK (RFC 3262)."""
    OVER = enum.auto()
    """Its dialog is there, its call is over: a transfer's subscription may live on."""
    IN_CALL = enum.auto()
    TRANSFERRING = enum.auto()
    """In a call in which NOTIFYs report how a transfer of ours goes."""


_Row = Mapping[str, FinalResponse | None]
_PASSED = dict.fromkeys(("INVITE", "BYE", "CANCEL", "INFO", "UPDATE", "PRACK", "REFER"))
_IN_CALL: _Row = {**_PASSED, "OPTIONS": _ALIVE, "SUBSCRIBE": _NO_EVENT, "NOTIFY": _NO_CALL}

_ANSWERS: Mapping[RequestStanding, tuple[_Row, FinalResponse]] = MappingProxyType(
    {
        RequestStanding.OUTSIDE: (
            {
                **dict.fromkeys(("INVITE", "CANCEL", "OPTIONS")),
                **dict.fromkeys(("BYE", "INFO", "UPDATE", "PRACK", "NOTIFY"), _NO_CALL),
                "SUBSCRIBE": _NO_EVENT,
            },
            _NOT_ALLOWED,
        ),
        RequestStanding.UNKNOWN: ({"CANCEL": None, "REGISTER": _NOT_ALLOWED}, _NO_CALL),
        RequestStanding.OVER: (dict.fromkeys(("CANCEL", "NOTIFY", "PRACK")), _NO_CALL),
        RequestStanding.IN_CALL: (_IN_CALL, _NOT_ALLOWED_IN_CALL),
        RequestStanding.TRANSFERRING: ({**_IN_CALL, "NOTIFY": None}, _NOT_ALLOWED_IN_CALL),
    }
)
"""By standing: methods with their answers (None: PJSIP has it), and the answer of all others.

ACK is not among them: it has no answer, and PJSIP has it always.
"""


def due(method: str, standing: RequestStanding) -> FinalResponse | None:
    """Return the answer to a request without faults; None where it is PJSIP's to answer."""
    row, otherwise = _ANSWERS[standing]
    return row.get(method, otherwise)


class RequestDoor:
    """Answers what PJSIP would not.

    Args:
        lib: PJSIP's symbols; the endpoint must be initialised.
        most_bytes: of a message (:mod:`bridge.telephony.library`).
        find_call: returns the call that goes on with a Call-ID; None where there is none.
    """

    def __init__(
        self, lib: ctypes.CDLL, most_bytes: int, find_call: Callable[[str], PjCall | None]
    ) -> None:
        self._lib: Symbols = lib
        self._most_bytes = most_bytes
        self._received = ReceivedText(lib)
        self._find_call = find_call
        self._contacts = _Contacts(lib)
        self._replies = Replies(lib)
        _allow_only(lib, f"{_SERVED}, REFER, NOTIFY".split(", "))
        self._modules = (
            SipModule(
                lib,
                b"mod-request-faults",
                _BELOW_TRANSACTIONS,
                {"on_rx_request": self._on_request, "on_rx_response": self._on_response},
            ),
            SipModule(
                lib,
                b"mod-request-door",
                _BEFORE_DIALOGS,
                {"on_rx_request": self._on_request_in_dialog},
            ),
        )

    def _on_response(self, rdata: int) -> int:
        with guarded(log, "response_not_judged"):
            return self._drop_out_of_bounds(self._received.of(rdata).data)
        return PASS

    def _drop_out_of_bounds(self, data: bytes) -> int:
        """Keep a message that has no answer from PJSIP if it goes past a bound."""
        beyond = out_of_bounds(data)
        if beyond is None:
            return PASS
        log.warning("message_dropped", reason=beyond.reason, bound=beyond.headers[0][1])
        return HANDLED

    def _on_request(self, rdata: int) -> int:
        """Judge a request by itself, before a transaction takes it for another one's copy.

        PJSIP distinguishes transactions by their branch alone (RFC 3261 section 17.2.3 has more).
        """
        return self._judge(rdata, self._answer_to)

    def _answer_to(self, request: Request, data: bytes, rdata: int) -> FinalResponse | None:
        beyond = out_of_bounds(data)
        if beyond is not None:
            return beyond
        outside = None if request.tag("to") else due(request.method, RequestStanding.OUTSIDE)
        return refusal_of(request, self._most_bytes) or outside

    def _on_request_in_dialog(self, rdata: int) -> int:
        """Judge a request by its call; repeated ones have met their transaction by then.

        An ACK without a To tag is of no call then. PJSUA 2.15 would take it for a merged request,
        answer it with 482, and end the process, because an ACK has no answer.
        """
        return HANDLED if self._is_stray_ack(rdata) else self._judge(rdata, self._answer_in_dialog)

    def _is_stray_ack(self, rdata: int) -> bool:
        with guarded(log, "request_not_judged"):
            request = Request.parse(self._received.of(rdata).data)
            return request is not None and request.method == "ACK" and not request.tag("to")
        return False

    def _answer_in_dialog(self, request: Request, data: bytes, rdata: int) -> FinalResponse | None:
        if request.tag("to"):
            return due(request.method, self._standing(request))
        if request.method == "INVITE" and is_without_contact(request):
            self._contacts.add(rdata, uri_of_contact(request.headers["from"]))
        return None

    def _judge(
        self, rdata: int, answer_to: Callable[[Request, bytes, int], FinalResponse | None]
    ) -> int:
        with guarded(log, "request_not_judged"):
            data = self._received.of(rdata).data
            request = Request.parse(data)
            if request is None or request.method == "ACK":  # which has no answer
                return self._drop_out_of_bounds(data)
            answer = answer_to(request, data, rdata)
            if answer is None:
                return PASS
            self._replies.send(rdata, answer)
            return HANDLED
        return PASS

    def _standing(self, request: Request) -> RequestStanding:
        local, remote = request.tag("to"), request.tag("from")
        if not has_dialog(self._lib, request.header("call-id"), local, remote):
            return RequestStanding.UNKNOWN
        call = self._find_call(request.header("call-id"))
        if call is None:
            return RequestStanding.OVER
        if request.method == "PRACK" and not call.rings.acknowledge(request.header("rack")):
            return RequestStanding.UNKNOWN
        return RequestStanding.TRANSFERRING if call.owner.transferring else RequestStanding.IN_CALL


class _Contacts:
    """Adds a Contact to received INVITEs, without which PJSIP makes no dialog of one.

    Args:
        lib: PJSIP's symbols; the endpoint must be initialised.
    """

    def __init__(self, lib: ctypes.CDLL) -> None:
        self._lib: Symbols = lib
        self._finder = MessageFinder(lib)
        pointer, size = ctypes.c_void_p, ctypes.c_size_t
        self._allocate = ctypes.CFUNCTYPE(pointer, pointer, size)(("pj_pool_alloc", lib))
        self._parse = ctypes.CFUNCTYPE(pointer, pointer, pointer, pointer, size, pointer)(
            ("pjsip_parse_hdr", lib)
        )
        self._contact, self._call_id = PjString.of(b"Contact"), PjString.of(b"Call-ID")

    def add(self, rdata: int, uri: str) -> None:
        """Add one to an INVITE; one whose URI can't be read is left as it is."""
        message = self._finder.invite(rdata)
        if message is None or not uri:
            return
        pool = ctypes.c_void_p.from_address(rdata).value  # `tp_info.pool`, the struct's first word
        value = f"<{uri}>\0".encode("latin-1", "replace")
        text = self._allocate(pool, len(value))  # the header refers to it
        ctypes.memmove(text, value, len(value))
        header = self._parse(pool, ctypes.addressof(self._contact), text, len(value) - 1, None)
        before = self._lib.pjsip_msg_find_hdr_by_name(message, ctypes.byref(self._call_id), None)
        if header and before:
            self._lib.pj_list_insert_before(before, header)


_ALLOW = 4
"""`PJSIP_H_ALLOW` (pjsip/sip_msg.h, `pjsip_hdr_e`)."""
_MOST_VALUES = 64


class _ArrayHeader(PjHeader):
    """`pjsip_generic_array_hdr` (pjsip/sip_msg.h)."""

    _fields_ = (
        ("count", ctypes.c_uint),
        ("values", PjString * _MOST_VALUES),
    )


def _allow_only(lib: ctypes.CDLL, served: Collection[str]) -> None:
    """Take methods out of what PJSIP says that it allows; its modules are loaded by then.

    Args:
        lib: PJSIP's symbols; the endpoint must be initialised.
        served: methods that stay.
    """
    pointer = ctypes.c_void_p
    find = ctypes.CFUNCTYPE(pointer, pointer, ctypes.c_int, pointer)(
        ("pjsip_endpt_get_capability", lib)
    )
    address = find(lib.pjsua_get_pjsip_endpt(), _ALLOW, None)
    if not address:
        return
    header = _ArrayHeader.from_address(address)
    if not header.is_named(b"Allow"):
        log.warning("allow_not_changed")
        return
    listed = [(each.ptr, each.slen) for each in header.values[: header.count]]
    kept = [each for each in listed if ctypes.string_at(*each).decode() in served]
    for place, (text, length) in enumerate(kept):
        header.values[place].ptr, header.values[place].slen = text, length
    header.count = len(kept)
