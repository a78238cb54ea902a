"""The services of deploy/compose as containers: what `compose.yaml` says of each, and no more."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.rules import DEPLOY
from tests.support.containers import Contained, Mount

COMPOSE = DEPLOY / "compose"
FILE = COMPOSE / "compose.yaml"

Yaml = dict[str, Any]  # Any: what a YAML file holds


def read_services() -> dict[str, Yaml]:
    """Return the services by name, with what they share merged in."""
    services: dict[str, Yaml] = yaml.safe_load(FILE.read_text(encoding="utf-8"))["services"]
    return services


@dataclass(frozen=True, slots=True)
class Image:
    """What a service's image says, as far as its container is made of it.

    Attributes:
        root: directory that holds its files.
        entrypoint: before a service's command.
        user: numbers of user and group.
        environment: of its programs.
        workdir: where they start.
    """

    root: Path = Path("/")
    entrypoint: Sequence[str] = ()
    user: str = "0:0"
    environment: Mapping[str, str] = field(default_factory=lambda: {"PATH": "/usr/sbin:/usr/bin"})
    workdir: str = "/"


def container_of(
    name: str, image: Image, volumes: Mapping[str, Path], files: Path = COMPOSE
) -> Contained:
    """Return a service as it would run.

    Args:
        name: of the service.
        image: what it runs in.
        volumes: directories for those that the file names, and for each secret by its name.
        files: folder in whose place `compose.yaml` stands: paths in it are relative.
    """
    service = read_services()[name]
    assert service["read_only"]
    assert service["network_mode"] == "host"
    mounts = [
        *(Mount(path) for path in service.get("tmpfs", [])),
        *_bound(service.get("volumes", []), volumes, files),
        *(
            Mount(f"/run/secrets/{secret}", volumes[secret])
            for secret in service.get("secrets", [])
        ),
    ]
    return Contained(
        command=[*image.entrypoint, *service["command"]],
        root=image.root,
        user=image.user,
        mounts=mounts,
        environment=image.environment,
        workdir=image.workdir,
    )


def _bound(lines: Sequence[str], volumes: Mapping[str, Path], files: Path) -> Iterator[Mount]:
    for line in lines:
        outside, inside, *mode = line.split(":")
        place = (files / outside).resolve() if outside.startswith(".") else volumes[outside]
        yield Mount(inside, place, writable=mode != ["ro"])
