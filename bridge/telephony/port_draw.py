"""Draws a free pair of UDP ports at random for each call's RTP and RTCP.

PJSUA takes the next port upwards from the last call's, so that a stranger knows where the next call
will be. It begins anew where an account's port changes; so that is changed after each call, in all
accounts.
"""

import secrets
import socket
from collections.abc import Callable
from itertools import chain
from typing import Any

import structlog

from bridge.telephony.accounts import SipAccounts
from bridge.telephony.library import import_pjsua2

pj: Any = import_pjsua2()
log = structlog.get_logger(__name__)


def draw(ports: range, is_free: Callable[[int], bool]) -> int | None:
    """Return a free port, searched from a random one on; None where all are taken."""
    first = secrets.randbelow(len(ports))
    return next(filter(is_free, chain(ports[first:], ports[:first])), None)


class PortDraw:
    """Chooses where PJSUA's next call has its RTP.

    Args:
        accounts: PJSUA's; any of them may have the next call.
        ports: even ones; empty: the kernel draws them.
        host: that they are bound to; "" for all addresses.
    """

    def __init__(self, accounts: SipAccounts, ports: range, host: str) -> None:
        self._accounts, self._ports, self._host = accounts, ports, host

    def next(self) -> None:
        """Choose; to be called at the start, and when a call has taken what was chosen."""
        if not self._ports:
            return
        port = draw(self._ports, lambda port: _is_free(self._host, port))
        if port is None:
            log.error(
                "rtp_ports_used_up",
                first=self._ports[0],
                last=self._ports[-1] + 1,
                remedy="widen sip.rtp_port_min to sip.rtp_port_max, or lower sip.max_calls",
            )
            port = self._ports[0]  # PJSUA looks from there, when the next call comes
        for account in self._accounts.all:
            try:
                account.use_rtp_port(port, max(self._ports[-1] - port, 1))
            except pj.Error as error:
                log.error("rtp_port_not_chosen", error=error.reason)


def _is_free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    kinds = family, socket.SOCK_DGRAM
    with socket.socket(*kinds) as rtp, socket.socket(*kinds) as rtcp:
        try:
            rtp.bind((host, port))
            rtcp.bind((host, port + 1))
        except OSError:
            return False
    return True
