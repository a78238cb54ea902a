"""Structured logs on stderr, with the ids of call and Realtime session on every line of a call.

Our own lines (structlog) and the libraries' (stdlib `logging`) pass the same processors: context,
level, UTC time, redaction, then JSON or a console line. The context is a `contextvars` one: what a
task binds, its children see. What strangers can make the log grow by is bounded
(:mod:`bridge.telemetry.log_limits`).
"""

import contextlib
import logging
import sys
from collections.abc import Hashable, Iterator, Mapping
from functools import partial

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from bridge.config.settings import TelemetrySettings
from bridge.telemetry.log_limits import LogLimits, cut
from bridge.telemetry.redaction import redact, without_secrets

LEAST_LEVELS = {
    # At DEBUG, websockets logs every frame: the caller's audio and words. It must never get there.
    "websockets": logging.INFO,
    # One line a scrape and probe is of no use.
    "aiohttp.access": logging.WARNING,
    # That it starts and stops is said by us.
    "uvicorn.error": logging.WARNING,
}


def configure(settings: TelemetrySettings, worker: str = "") -> None:
    """Send all logs of the process to stderr; may be called again with other settings.

    Args:
        worker: which of several processes with one log this is: a field of each JSON line, the
            beginning of a line for people; "" for the only one.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        _add_session,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    structlog.configure(
        processors=[
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=False,
    )
    handler = _BridgeHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=_final_processors(settings, worker),
        )
    )
    root = logging.getLogger()
    for old in [each for each in root.handlers if isinstance(each, _BridgeHandler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for name, least in LEAST_LEVELS.items():
        logging.getLogger(name).setLevel(max(level, least))


_SESSIONS: dict[str, str] = {}
"""The Realtime session that each live call has now, by the call's id. A call's tasks are begun at
any time and outlive sessions, so what they were begun with says nothing of a line's own time."""


def set_session(call_id: str, session_id: str) -> None:
    """Put a Realtime session's id on every later line of a call; empty for none."""
    if session_id:
        _SESSIONS[call_id] = session_id
    else:
        _SESSIONS.pop(call_id, None)


def bind_call(call_id: str, **fields: str) -> None:
    """Put the call's id (and few more fields: arm, route) on every later line of this task."""
    structlog.contextvars.bind_contextvars(call_id=call_id, **fields)


@contextlib.contextmanager
def call_context(call_id: str, **fields: str) -> Iterator[None]:
    """Bind a call for a block, for callbacks in which one thread serves many calls."""
    with structlog.contextvars.bound_contextvars(call_id=call_id, **fields):
        yield


_LIMITS = LogLimits()


def lines_left_out() -> Mapping[str, int]:
    """Return how many lines were not written since the start, by level."""
    return _LIMITS.left_out


class _BridgeHandler(logging.StreamHandler):  # type: ignore[type-arg]  # generic in typeshed only
    """The handler that :func:`configure` owns, known from others' by its type."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, unless too many of its kind came."""
        fields = record.msg if isinstance(record.msg, dict) else {}
        call_id = str(fields.get("call_id", ""))
        left_out = _LIMITS.take(_kind(record, fields), record.levelno, call_id)
        if left_out is None:
            return
        record.left_out = left_out
        super().emit(record)


def _kind(record: logging.LogRecord, fields: Mapping[str, object]) -> Hashable:
    """Return what lines have in common: our events by name, others by their place in the code."""
    if fields:
        return record.name, fields.get("event")
    return record.pathname, record.lineno


def _final_processors(settings: TelemetrySettings, worker: str) -> list[Processor]:
    """Return what makes a line of the fields, redaction after tracebacks have become text."""
    shaped: list[Processor] = [
        _add_left_out,
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        _cut,
        _mask_secrets,
    ]
    if not settings.reveal_pii:
        shaped.append(_redact)
    if worker:
        shaped.append(partial(_name_worker, worker, settings.log_format))
    if settings.log_format == "json":
        return [*shaped, structlog.processors.JSONRenderer(default=str, ensure_ascii=False)]
    # Plain tracebacks: the pretty ones print local variables, and those hold speech and keys.
    return [
        *shaped,
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        ),
    ]


def _name_worker(
    worker: str, log_format: str, _logger: WrappedLogger, _method: str, event: EventDict
) -> EventDict:
    if log_format == "json":
        return {**event, "worker": worker}
    return {**event, "event": f"[{worker}] {event.get('event', '')}"}


def _add_session(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    session_id = _SESSIONS.get(event.get("call_id", ""))
    if session_id is not None:
        event.setdefault("session_id", session_id)
    return event


def _add_left_out(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    left_out = getattr(event["_record"], "left_out", 0)
    if left_out:
        event["left_out"] = left_out
    return event


def _cut(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return cut(event)


def _mask_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return without_secrets(event)


def _redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return redact(event)
