"""Raises this process's limit of file descriptors at the start, and returns the calls it holds.

A call that gets none for its session or its RTP is lost after it was taken, so fewer are promised.
"""

import structlog

from bridge.console.patience import MOST_CONNECTIONS
from bridge.descriptors import open_now, raise_limit
from bridge.errors import InfrastructureError

log = structlog.get_logger(__name__)

A_CALL = 8
"""RTP, RTCP, session, recording and markers; while a session is renewed or a tool asked, or a
person called, up to three more."""

THE_REST = 100
"""Redis, DNS, files, children, probes and a few people at the console."""

_REMEDY = "raise the limit of open files (systemd: LimitNOFILE, shell: ulimit -n)"


def calls_within_limit(promised: int) -> int:
    """Raise the limit of descriptors as far as is wanted and allowed; return the calls it holds.

    Args:
        promised: calls at once that are to be held.

    Raises:
        InfrastructureError: it does not suffice for one.
    """
    rest = open_now() + THE_REST
    needed = rest + A_CALL * promised
    limit = raise_limit(needed + MOST_CONNECTIONS)
    fitting = (limit - rest) // A_CALL
    if fitting < 1:
        raise InfrastructureError(
            f"this process may open {limit} files, and one call needs {rest + A_CALL}",
            remedy=_REMEDY,
        )
    if fitting < promised:
        log.warning(
            "calls_limited_by_descriptors",
            calls=fitting,
            promised=promised,
            limit=limit,
            needed=needed,
            remedy=f"{_REMEDY} to {needed}, or set sip.max_calls to {fitting}",
        )
    return min(promised, fitting)
