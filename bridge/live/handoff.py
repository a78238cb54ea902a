"""The handing over of one call in SIP: the core's order to its leg, and what the far end tells."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import structlog

from bridge.engine.effects import Effect, TransferCall
from bridge.engine.inputs import Input, TransferCompleted, TransferFailed, TransferProgressed
from bridge.errors import TelephonyError
from bridge.telephony.leg import Leg, TransferProgress

log = structlog.get_logger(__name__)

_NOT_SENT = 500
"""SIP status of a REFER that PJSIP would not send: our own failure (RFC 3261 section 21.5.1)."""


class Handoffs:
    """Transfers of one call.

    Args:
        leg: the call's.
        feed: takes what is to be fed to the core.
    """

    def __init__(self, leg: Leg, feed: Callable[[Input], None]) -> None:
        self._leg = leg
        self._feed = feed

    @property
    def effects(self) -> Mapping[type[Effect], Callable[[Any], None]]:  # the key is its argument
        """The effects that are carried out here."""
        return MappingProxyType({TransferCall: self._transfer})

    def on_transfer(self, progress: TransferProgress) -> None:
        """Take what the leg was told."""
        code = progress.sip_code
        log.info("transfer_progressed", sip_code=code, over=progress.over)
        if not progress.over:
            self._feed(TransferProgressed(code))
        elif progress.completed:
            self._feed(TransferCompleted(code))
        else:
            self._feed(TransferFailed(code))

    def _transfer(self, effect: TransferCall) -> None:
        try:
            self._leg.transfer(effect.to)
        except TelephonyError as error:
            log.warning("transfer_not_sent", error=error.what)
            self._feed(TransferFailed(_NOT_SENT))
