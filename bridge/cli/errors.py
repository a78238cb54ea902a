"""Turns an error of a command into one line with its remedy, and a fixed exit code."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import click

from bridge.errors import BridgeError

P = ParamSpec("P")
T = TypeVar("T")

_INTERRUPTED = 130
"""128 + SIGINT, as shells have it."""


def exits_cleanly(command: Callable[P, T]) -> Callable[P, T]:
    """Turn every :class:`BridgeError` into `error: ...` on stderr and its exit code."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return command(*args, **kwargs)
        except BridgeError as error:
            click.echo(f"error: {error}", err=True)
            raise SystemExit(error.exit_code) from error
        except KeyboardInterrupt:
            raise SystemExit(_INTERRUPTED) from None

    return wrapped
