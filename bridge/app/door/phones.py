"""Admits supervisors' phones that call in, and drops phones whose users lose the right.

Phones call in at ``sip:listen-{call id}-{ticket}@{node}``:

    INVITE -> the ticket is used up -> the user may still listen -> the audit has it -> 200 OK

Whatever is wrong with it is a 403: an INVITE without a ticket learns not even whether there is such
a call. The ticket may come in the header ``X-Bridge-Ticket`` instead. Whoever loses the right to
hear a call is let go, whichever side has called the other.
"""

import asyncio
import re
from collections.abc import Callable, Iterable

import structlog

from bridge.console.access.door import find_caller
from bridge.console.access.principal import Principal
from bridge.console.access.roles import Permission
from bridge.console.services import ConsoleServices
from bridge.errors import InfrastructureError
from bridge.live.call import CallRunner
from bridge.live.supervision.phone import PhoneUse, SupervisorPhone
from bridge.telemetry.redaction import mask_numbers
from bridge.telephony.leg import Leg, LegState

log = structlog.get_logger(__name__)

PREFIX = "listen-"
"""What a user part begins with that is no number of a dialplan's."""

TICKET_HEADER = "x-bridge-ticket"

_DIALLED = re.compile(rf"{PREFIX}(?P<call>c_[0-9a-f]{{16}})(-(?P<ticket>[0-9a-f]{{24}}))?")
_TO_LISTEN = {False: Permission.MONITOR, True: Permission.MONITOR_PRIVATE}
"""What it takes to listen, by whether it is private."""

_LOOK_EVERY_S = 2.0
"""As often as at browsers that listen."""


class PhoneDoor:
    """Lets phones in.

    Args:
        find: finds a call of this node.
        console: knows tickets and users, and audits; None where there is no console.
    """

    def __init__(
        self, find: Callable[[str], CallRunner | None], console: ConsoleServices | None
    ) -> None:
        self._find = find
        self._console = console
        self._calls: set[asyncio.Task[None]] = set()

    def takes(self, leg: Leg) -> bool:
        """Return whether an INVITE is for here, and for no dialplan."""
        return leg.called.startswith(PREFIX)

    def take(self, leg: Leg) -> None:
        """Answer or refuse an INVITE; at once where nothing has to be asked."""
        dialled = _DIALLED.fullmatch(leg.called)
        given = leg.headers.get(TICKET_HEADER, ("",))[0]
        ticket = given if dialled is None else dialled["ticket"] or given
        if dialled is None or not ticket or self._console is None:
            _refuse(leg, "no ticket")
            return
        call = self._let_in(leg, self._console, dialled["call"], ticket)
        task = asyncio.get_running_loop().create_task(call, name=f"phone-{leg.call_id}")
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def aclose(self) -> None:
        """Ask for nobody's tickets any more; what goes on is cut short in the audit."""
        calls = list(self._calls)
        for task in calls:
            task.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    async def _let_in(self, leg: Leg, console: ConsoleServices, call_id: str, secret: str) -> None:
        try:
            ticket = await console.phone_tickets.take(secret, call_id)
            if ticket is None:
                _refuse(leg, "ticket not good")
                return
            needed = _TO_LISTEN[ticket.private]
            principal = await _listener(console, call_id, ticket.user, leg.source, needed)
            if principal is None:
                _refuse(leg, "not allowed")
                return
            barges = ticket.may_take_over and principal.may(Permission.BARGE)
            use = PhoneUse(principal.user, may_take_over=barges, private=ticket.private)
            await console.auditor.act(
                principal,
                "listen",
                lambda: self._serve(leg, call_id, use),
                result_of=lambda result: result,
                call_id=call_id,
                params={
                    "phone": mask_numbers(leg.from_uri),
                    "may_take_over": barges,
                    "private": ticket.private,
                },
            )
        except InfrastructureError as error:
            log.warning("phone_not_let_in", error=error.what)
            leg.reject(503, "Service Unavailable")

    async def _serve(self, leg: Leg, call_id: str, use: PhoneUse) -> str:
        """Have a phone hear a call until one of them is over; return how it came out."""
        call = self._find(call_id)
        if call is None or leg.state is LegState.DISCONNECTED:
            _refuse(leg, "no such call")
            return "refused: over"
        phone = call.supervision.take_phone(leg, use)
        if phone is None:
            leg.reject(486, "Busy Here")
            return "refused: already"
        await phone.gone.wait()
        return "over"

    async def keep_looking(self, calls: Callable[[], Iterable[CallRunner]]) -> None:
        """Let phones go whose users may not hear their calls any more; without an end.

        Args:
            calls: of this node.
        """
        while self._console is not None:
            await asyncio.sleep(_LOOK_EVERY_S)
            for call in tuple(calls()):
                for phone in call.supervision.phones:
                    if not await _still_allowed(self._console, call.call_id, phone):
                        log.info("phone_let_go", by=phone.by)
                        phone.let_go()


async def _still_allowed(console: ConsoleServices, call_id: str, phone: SupervisorPhone) -> bool:
    needed = Permission.QUEUE_ACCEPT if phone.accepts else _TO_LISTEN[phone.private]
    try:
        if await console.users.get(phone.by) is None:
            return (
                True  # users are never deleted: who put the order into Redis is not the console's
            )
        return await _listener(console, call_id, phone.by, "", needed) is not None
    except InfrastructureError:
        return True  # Redis is away: nobody can say, so what goes on goes on


async def _listener(
    console: ConsoleServices, call_id: str, user: str, address: str, needed: Permission
) -> Principal | None:
    """Return who listens, if he may."""
    principal = await find_caller(console, user, address)
    if principal is None or not principal.may(needed):
        return None
    call = await console.calls.call(call_id) or {}
    return principal if principal.may_see(call.get("dialplan", "")) else None


def _refuse(leg: Leg, reason: str) -> None:
    log.warning("phone_refused", reason=reason, source=leg.source)
    leg.reject(403, "Forbidden")
