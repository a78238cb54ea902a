"""Options that several commands have, each with one meaning."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from bridge.config.settings import Settings
from bridge.errors import ConfigError

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


IN_DIRECTORY = together(
    config_option("YAML settings; BRIDGE_CONFIG too."),
    click.option(
        "--directory",
        type=click.Path(path_type=Path),
        help="The calls' files; else media.recordings_dir of the settings.",
    ),
)
"""Adds the options that say which calls' files are meant."""


def directory_of(settings: Settings, directory: Path | None) -> Path:
    """Return the directory of the calls' files.

    Raises:
        ConfigError: it is none.
    """
    where = directory or settings.media.recordings_dir
    if not where.is_dir():
        raise ConfigError(f"{where} is no directory", remedy="pass --directory")
    return where
