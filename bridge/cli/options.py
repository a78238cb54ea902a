"""Options that several commands have, each with one meaning."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

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
