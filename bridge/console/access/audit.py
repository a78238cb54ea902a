"""Writes each action of a console user to the audit before the action is carried out.

Nothing is done that can't be put down, but for what ends a supervisor's hold on a call
(``fail_open``): a caller must not wait for Redis.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import structlog

from bridge.clock import NS_PER_MS, Clock
from bridge.console.access.audit_head import HeadFile
from bridge.console.access.principal import Principal
from bridge.errors import InfrastructureError
from bridge.recordings.writing import append_line
from bridge.store.audit_log import AuditLog, Fields, Guard
from bridge.store.client import Command

log = structlog.get_logger(__name__)

T = TypeVar("T")

ASKED = "asked"
"""The result of an entry that was written before its action; a second one has the outcome."""

CountFailure = Callable[[], None]


class AuditUnavailableError(InfrastructureError):
    """An entry can't be written, so the action that it records is not done."""

    def __init__(self, action: str) -> None:
        super().__init__(
            f"the audit can't be written, so '{action}' was not done",
            remedy="look at Redis; bridge_audit_write_failures_total counts these",
            retryable=True,
        )


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """An action of a user, as the audit has it.

    Attributes:
        actor: the user; "" for nobody who is known.
        roles: what he was then.
        address: where he was.
        action: a verb or two, ``whisper``, ``user change``.
        target: what it was done to: a user, a flag, a recording; "" for a call.
        params: with what; never a password or a token.
        result: how it came out.
    """

    actor: str
    action: str
    roles: Sequence[str] = ()
    address: str = ""
    target: str = ""
    call_id: str = ""
    params: Mapping[str, object] = field(default_factory=dict)
    result: str = "done"

    @classmethod
    def by(cls, who: Principal, action: str, **more: object) -> "AuditEntry":
        """Return an entry of somebody who is signed in; ``more`` are its other fields."""
        # mypy can't see through to the fields.
        return cls(who.user, action, sorted(who.roles), who.address, **more)  # type: ignore[arg-type]

    def to_fields(self, at_ms: int) -> dict[str, str]:
        """Return what is written; empty fields are left out."""
        fields = {
            "at_ms": str(at_ms),
            "actor": self.actor,
            "roles": " ".join(self.roles),
            "address": self.address,
            "action": self.action,
            "target": self.target,
            "call_id": self.call_id,
            "detail": json.dumps(dict(self.params), ensure_ascii=False) if self.params else "",
            "result": self.result,
        }
        return {name: value for name, value in fields.items() if value}


class Auditor:
    """Puts down what people do.

    Args:
        audit: where.
        clock: wall time of the entries.
        count_failure: called for every entry that could not be written.
    """

    def __init__(self, audit: AuditLog, clock: Clock, count_failure: CountFailure) -> None:
        self.audit = audit
        self._clock = clock
        self._count_failure = count_failure

    async def write(
        self, entry: AuditEntry, *, guard: Guard | None = None, commands: Sequence[Command] = ()
    ) -> bool:
        """Write an entry, and make the change that it records with it; False as its guard said.

        Raises:
            AuditUnavailableError: neither was done.
        """
        fields = entry.to_fields(self._clock.wall_ns() // NS_PER_MS)
        try:
            return await self.audit.append(fields, guard=guard, commands=commands)
        except InfrastructureError as error:
            self._count_failure()
            log.error("audit_not_written", action=entry.action, error=str(error))
            raise AuditUnavailableError(entry.action) from error

    async def act(
        self,
        who: Principal,
        action: str,
        run: Callable[[], Awaitable[T]],
        *,
        result_of: Callable[[T], str] = lambda result: "done",
        fail_open: bool = False,
        **more: object,
    ) -> T:
        """Put down that somebody asks for something, do it, and put down how it came out.

        Args:
            who: asks.
            action: for what.
            run: does it.
            result_of: says in a word or two how it came out.
            fail_open: do it even where it can't be put down.
            more: ``target``, ``call_id``, ``params`` of the :class:`AuditEntry`.

        Raises:
            AuditUnavailableError: it was not done.
        """
        try:
            await self.write(AuditEntry.by(who, action, result=ASKED, **more))
        except AuditUnavailableError:
            if not fail_open:
                raise
        result = "cut short"
        try:
            done = await run()
            result = result_of(done)
        except Exception as error:
            result = f"failed: {error}"
            raise
        finally:
            await self._conclude(AuditEntry.by(who, action, result=result, **more))
        return done

    async def _conclude(self, entry: AuditEntry) -> None:
        """Write how it came out, even for a browser that has gone; it is done, whatever happens."""
        writing = asyncio.ensure_future(self.write(entry))
        writing.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            await asyncio.shield(writing)
        except AuditUnavailableError:
            return  # counted, and in the log


class AuditFile:
    """Keeps on disk what this process has written: a copy, a JSON line an entry, and the head.

    Args:
        path: of the copy, added to, never rewritten; None keeps no copy.
        head: the last entry, by which a rewritten chain is seen.
        count_failure: called for every entry that the disk refused.
    """

    def __init__(self, path: Path | None, head: HeadFile, count_failure: CountFailure) -> None:
        self._path = path
        self._head = head
        self._count_failure = count_failure
        self._turn = asyncio.Lock()

    async def copy(self, entry: Fields) -> None:
        """Add an entry. One that the disk refuses is counted: the audit itself has it."""
        if self._path is None and self._head.path is None:
            return
        async with self._turn:
            try:
                await asyncio.to_thread(self._write, dict(entry))
            except OSError as error:
                self._count_failure()
                log.error("audit_not_copied", path=error.filename, error=str(error))

    def _write(self, entry: Fields) -> None:
        if self._path is not None:
            append_line(self._path, entry)
        self._head.write(entry)
