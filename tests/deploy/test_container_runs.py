"""The image runs: with a read-only root and its volumes, as the services of deploy/compose."""

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import psutil
import pytest

from tests.deploy.compose import Image, container_of
from tests.deploy.images import Built
from tests.support.containers import Contained, Mount, Network, contained, own_network
from tests.support.machine import Timing
from tests.support.programs import need_program
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.nightly, pytest.mark.slow, pytest.mark.timeout(3600)]

_SERVES_WITHIN_MS = 3000


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    place = tmp_path / "roots"
    place.mkdir()
    with own_network(place) as network:
        yield network


def volumes(place: Path, image: Image) -> dict[str, Path]:
    """Make the gateway's volumes, and the secrets of all."""
    found = {name: place / name for name in ("recordings", "state")}
    for path in found.values():
        path.mkdir()
        os.chown(path, *map(int, image.user.split(":")))
    found["realtime_key"] = place / "realtime_key"
    found["realtime_key"].write_text("sk-sim-1\n")
    return found


def in_gateway(
    built: Built, *arguments: str, held: Mapping[str, Path] | None = None, whole: bool = False
) -> Contained:
    """Return a command of `bridge`, or a whole one, in the image with a read-only root."""
    home = built.image.workdir
    kept = [Mount(f"{home}/{name}", path, True) for name, path in (held or {}).items()]
    return Contained(
        command=arguments if whole else [*built.image.entrypoint, *arguments],
        root=built.root,
        user=built.image.user,
        mounts=[Mount("/tmp"), *(each for each in kept if each.outside and each.outside.is_dir())],
        environment=built.image.environment,
        workdir=home,
    )


def run_in(network: Network, program: Contained, log: Path, within_s: float = 300) -> int:
    with contained(network, program, log) as process:
        return process.wait(within_s)


