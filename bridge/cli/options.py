"""Options that several commands have, each with one meaning."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., object])

JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
REDIS = click.option("--redis", "url", help="Redis URL; else that of the settings.")


def config_option(about: str) -> Callable[[F], F]:
    """Return the option that names a settings file."""
    return click.option("--config", type=click.Path(path_type=Path), help=about)


def together(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Return what adds several options, shown in this order."""

    def add(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return add


class WorkerCount(click.IntRange):
    """A count of workers from 1 on, or `auto`."""

    name = "N|auto"

    def __init__(self) -> None:
        super().__init__(1, 256)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:  # Any: click's own signature
        """Read it."""
        return value if value == "auto" else super().convert(value, param, ctx)
