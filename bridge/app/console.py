"""The console of one gateway: its services, the link for its first admin, the supervisors' desk."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import structlog
from pydantic import ValidationError

from bridge.app.start.addresses import browser_url
from bridge.app.watches.sip_messages import give_refused, give_sip
from bridge.clock import Clock
from bridge.config.settings import Settings
from bridge.console.call_audio import LocalCalls
from bridge.console.services import ConsoleServices, Sources, first_admin_link, open_services
from bridge.live.call import CallRunner
from bridge.live.supervision.supervisors import Supervision
from bridge.realtime.pictures import Picture
from bridge.recordings.record_files import add_wrap_up
from bridge.routing.models import Dialplan
from bridge.routing.supervisor_verbs import WrapUpOrder
from bridge.store.control import Answer, Command
from bridge.store.sip_messages import REFUSED, SIP
from bridge.telephony.sip_traces import SipTraces

log = structlog.get_logger(__name__)


class SupervisorDesk:
    """Gives commands to the calls of this node.

    Args:
        calls: gives them.
        recordings_dir: where the records of calls that are over are.
        traces: have the SIP messages of those that go on.
    """

    def __init__(
        self,
        calls: Callable[[], Iterable[CallRunner]],
        recordings_dir: Path,
        traces: SipTraces,
    ) -> None:
        self._calls = calls
        self._recordings_dir = recordings_dir
        self._traces = traces

    def find(self, call_id: str) -> CallRunner | None:
        """Return a call that goes on here."""
        return next((each for each in self._calls() if each.call_id == call_id), None)

    def audio_of(self, call_id: str) -> Supervision | None:
        """Return a call's audio, as the console knows it."""
        call = self.find(call_id)
        return None if call is None else call.supervision

    def bring(self, call_id: str, picture: Picture) -> bool:
        """Keep a picture for an order about a call; return whether the call is here."""
        call = self.find(call_id)
        if call is not None:
            call.supervision.bring(picture)
        return call is not None

    async def __call__(self, command: Command) -> Answer:
        """Carry a command out, or refuse it."""
        if command.action == SIP:
            return await give_sip(self._traces, self._recordings_dir, command.call_id)
        if command.action == REFUSED:
            return await give_refused(self._traces, command.params)
        call = self.find(command.call_id)
        if call is not None:
            return call.supervision.act(command)
        if command.action == "wrap_up":
            return await self._wrap_up(command)
        return Answer.refused("unknown_call")

    async def _wrap_up(self, command: Command) -> Answer:
        """Put what came of a call that is over into its record."""
        try:
            order = WrapUpOrder.model_validate(command.params)
            made = {**order.model_dump(), "by": command.by}
            found = await asyncio.to_thread(
                add_wrap_up, self._recordings_dir, command.call_id, made
            )
        except ValidationError:
            return Answer.refused("bad_params")
        except OSError as error:
            log.warning("wrap_up_not_recorded", error=str(error))
            return Answer.refused("disk")
        return Answer(True) if found else Answer.refused("unknown_call")


def open_console(
    settings: Settings,
    redis_url: str,
    clock: Clock,
    dialplans: Callable[[], Sequence[Dialplan]],
    local: LocalCalls,
    node: Callable[[], str],
    count_audit_failure: Callable[[], None],
) -> ConsoleServices | None:
    """Make what the console stands on; None where the settings want none.

    Args:
        settings: all of them.
        redis_url: where users, tickets and the audit are.
        clock: of sessions and tickets.
        dialplans: gives those in force, which are shown.
        local: this node's own calls.
        node: returns its name, once it has one.
        count_audit_failure: called when the audit could not take an entry.
    """
    if not settings.console.enabled:
        return None
    sources = Sources(
        recordings_dir=settings.media.recordings_dir,
        recordings=settings.recordings,
        replays_dir=settings.console.replays_dir,
        scripts_dir=settings.console.scripts_dir,
        rollouts=settings.rollouts,
        dialplans=dialplans,
        node=node,
    )
    return open_services(
        settings.console,
        settings.redis,
        redis_url,
        clock,
        sources,
        state_dir=settings.state_dir,
        count_audit_failure=count_audit_failure,
        local=local,
    )


async def invite_admin(console: ConsoleServices, settings: Settings, heard_at: str) -> str | None:
    """Return the link for the console's first admin, and log it; None where there is one.

    Args:
        heard_at: URL at which the HTTP server is heard.
    """
    link = await first_admin_link(console, browser_url(settings, heard_at))
    if link is not None:
        log.warning("console_has_no_admin", open_once_within_the_hour=link)
    return link
