"""Ends calls that a process has left behind by dying: their far ends get a BYE from another one.

A node that has only lost Redis still holds its calls, so it is asked first, by an OPTIONS within
the dialog: whoever holds that answers 200, a restarted node 481 (RFC 3261 section 12.2.2), a dead
one nothing.

Both requests belong to none of PJSIP's dialogs: they are written by hand and sent from its own
sockets, so the far end sees them come from the address and port that it knows us by. Each is sent
again until it is answered, as RFC 3261 section 17.1.2 wants of a non-INVITE transaction. In the
loop's thread.
"""

import asyncio
import ctypes
import re
import secrets
import socket
from collections.abc import Callable

import structlog

from bridge.errors import Outcome, TelephonyError
from bridge.sip.addresses import AddressError
from bridge.sip.dialog import Dialog, Hop
from bridge.telephony.end_reasons import HEADER, reason_for
from bridge.telephony.guarding import guarded
from bridge.telephony.received_message import ReceivedText
from bridge.telephony.sip_module import HANDLED, PASS, SipModule, Symbols
from bridge.telephony.socket_address import SocketAddress

log = structlog.get_logger(__name__)

_NODE_ANSWERS_WITHIN_S = 1.6
"""An OPTIONS that is sent three times: after 0.5 and 1.5 s again."""
_FAR_END_ANSWERS_WITHIN_S = 32.0
"""Timer F of RFC 3261 section 17.1.2.2."""
_NO_SUCH_DIALOG = 481

_BELOW_TRANSACTIONS = 14
"""Between PJSIP_MOD_PRIORITY_TRANSPORT_LAYER (8) and PJSIP_MOD_PRIORITY_TSX_LAYER (16)."""

_FIRST_REPEAT_S, _LONGEST_REPEAT_S = 0.5, 4.0
"""Timers T1 and T2 of RFC 3261 section 17.1.1.2."""
_FIRST_FINAL_CODE = 200
_TYPES = {"udp": 1, "tcp": 2}
_IPV6 = 128
"""`pjsip_transport_type_e`; IPv6 is a bit."""
_PENDING = 70002
"""PJ_EPENDING: it goes out when the connection stands."""

_ANSWER = re.compile(
    rb"SIP/2\.0 (\d{3}) .*?\r?\n(?:v|via)\s*:[^\r\n]*?branch=([^;,\s]+)", re.S | re.I
)


class StatelessRequests:
    """Sends requests and waits for their answers; keep it as long as the endpoint lives.

    Args:
        lib: PJSIP's symbols; the endpoint must be initialised.
        place: returns host and port where others reach us by SIP.
    """

    def __init__(self, lib: ctypes.CDLL, place: Callable[[], str]) -> None:
        self._lib: Symbols = lib
        self._place = place
        self._manager = lib.pjsip_endpt_get_tpmgr(lib.pjsua_get_pjsip_endpt())
        self._received = ReceivedText(lib)
        self._awaited: dict[str, asyncio.Future[int]] = {}
        self._module = SipModule(
            lib,
            b"mod-stateless",
            _BELOW_TRANSACTIONS,
            {"on_rx_response": self._on_response},
        )

    async def ask(self, write: Callable[[str], bytes], hop: Hop, within_s: float) -> int | None:
        """Send a request until it is answered; return the final status, None where none came.

        Args:
            write: given the value of its Via header, returns the request.
            hop: where to.
            within_s: how long.

        Raises:
            TelephonyError: the host has no address.
        """
        branch = f"z9hG4bK-{secrets.token_hex(12)}"
        data = write(f"SIP/2.0/{hop.transport.upper()} {self._place()};rport;branch={branch}")
        address = await _resolved(hop)
        answered = self._awaited[branch] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(within_s):
                repeat_s = _FIRST_REPEAT_S
                self._send(data, hop, address)
                while hop.transport == "udp":
                    done, _ = await asyncio.wait([answered], timeout=repeat_s)
                    if done:
                        break
                    self._send(data, hop, address)
                    repeat_s = min(2 * repeat_s, _LONGEST_REPEAT_S)
                code: int = await answered
                return code
        except TimeoutError:
            return None
        finally:
            del self._awaited[branch]

    def _send(self, data: bytes, hop: Hop, address: SocketAddress) -> None:
        kind = _TYPES[hop.transport] | (_IPV6 if address.family == socket.AF_INET6 else 0)
        status = self._lib.pjsip_tpmgr_send_raw(
            *(self._manager, kind, None, None, data, len(data)),
            *(ctypes.byref(address), address.size, None, None),
        )
        if status not in {0, _PENDING}:
            log.debug("request_not_sent", status=status, host=hop.host)

    def _on_response(self, rdata: int) -> int:
        with guarded(log, "response_not_taken"):
            if not self._awaited:
                return PASS
            found = _ANSWER.match(self._received.of(rdata).data)
            waiting = self._awaited.get(found[2].decode("latin-1")) if found else None
            if found is None or waiting is None:
                return PASS
            if int(found[1]) >= _FIRST_FINAL_CODE and not waiting.done():
                waiting.set_result(int(found[1]))
            return HANDLED
        return PASS


async def _resolved(hop: Hop) -> SocketAddress:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(hop.host, hop.port, type=socket.SOCK_DGRAM)
    except OSError as error:
        raise TelephonyError(f"{hop.host} has no address: {error.strerror}") from error
    return SocketAddress.of(str(found[0][4][0]), hop.port)


class LeftCalls:
    """Ends calls that another process has left behind.

    Args:
        requests: sends.
    """

    def __init__(self, requests: StatelessRequests) -> None:
        self._requests = requests

    async def end(self, call_id: str, dialog: Dialog) -> None:
        """Send the far end of a call its BYE, unless the call's own node still holds it.

        Args:
            call_id: the bridge's name of the call, for logs.
            dialog: as its node had it.
        """
        try:
            if await self._is_held(dialog):
                log.warning("left_call_goes_on", call_id=call_id)
                return
            reason = f"{HEADER}: {reason_for(Outcome.NODE_LOST)}"
            passed = (f"{name}: {value}" for name, value in dialog.passed)
            code = await self._ask(dialog, "BYE", _FAR_END_ANSWERS_WITHIN_S, *passed, reason)
            log.info("left_call_ended", call_id=call_id, sip_code=code)
        except (AddressError, TelephonyError) as error:
            log.warning("left_call_not_ended", call_id=call_id, error=str(error))

    async def _is_held(self, dialog: Dialog) -> bool:
        code = await self._ask(dialog.seen_from_there, "OPTIONS", _NODE_ANSWERS_WITHIN_S)
        return code is not None and code != _NO_SUCH_DIALOG

    async def _ask(self, dialog: Dialog, method: str, within_s: float, *more: str) -> int | None:
        return await self._requests.ask(
            lambda via: dialog.request(method, via, *more), dialog.next_hop, within_s
        )
