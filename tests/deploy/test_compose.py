"""deploy/compose: valid, true to the product, and an alert that goes all the way to the pager."""

import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
import yaml
from click.testing import CliRunner

from bridge.cli.main import main
from bridge.config.loading import load_settings
from bridge.config.settings import Settings
from tests.deploy.compose import COMPOSE, FILE, Image, Yaml, container_of, read_services
from tests.deploy.pages import Typed, problem
from tests.deploy.rules import DEPLOY
from tests.support.containers import Network, contained, own_network
from tests.support.programs import need_program
from tests.support.prometheus import hurried_rules
from tests.support.waiting import wait_until

SERVICES = read_services()
OURS = ("gateway", "simulator")
_TOKEN = "the pager's own"


def read_yaml(path: Path) -> Yaml:
    content: Yaml = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


def settings() -> Settings:
    return load_settings(COMPOSE / "bridge.yaml", {})


def run(*command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def compose_config(path: Path) -> "subprocess.CompletedProcess[str]":
    """Have Compose read a file; Debian's has the Compose specification's schema."""
    return run(need_program("docker-compose", "docker-compose"), "-f", str(path), "config")


def test_file_is_as_the_compose_specification_has_it() -> None:
    done = compose_config(FILE)
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load(done.stdout)["services"].keys() >= {*SERVICES} - {"simulator"}


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("read_only: true", "read_only: perhaps"), ("tmpfs: [/tmp]", "tmpfss: [/tmp]")],
)
def test_what_the_specification_does_not_have_is_found(
    right: str, wrong: str, tmp_path: Path
) -> None:
    broken = tmp_path / "compose.yaml"
    text = FILE.read_text(encoding="utf-8")
    assert right in text
    broken.write_text(text.replace(right, wrong, 1), encoding="utf-8")
    assert compose_config(broken).returncode != 0


@pytest.mark.parametrize("name", OURS)
def test_commands_are_the_products(name: str) -> None:
    assert problem(Typed(tuple(SERVICES[name]["command"]), whole=True)) is None


def test_settings_are_good() -> None:
    done = CliRunner().invoke(main, ["check", "--config", str(COMPOSE / "bridge.yaml")])
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("name", SERVICES)
def test_files_that_are_mounted_are_there(name: str) -> None:
    outside = [line.split(":")[0] for line in SERVICES[name].get("volumes", [])]
    assert [each for each in outside if each[0] == "." and not (COMPOSE / each).exists()] == []