def test_pjsip_is_the_capacity_build_and_nobody_is_root(
    gateway: Built, network: Network, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    assert run_in(network, in_gateway(gateway, "pjsip", "--json"), log) == 0
    found = json.loads(log.read_text())
    assert found["call_limit"] == 1024
    assert found["distribution"].endswith("+capacity")
    who = in_gateway(gateway, "sh", "-c", "id -u; grep ' / ' /proc/self/mounts", whole=True)
    assert run_in(network, who, log) == 0
    number, root = log.read_text().splitlines()
    assert number == "10001"
    assert root.split()[3].split(",")[0] == "ro"


def test_demo_runs_and_writes_to_its_volumes_alone(
    gateway: Built, network: Network, tmp_path: Path
) -> None:
    held, log = volumes(tmp_path, gateway.image), tmp_path / "log"
    before = gateway.files()
    assert run_in(network, in_gateway(gateway, "demo", "--plain", held=held), log) == 0, (
        log.read_text()
    )
    assert "Good: the caller heard what the agent said, and was understood." in log.read_text()
    assert gateway.files() == before
    assert len(list(held["recordings"].glob("*.wav"))) == 2
    assert {path.stat().st_uid for path in held["recordings"].iterdir()} == {10001}


@dataclass(frozen=True, slots=True)
class Site:
    """Services of deploy/compose that run.

    Attributes:
        ready_ms: from Redis' first answer to the gateway's `/readyz`.
        gateway: its process, as this machine sees it.
        held: the volumes.
    """

    ready_ms: float
    gateway: "subprocess.Popen[bytes]"
    held: Mapping[str, Path]


def _answers(network: Network, url: str) -> bool:
    def ask() -> bool:
        try:
            with urlopen(url, timeout=5) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False

    return network.inside(ask)


def _answered(network: Network, port: int, asked: bytes = b"") -> bytes | None:
    """Return what a TCP port of the network says to some bytes; None where nobody listens."""

    def ask() -> bytes | None:
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as connection:
                connection.sendall(asked)
                return connection.recv(16) if asked else b""
        except OSError:
            return None

    return network.inside(ask)


async def listening(network: Network, what: str, port: int) -> None:
    """Wait until a TCP port of the network is open."""
    await wait_until(
        lambda: _answered(network, port) is not None, f"{what} does not listen at {port}"
    )


@contextmanager
def a_site(gateway: Built, network: Network, place: Path) -> Iterator[ExitStack]:
    """Run the simulator, which the gateway's settings lead to."""
    with ExitStack() as running:
        simulator = container_of("simulator", gateway.image, {})
        running.enter_context(contained(network, simulator, place / "simulator.log"))
        yield running


async def serve(gateway: Built, network: Network, place: Path, running: ExitStack) -> Site:
    """Start Redis, and the gateway as soon as that answers; wait until it takes calls."""
    held = volumes(place, gateway.image)
    redis = need_program("redis-server", "redis-server")
    data = place / "redis"
    data.mkdir()
    service = container_of("redis", Image(workdir="/data"), {"redis": data})
    assert service.command[0] == "redis-server"
    ours = Contained([redis, *service.command[1:]], mounts=service.mounts, workdir="/data")
    running.enter_context(contained(network, ours, place / "redis.log"))
    await listening(network, "the simulator", 9191)
    await wait_until(
        lambda: _answered(network, 6379, b"PING\r\n") == b"+PONG\r\n", "Redis does not answer"
    )
    begun_s = time.monotonic()
    process = running.enter_context(
        contained(network, container_of("gateway", gateway.image, held), place / "gateway.log")
    )

    def ready() -> bool:
        assert process.poll() is None, (place / "gateway.log").read_text()
        return _answers(network, "http://127.0.0.1:8080/readyz")

    await wait_until(ready, "the gateway does not become ready")
    return Site((time.monotonic() - begun_s) * 1000, process, held)


@pytest.mark.parametrize("_start", range(3))
async def test_it_serves_within_three_seconds_of_redis(
    gateway: Built, network: Network, tmp_path: Path, timing: Timing, _start: int
) -> None:
    with a_site(gateway, network, tmp_path) as running:
        site = await serve(gateway, network, tmp_path, running)
        timing.check("ready", site.ready_ms, most_ms=_SERVES_WITHIN_MS)


async def test_health_is_seen_and_sigterm_ends_it_in_order(
    gateway: Built, network: Network, tmp_path: Path
) -> None:
    check = gateway.config["Healthcheck"]["Test"][1:]
    asked = in_gateway(gateway, *check, whole=True)
    assert run_in(network, asked, tmp_path / "early.log") != 0
    with a_site(gateway, network, tmp_path) as running:
        site = await serve(gateway, network, tmp_path, running)
        assert run_in(network, asked, tmp_path / "health.log") == 0
        (tini,) = (
            each
            for each in psutil.Process(site.gateway.pid).children(recursive=True)
            if each.name() == "tini"
        )
        tini.terminate()
        assert site.gateway.wait(60) == 0


async def test_a_call_goes_through_compose_as_it_stands(
    gateway: Built, edge: Built, network: Network, tmp_path: Path
) -> None:
    with a_site(gateway, network, tmp_path) as running:
        site = await serve(gateway, network, tmp_path, running)
        kamailio = container_of("kamailio", edge.image, {})
        running.enter_context(contained(network, kamailio, tmp_path / "kamailio.log"))
        await listening(network, "Kamailio", 5060)
        call = ("call", "sip:support@127.0.0.1:5060", "--say", "Where is my order?", "--json")
        log = tmp_path / "call.log"
        assert run_in(network, in_gateway(gateway, *call), log) == 0, log.read_text()
        await wait_until(
            lambda: (site.held["recordings"] / "calls.jsonl").exists(), "no record was written"
        )
        (record,) = (site.held["recordings"] / "calls.jsonl").read_text().splitlines()
        assert json.loads(record)["outcome"] == "completed"
        written = (tmp_path / "redis" / "appendonlydir").iterdir()
        assert any(b"bridge:call:" in each.read_bytes() for each in written)
