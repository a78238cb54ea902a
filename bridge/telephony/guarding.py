"""Keeps our exceptions from PJSIP's C: one that gets there is lost, or ends the process."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog


@contextmanager
def guarded(log: structlog.stdlib.BoundLogger, event: str, **fields: object) -> Iterator[None]:
    """Log an exception of a callback, with its stack, and go on behind the block.

    Args:
        log: of the module that has the callback.
        event: name of the line.
        fields: more of it.
    """
    try:
        yield
    except Exception:
        log.exception(event, **fields)
