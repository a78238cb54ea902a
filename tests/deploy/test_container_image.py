"""The image itself: built on a Debian that is made here, looked over, run with a read-only root.

Minutes and some gigabytes; `IMAGE_STORAGE=DIR` keeps what is built for the next run.
"""

import json
import os
import re
import socket
import subprocess
import time
import venv
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import psutil
import pytest

from tests.deploy.compose import Image, container_of
from tests.deploy.images import BASE, Built, Storage
from tests.support.containers import Contained, Mount, Network, contained, own_network
from tests.support.machine import Timing
from tests.support.programs import need_program
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.nightly, pytest.mark.slow, pytest.mark.timeout(3600)]

Json = Any  # what programs print

_MOST_BYTES = 400 * 10**6
_SERVES_WITHIN_MS = 3000
_COMPILERS = ("gcc", "cc", "g++", "c++", "clang", "ld", "as", "make", "swig", "pip", "pip3")
_PATHS = ("usr/bin", "usr/sbin", "usr/local/bin", "opt/bridge/bin")
_SAID = "usr/share/telephony-bridge"
_VALIDATE = """
import sys
from cyclonedx.schema import OutputFormat, SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
fault = JsonStrictValidator(SchemaVersion.V1_5).validate_str(sys.stdin.read())
sys.exit(0 if fault is None else str(fault))
"""


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Storage:
    need_program("buildah", "buildah")
    need_program("mmdebstrap", "mmdebstrap")
    kept = os.environ.get("IMAGE_STORAGE")
    storage = Storage(Path(kept) if kept else tmp_path_factory.mktemp("storage"))
    for target in ("gateway", "edge"):
        base = BASE if BASE in storage.buildah("images") else "mmdebstrap"
        done = storage.build("--base", base, "--target", target)
        assert done.returncode == 0, done.stderr[-4000:]
    return storage


@pytest.fixture(scope="module")
def gateway(storage: Storage) -> Iterator[Built]:
    with storage.mounted("telephony-bridge") as built:
        yield built


@pytest.fixture(scope="module")
def edge(storage: Storage) -> Iterator[Built]:
    with storage.mounted("telephony-bridge-edge") as built:
        yield built


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


def files_of(root: Path) -> dict[str, tuple[int, int]]:
    """Return time and size of every file."""
    found = {}
    for directory, _, names in os.walk(root):
        for name in names:
            status = os.lstat(os.path.join(directory, name))
            found[os.path.join(directory, name)] = (status.st_mtime_ns, status.st_size)
    return found


def test_image_is_under_400_mb(gateway: Built, storage: Storage) -> None:
    assert sum(size for _, size in files_of(gateway.root).values()) < _MOST_BYTES
    (listed,) = json.loads(storage.buildah("images", "--json", "telephony-bridge"))
    number, unit = listed["size"].split()
    assert unit == "MB"
    assert float(number) * 10**6 < _MOST_BYTES


def test_image_has_no_compiler_and_no_pip(gateway: Built, edge: Built) -> None:
    found = [
        f"{path}/{name}"
        for built in (gateway, edge)
        for path in _PATHS
        for name in _COMPILERS
        if os.path.lexists(built.root / path / name)
    ]
    assert found == []
    assert (gateway.root / "usr/bin/tini").exists()


def test_image_says_what_docker_must_know(gateway: Built) -> None:
    config = gateway.config
    assert config["User"] == "10001:10001"
    assert config["Entrypoint"][0] == "tini"
    assert config["Healthcheck"]["Test"][0] == "CMD"
    labels = {
        name.removeprefix("org.opencontainers.image."): value
        for name, value in config["Labels"].items()
    }
    assert labels["vendor"] == "Example Ltd"
    assert re.fullmatch(r"[0-9a-f]{40}", labels["revision"])
    assert labels["version"] == "0.1.0"


def test_nothing_of_this_machines_configuration_is_left(gateway: Built, storage: Storage) -> None:
    machine = gateway.root / "run/machine"
    assert not machine.exists() or list(machine.iterdir()) == []
    assert not (gateway.root / "etc/pip.conf").exists()
    kept = json.loads(storage.buildah("inspect", "--type", "image", "telephony-bridge"))
    assert [each for each in kept["Docker"]["config"]["Env"] if "CONFIG" in each] == []
    sources = (gateway.root / "etc/apt/sources.list").read_text()
    assert {line.split()[1].split("/")[2] for line in sources.splitlines()} == {"deb.debian.org"}


def _plain(name: str) -> str:
    """Return a distribution's name in the one way that compares (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_bill_of_materials_is_cyclonedx_and_whole(gateway: Built, tmp_path: Path) -> None:
    text = (gateway.root / _SAID / "bill-of-materials.cdx.json").read_text()
    venv.create(tmp_path / "venv", with_pip=True)
    python = str(tmp_path / "venv/bin/python")
    subprocess.run(
        [python, "-m", "pip", "install", "-q", "cyclonedx-python-lib[json-validation]"], check=True
    )
    done = subprocess.run(
        [python, "-c", _VALIDATE], input=text, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    bill = json.loads(text)
    purls = [each.get("purl", "") for each in bill["components"]]
    packages = (gateway.root / "opt/bridge/lib/python3.11/site-packages").glob("*.dist-info")
    installed = {each.name.split("-")[0].replace("_", "-").lower() for each in packages}
    listed = {
        each["name"].replace("_", "-").replace(".", "-").lower() for each in bill["components"]
    }
    assert installed - {"telephony-bridge"} <= listed
    assert bill["metadata"]["component"]["name"] == "telephony-bridge"
    for begin in ("pkg:deb/debian/tini@", "pkg:deb/debian/asterisk@", "pkg:deb/debian/libsrtp2@"):
        assert any(purl.startswith(begin) for purl in purls), begin


def test_licences_are_listed_and_the_sources_offered(gateway: Built) -> None:
    said = gateway.root / _SAID
    licences = (said / "licences.txt").read_text().splitlines()
    assert {"pjsua2-python", "telephony-bridge", "numpy", "espeakng-loader"} <= {*licences}
    assert "GNU GENERAL PUBLIC LICENSE" in "\n".join(licences)
    offer = (said / "SOURCE_OFFER.md").read_text()
    assert "Written offer" in offer
    assert "three years" in offer
    assert re.search(r"^Offered by: Example Ltd. Version 0.1.0, revision [0-9a-f]{40}", offer, re.M)


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
    before = files_of(gateway.root)
    assert run_in(network, in_gateway(gateway, "demo", "--plain", held=held), log) == 0, (
        log.read_text()
    )
    assert "Good: the caller heard what the agent said, and was understood." in log.read_text()
    assert files_of(gateway.root) == before
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


async def test_it_serves_within_three_seconds_of_redis(
    gateway: Built, network: Network, tmp_path: Path, timing: Timing
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


def test_tests_of_the_capacity_build_pass_in_the_image(storage: Storage) -> None:
    done = storage.build("--base", BASE, "--test")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert re.search(r"\d{2,} passed", done.stdout)
