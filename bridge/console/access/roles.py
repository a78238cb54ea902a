"""Roles and their permissions (`NEEDS.md` section 1 "Roles"): the one table that decides.

A user may have several roles; what one of them allows is allowed. Routes (dialplans) narrow down
which calls that concerns.
"""

import enum
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from types import MappingProxyType


class Permission(enum.StrEnum):
    """A right that roles give."""

    CALLS_VIEW = "calls.view"
    TRANSCRIPT_VIEW = "transcript.view"
    MONITOR = "monitor"
    MONITOR_PRIVATE = "monitor.private"
    COACH = "coach"
    BARGE = "barge"
    TRANSFER = "transfer"
    END = "end"
    FLAG = "flag"
    UNMASK = "unmask"
    HISTORY_VIEW = "history.view"
    RECORDING_PLAY = "recording.play"
    SCRIPTS_MAKE = "scripts.make"
    ROLLOUT_VIEW = "rollout.view"
    ROLLOUT_CHANGE = "rollout.change"
    KILL = "kill"
    QUEUE_VIEW = "queue.view"
    QUEUE_ACCEPT = "queue.accept"
    ALERTS_VIEW = "alerts.view"
    ALERTS_ACKNOWLEDGE = "alerts.acknowledge"
    REFUSALS_VIEW = "refusals.view"
    REPLAYS_VIEW = "replays.view"
    USERS_ADMIN = "users.admin"
    AUDIT_READ = "audit.read"


class UserRole(enum.StrEnum):
    """A set of rights that a user has."""

    VIEWER = "viewer"
    AGENT = "agent"
    SUPERVISOR = "supervisor"
    QA = "qa"
    OPERATOR = "operator"
    ADMIN = "admin"
    AUDITOR = "auditor"


_P = Permission

ALLOWED: Mapping[UserRole, frozenset[Permission]] = MappingProxyType(
    {
        UserRole.VIEWER: frozenset({_P.CALLS_VIEW, _P.QUEUE_VIEW, _P.ALERTS_VIEW, _P.ROLLOUT_VIEW}),
        # Of the caller whom they have accepted they may do more: routing/supervisor_verbs.py.
        UserRole.AGENT: frozenset({_P.QUEUE_VIEW, _P.QUEUE_ACCEPT}),
        UserRole.SUPERVISOR: frozenset(
            {_P.CALLS_VIEW, _P.TRANSCRIPT_VIEW, _P.MONITOR, _P.COACH, _P.BARGE, _P.TRANSFER}
            | {_P.END, _P.FLAG, _P.UNMASK, _P.HISTORY_VIEW, _P.RECORDING_PLAY, _P.SCRIPTS_MAKE}
            | {_P.QUEUE_VIEW, _P.QUEUE_ACCEPT, _P.ALERTS_VIEW, _P.ALERTS_ACKNOWLEDGE}
            | {_P.ROLLOUT_VIEW, _P.REPLAYS_VIEW, _P.REFUSALS_VIEW}
        ),
        UserRole.QA: frozenset(
            {_P.HISTORY_VIEW, _P.TRANSCRIPT_VIEW, _P.RECORDING_PLAY, _P.SCRIPTS_MAKE, _P.FLAG}
            | {_P.REPLAYS_VIEW, _P.ROLLOUT_VIEW}
        ),
        # Neither audio nor transcripts.
        UserRole.OPERATOR: frozenset(
            {_P.CALLS_VIEW, _P.ROLLOUT_VIEW, _P.ROLLOUT_CHANGE, _P.KILL, _P.QUEUE_VIEW}
            | {_P.ALERTS_VIEW, _P.ALERTS_ACKNOWLEDGE, _P.REPLAYS_VIEW, _P.REFUSALS_VIEW}
        ),
        UserRole.ADMIN: frozenset(Permission),
        UserRole.AUDITOR: frozenset({_P.AUDIT_READ}),
    }
)


def permissions_of(roles: Iterable[UserRole]) -> frozenset[Permission]:
    """Return what somebody with these roles may do."""
    return frozenset[Permission]().union(*(ALLOWED[role] for role in roles))


def covers(patterns: Iterable[str], route: str) -> bool:
    """Return whether one of a user's patterns (``billing``, ``sales-*``, ``*``) is this route."""
    return any(fnmatchcase(route, pattern) for pattern in patterns)
