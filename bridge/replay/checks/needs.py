"""A table of what checks and scripts need of a service that not every service has. Pure.

Where an arm's service lacks it, a check that is not met is not applicable there, with the reason,
and a script that needs it for its circumstances is not played. Which services lack it follows from
the traits of their dialect and flavour, never from the names of arms or scripts.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from bridge.realtime.commands import TruncateItem
from bridge.realtime.dialect import Dialect
from bridge.replay.checks.check import Check, CheckStatus
from bridge.replay.script import CallScript
from bridge.session.token_wire import TOKEN_WIRES


@dataclass(frozen=True, slots=True)
class Need:
    """A need of a check, or of a script, that not every service meets.

    Attributes:
        of: kind of the check, or the script's field.
        what: is needed, in words.
        lacking: why a service has it not; "" where it has.
        source: where the traits of services are written down, with their documentation.
    """

    of: str
    what: str
    lacking: Callable[[Dialect], str]
    source: str

    def why_not(self, service: Dialect) -> str:
        """Return why a service does not have it, with the source; "" where it has."""
        why = self.lacking(service)
        return f"{why} ({self.source})" if why else ""


def _decides_alone(service: Dialect) -> str:
    if not service.capabilities.reports_turns:
        return "it hears the caller itself, and stops for any sound: no setting has it wait"
    return service.flavour.answers_by_itself


def _takes_no_report_of_what_was_heard(service: Dialect) -> str:
    if TruncateItem in service.capabilities.unsayable:
        return "it has no word for how much of an answer was heard: it sends none ahead"
    return service.flavour.not_taken.get(TruncateItem, "")


def _sells_no_tokens(service: Dialect) -> str:
    if service.name not in TOKEN_WIRES:
        return "no client secret opens a session over a WebSocket there"
    return service.flavour.no_tokens


_FLAVOURS = "bridge/realtime/flavours.py; PROTOCOL.md sections 11 and 12"

CHECK_NEEDS: tuple[Need, ...] = (
    Need(
        "agent_keeps_talking",
        "to wait for the bridge's decision before it stops",
        _decides_alone,
        _FLAVOURS,
    ),
    Need(
        "default_truncated_as_heard",
        "to take a report of how much of an interrupted answer was heard",
        _takes_no_report_of_what_was_heard,
        _FLAVOURS,
    ),
)
"""By the kind of the check."""

SCRIPT_NEEDS: tuple[Need, ...] = (
    Need("realtime.credentials", "to sell client secrets", _sells_no_tokens, _FLAVOURS),
)
"""By the script's field."""


def as_applicable(check: Check, service: Dialect) -> Check:
    """Return a check as it counts on a service: what is not met there for its lack is no verdict.

    A check that is met stays met.
    """
    if check.status is CheckStatus.PASS:
        return check
    reasons = (need.why_not(service) for need in CHECK_NEEDS if need.of == check.kind)
    why = next((each for each in reasons if each), "")
    if not why:
        return check
    found = f"{why}; {check.found}"
    return replace(check, status=CheckStatus.NOT_APPLICABLE, found=found, owner=None)


def why_not_played(script: CallScript, service: Dialect) -> str:
    """Return why a script's circumstances can't be had on a service; "" where they can."""
    if script.realtime.credentials != "token":
        return ""
    reasons = (need.why_not(service) for need in SCRIPT_NEEDS)
    return next((each for each in reasons if each), "")
