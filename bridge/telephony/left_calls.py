"""Ends calls that a process has left behind by dying: their far ends get a BYE from another one.

A node that has only lost Redis still holds its calls, so it is asked first, by an OPTIONS within
the dialog: whoever holds that answers 200, a restarted node 481 (RFC 3261 section 12.2.2), a dead
one nothing.
"""

import structlog

from bridge.errors import TelephonyError
from bridge.sip.addresses import AddressError
from bridge.sip.dialog import Dialog
from bridge.telephony.stateless import StatelessRequests

log = structlog.get_logger(__name__)

_NODE_ANSWERS_WITHIN_S = 1.6
"""An OPTIONS that is sent three times: after 0.5 and 1.5 s again."""
_FAR_END_ANSWERS_WITHIN_S = 32.0
"""Timer F of RFC 3261 section 17.1.2.2."""
_NO_SUCH_DIALOG = 481


class LeftCalls:
    """Ends them.

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
            code = await self._ask(dialog, "BYE", _FAR_END_ANSWERS_WITHIN_S)
            log.info("left_call_ended", call_id=call_id, sip_code=code)
        except (AddressError, TelephonyError) as error:
            log.warning("left_call_not_ended", call_id=call_id, error=str(error))

    async def _is_held(self, dialog: Dialog) -> bool:
        code = await self._ask(dialog.seen_from_there, "OPTIONS", _NODE_ANSWERS_WITHIN_S)
        return code is not None and code != _NO_SUCH_DIALOG

    async def _ask(self, dialog: Dialog, method: str, within_s: float) -> int | None:
        return await self._requests.ask(
            lambda via: dialog.request(method, via), dialog.next_hop, within_s
        )
