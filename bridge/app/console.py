"""Opens the console of one gateway, and returns the link for its first admin."""

from collections.abc import Callable

import structlog

from bridge.app.dialplans.in_force import DialplansInForce
from bridge.app.start.addresses import browser_url
from bridge.app.supervisors import SupervisorDesk
from bridge.clock import Clock
from bridge.config.settings import Settings
from bridge.console.services import Services, first_admin_link, open_services
from bridge.console.sources import Sources
from bridge.telemetry.metrics.store import StoreMetrics

log = structlog.get_logger(__name__)


def open_console(
    settings: Settings,
    redis_url: str,
    clock: Clock,
    dialplans: DialplansInForce,
    supervisors: SupervisorDesk,
    node: Callable[[], str],
    metrics: StoreMetrics,
) -> Services | None:
    """Make what the console stands on; None where the settings want none.

    Args:
        settings: all of them.
        redis_url: where users, tickets and the audit are.
        clock: of sessions and tickets.
        dialplans: shown as they are in force.
        supervisors: find the calls of this node.
        node: returns its name, once it has one.
        metrics: count what the audit could not take.
    """
    if not settings.console.enabled:
        return None
    sources = Sources(
        recordings_dir=settings.media.recordings_dir,
        replays_dir=settings.console.replays_dir,
        scripts_dir=settings.console.scripts_dir,
        rollouts=settings.rollouts,
        dialplans=lambda: dialplans.plans.dialplans,
        node=node,
    )
    return open_services(
        settings.console,
        settings.redis,
        redis_url,
        clock,
        sources,
        state_dir=settings.state_dir,
        count_audit_failure=metrics.audit_failed,
        local=supervisors,
    )


async def invite_admin(console: Services, settings: Settings, heard_at: str) -> str | None:
    """Return the link for the console's first admin, and log it; None where there is one.

    Args:
        heard_at: URL at which the HTTP server is heard.
    """
    link = await first_admin_link(console, browser_url(settings, heard_at))
    if link is not None:
        log.warning("console_has_no_admin", open_once_within_the_hour=link)
    return link
