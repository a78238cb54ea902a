"""Runs a command's coroutine in a loop, and ends it in order at a signal."""

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import click
import uvloop
from rich.console import Console

from bridge.errors import ConfigError

T = TypeVar("T")

STOPPING = "stopping everything, in order"

_PIPE_CHARS = 160

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in a fresh uvloop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


async def until_signalled() -> str:
    """Wait for SIGINT or SIGTERM; return its name. A second one ends the process at once."""
    signalled: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def stop(number: signal.Signals) -> None:
        if not signalled.done():
            signalled.set_result(number.name)
        _let_signals_end_us()

    _on_signals(stop)
    return await signalled


async def until_done_or_signalled(
    work: Coroutine[Any, Any, T], name: str, on_signal: Callable[[], None] = lambda: None
) -> T | str:
    """Do some work; at a signal say so, end it in order, and return the signal's name."""
    doing = asyncio.create_task(work, name=name)
    signalled = asyncio.create_task(until_signalled(), name="signals")
    await asyncio.wait({doing, signalled}, return_when=asyncio.FIRST_COMPLETED)
    if signalled.done() and not doing.done():
        on_signal()
        doing.cancel()
        await asyncio.gather(doing, return_exceptions=True)
        return signalled.result()
    signalled.cancel()
    await asyncio.gather(signalled, return_exceptions=True)
    return doing.result()


def finished(done: T | str) -> T:
    """Return the result of work that was let end; a signal's name ends the command.

    Raises:
        SystemExit: with 128 and the signal's number, as shells have it.
    """
    if isinstance(done, str):
        click.echo(f"stopped by {done}; nothing is left running", err=True)
        raise SystemExit(128 + signal.Signals[done])
    return done


def wide_console() -> Console:
    """Return a console for tables: into a pipe they go whole, whatever a terminal's width."""
    return Console(width=None if sys.stdout.isatty() else _PIPE_CHARS)


def make_directory(path: Path | None) -> None:
    """Make the directory of a report, if one is wanted.

    Raises:
        ConfigError: it can't be made.
    """
    try:
        if path is not None:
            path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"the report's directory can't be made: {error.strerror}",
            path=str(path),
            remedy="name another with --report",
        ) from error


class StopSignals:
    """The signals that stop a process which drains, from its making on.

    SIGTERM asks it to drain; SIGINT, or a second signal, to stop. One more ends it at once.

    Attributes:
        came: a signal has come; ``at_once``: and it is not to drain.
    """

    def __init__(self) -> None:
        self.came = asyncio.Event()
        self.at_once = asyncio.Event()
        _on_signals(self._take)

    def _take(self, number: signal.Signals) -> None:
        if number is signal.SIGINT or self.came.is_set():
            self.at_once.set()
            _let_signals_end_us()
        self.came.set()


async def until_drained(drain: Coroutine[Any, Any, None], signals: StopSignals) -> None:
    """Drain until that is done, or cut short by another signal."""
    draining = asyncio.create_task(drain, name="drain")
    cut_short = asyncio.create_task(signals.at_once.wait(), name="cut-short")
    if not signals.at_once.is_set():
        await asyncio.wait({draining, cut_short}, return_when=asyncio.FIRST_COMPLETED)
    for task in (draining, cut_short):
        task.cancel()
    await asyncio.gather(draining, cut_short, return_exceptions=True)


def on_hangup(take: Callable[[], None]) -> None:
    """Call ``take`` at each SIGHUP, which would else end the process."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, take)


def _on_signals(take: Callable[[signal.Signals], None]) -> None:
    for each in _SIGNALS:
        asyncio.get_running_loop().add_signal_handler(each, take, each)


def _let_signals_end_us() -> None:
    for each in _SIGNALS:
        asyncio.get_running_loop().remove_signal_handler(each)