def test_volumes_and_secrets_are_all_declared_and_used() -> None:
    whole = read_yaml(FILE)
    lines = [line for service in SERVICES.values() for line in service.get("volumes", [])]
    named = {line.split(":")[0] for line in lines if line[0] != "."}
    assert named == whole["volumes"].keys()
    asked = {secret for service in SERVICES.values() for secret in service.get("secrets", [])}
    assert asked == whole["secrets"].keys()
    ignored = (DEPLOY.parent / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert {Path(each["file"]).parts[0] for each in whole["secrets"].values()} == {"secrets"}
    assert "/deploy/compose/secrets/" in ignored


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_hardened_and_in_the_hosts_network(name: str) -> None:
    service = SERVICES[name]
    assert service["network_mode"] == "host"
    assert "ports" not in service  # which Compose would ignore
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_addresses_of_the_files_fit_together() -> None:
    ours, prometheus = settings(), read_yaml(COMPOSE / "prometheus.yaml")
    nodes = (COMPOSE / "kamailio" / "dispatcher.list").read_text(encoding="utf-8")
    assert re.findall(r"^1 (\S+) 0 0$", nodes, re.MULTILINE) == [
        f"sip:{ours.sip.host}:{ours.sip.port}"
    ]
    (job,) = prometheus["scrape_configs"]
    assert job["job_name"] == "bridge"
    assert job["static_configs"] == [{"targets": [f"{ours.http.host}:{ours.http.port}"]}]
    (alertmanager,) = prometheus["alerting"]["alertmanagers"]
    (target,) = alertmanager["static_configs"][0]["targets"]
    assert f"--web.listen-address={target}" in SERVICES["alertmanager"]["command"]
    (source,) = read_yaml(COMPOSE / "grafana" / "datasources.yaml")["datasources"]
    place = source["url"].removeprefix("http://")
    assert f"--web.listen-address={place}" in SERVICES["prometheus"]["command"]
    assert ours.redis.url == "redis://127.0.0.1:6379/0"  # Redis' own port
    assert ours.realtime_arms["local"].url.startswith("ws://127.0.0.1:9191/")
    assert SERVICES["simulator"]["command"][-2:] == ["--port", "9191"]


def test_gateway_has_its_secret_where_its_settings_look() -> None:
    ours = settings()
    assert str(ours.realtime_arms["local"].api_key_file) == "/run/secrets/realtime_key"
    assert "realtime_key" in SERVICES["gateway"]["secrets"]


def test_a_stop_waits_for_longer_than_the_drain() -> None:
    ours = settings()
    assert float(SERVICES["gateway"]["stop_grace_period"].removesuffix("s")) > (
        ours.drain_s + ours.shutdown_grace_s
    )


def test_what_the_gateway_writes_lies_in_its_volumes() -> None:
    ours = settings()
    written = (
        *(ours.state_dir, ours.media.recordings_dir),
        *(ours.console.scripts_dir, ours.console.replays_dir),
    )
    assert {path.parts[0] for path in written} == {"state", "recordings"}
    insides = [line.split(":")[1] for line in SERVICES["gateway"]["volumes"]]
    assert {"/srv/bridge/state", "/srv/bridge/recordings"} <= {*insides}


def test_redis_keeps_what_it_is_told_and_forgets_nothing_by_itself() -> None:
    words = SERVICES["redis"]["command"]
    pairs = dict(zip(words[1::2], words[2::2], strict=True))
    assert pairs["--appendonly"] == "yes"
    assert pairs["--maxmemory-policy"] == "noeviction"
    assert pairs["--bind"] == "127.0.0.1"


def test_grafana_finds_dashboards_and_their_data() -> None:
    (provider,) = read_yaml(COMPOSE / "grafana" / "dashboards.yaml")["providers"]
    (source,) = read_yaml(COMPOSE / "grafana" / "datasources.yaml")["datasources"]
    mounted = dict(line.split(":")[:2] for line in SERVICES["grafana"]["volumes"])
    place = COMPOSE / next(
        outside for outside, inside in mounted.items() if inside == provider["options"]["path"]
    )
    boards = [json.loads(each.read_text("utf-8")) for each in sorted(place.glob("*.json"))]
    assert len(boards) == 8
    for board in boards:
        # Each takes the data source that is chosen on top: of this type, the default one first.
        (variable,) = (each for each in board["templating"]["list"] if each["name"] == "datasource")
        assert (variable["type"], variable["query"]) == ("datasource", source["type"])
    assert len({board["uid"] for board in boards}) == 8
    assert source["isDefault"]
    secret = SERVICES["grafana"]["environment"]["GF_SECURITY_ADMIN_PASSWORD__FILE"]
    assert secret.removeprefix("/run/secrets/") in SERVICES["grafana"]["secrets"]


def test_prometheus_takes_its_file_with_our_rules(tmp_path: Path) -> None:
    promtool = need_program("promtool", "prometheus")
    shutil.copy(COMPOSE / "prometheus.yaml", tmp_path)
    shutil.copytree(DEPLOY / "prometheus" / "rules", tmp_path / "rules")
    done = run(promtool, "check", "config", str(tmp_path / "prometheus.yaml"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(list((tmp_path / 'rules').iterdir()))} rule files found" in done.stdout


def test_alertmanager_takes_its_file() -> None:
    amtool = need_program("amtool", "prometheus-alertmanager")
    done = run(amtool, "check-config", str(COMPOSE / "alertmanager.yaml"))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("severity", "receiver"), [("page", "pager"), ("ticket", "tickets")])
def test_alerts_go_where_their_severity_leads(severity: str, receiver: str) -> None:
    amtool = need_program("amtool", "prometheus-alertmanager")
    file = f"--config.file={COMPOSE / 'alertmanager.yaml'}"
    done = run(amtool, "config", "routes", "test", file, f"severity={severity}")
    assert done.stdout.split() == [receiver]


class _Pager:
    """A webhook as a pager has one.

    Attributes:
        got: (path, Authorization, body) of each request.
    """

    def __init__(self) -> None:
        self.got: list[tuple[str, str | None, Any]] = []

    def server(self) -> HTTPServer:
        """Make the server; the thread that does so chooses the network."""
        pager = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                pager.got.append((self.path, self.headers["Authorization"], json.loads(body)))
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        return HTTPServer(("127.0.0.1", 9095), Handler)


@contextmanager
def pager_in(network: Network) -> Iterator[_Pager]:
    pager = _Pager()
    server = network.inside(pager.server)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield pager
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def hurried_files(place: Path) -> Path:
    """Copy the folder with every wait at a second; return the copy."""
    files = place / "deploy" / "compose"
    shutil.copytree(COMPOSE, files, ignore=shutil.ignore_patterns("secrets"))
    hurried_rules(place / "deploy" / "prometheus", 1)
    shutil.copytree(DEPLOY / "grafana", place / "deploy" / "grafana")
    waits = (
        ("prometheus.yaml", r"(scrape|evaluation)_interval: \w+", r"\1_interval: 1s"),
        ("alertmanager.yaml", r"group_(wait|interval): \w+", r"group_\1: 1s"),
    )
    for name, pattern, hurried in waits:
        text, changed = re.subn(pattern, hurried, (files / name).read_text(encoding="utf-8"))
        assert changed >= 2
        (files / name).write_text(text, encoding="utf-8")
    return files


@pytest.mark.slow
async def test_a_gateway_that_is_gone_is_heard_of_at_the_pager(tmp_path: Path) -> None:
    programs = {
        "prometheus": need_program("prometheus", "prometheus"),
        "alertmanager": need_program("prometheus-alertmanager", "prometheus-alertmanager"),
    }
    roots, volumes = tmp_path / "roots", {}
    roots.mkdir()
    for name in ("prometheus", "alertmanager"):
        volumes[name] = tmp_path / name
        volumes[name].mkdir()
    volumes["pager_token"] = tmp_path / "pager_token"
    volumes["pager_token"].write_text(_TOKEN)
    files = hurried_files(tmp_path)
    with own_network(roots) as network, pager_in(network) as pager, ExitStack() as running:
        for name, program in programs.items():
            service = container_of(name, Image(entrypoint=[program]), volumes, files)
            log = tmp_path / f"{name}.log"
            process = running.enter_context(contained(network, service, log))

        def alive() -> bool:
            assert process.poll() is None, log.read_text("utf-8", "replace")[-2000:]
            return bool(pager.got)

        await wait_until(alive, "no alert came to the pager")
        path, authorization, body = pager.got[0]
        assert (path, authorization) == ("/page", f"Bearer {_TOKEN}")
        assert body["status"] == "firing"
        (alert,) = body["alerts"]
        assert alert["labels"]["alertname"] == "BridgeDown"
        assert alert["labels"]["instance"] == "127.0.0.1:8080"
        targets = network.inside(lambda: urlopen("http://127.0.0.1:9090/api/v1/targets").read())
        (target,) = json.loads(targets)["data"]["activeTargets"]
        assert target["labels"] == {"instance": "127.0.0.1:8080", "job": "bridge"}
