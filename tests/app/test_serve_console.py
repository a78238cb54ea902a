"""The console of a running gateway: its first start, its end, and what it refuses."""

import signal
from contextlib import AbstractContextManager
from pathlib import Path

import aiohttp
import pytest

from bridge.store.local import LocalRedis
from tests.console.conftest import Browser
from tests.support.gateways import Gateway, serving, write_dialplan

pytestmark = [pytest.mark.sip, pytest.mark.redis]

NOWHERE = "ws://127.0.0.1:9/v1/realtime"
PASSWORD = "correct horse battery"


async def accept(browser: Browser, link: str, name: str) -> int:
    given = {"token": link.partition("#")[2], "user": name, "password": PASSWORD}
    status, found = await browser.post("/api/v1/invitation/accept", given)
    browser.csrf_token = found.get("csrf_token", "")
    return status


async def test_the_first_start_gives_a_link_and_the_next_one_does_not(
    redis: LocalRedis, tmp_path: Path
) -> None:
    dialplans = write_dialplan(tmp_path / "dialplans")

    def start(name: str) -> AbstractContextManager[Gateway]:
        directory = tmp_path / name
        directory.mkdir()
        audit = {"enabled": True, "audit_file": str(tmp_path / "audit.jsonl")}
        return serving(
            *(directory, NOWHERE, dialplans), preflight=False, redis_url=redis.url, console=audit
        )

    with start("first") as gateway:
        link = str(gateway.process.ready["admin_link"])
        assert link.startswith(f"{gateway.http}/welcome#")
        [said] = [each for each in gateway.process.logged if "console_has_no_admin" in str(each)]
        assert said["open_once_within_the_hour"] == link
        async with Browser(gateway.http) as browser:
            assert await accept(browser, link, "ada") == 200
            assert await accept(browser, link, "eve") == 409
            assert (await browser.get("/api/v1/calls"))[0] == 200
    with start("second") as gateway:
        assert gateway.process.ready["admin_link"] is None
        async with Browser(gateway.http) as browser:
            given = {"user": "ada", "password": PASSWORD}
            assert (await browser.post("/api/v1/session", given))[0] == 200
            # An open page holds up no end.
            async with browser.http.get("/api/v1/calls/stream") as stream:
                await stream.content.readline()
                gateway.process.tell(signal.SIGINT)
                assert await gateway.process.ended() == 0
    copied = (tmp_path / "audit.jsonl").read_text()
    assert '"first admin"' in copied
    assert '"login"' in copied


async def test_a_gateway_without_a_console_shows_probes_alone(tmp_path: Path) -> None:
    dialplans = write_dialplan(tmp_path / "dialplans")
    with serving(
        *(tmp_path, NOWHERE, dialplans), preflight=False, console={"enabled": False}
    ) as gateway:
        assert gateway.process.ready["admin_link"] is None
        async with aiohttp.ClientSession(gateway.http) as client:
            for path, status in (("/metrics", 200), ("/login", 404), ("/api/v1/session", 404)):
                async with client.get(path) as response:
                    assert response.status == status


async def test_probes_have_a_port_of_their_own_where_the_settings_name_one(
    tmp_path: Path,
) -> None:
    dialplans = write_dialplan(tmp_path / "dialplans")
    with serving(
        *(tmp_path, NOWHERE, dialplans), preflight=False, http={"port": 0, "probes_port": 0}
    ) as gateway:
        probes = str(gateway.process.ready["probes"])
        assert probes != gateway.http
        async with Browser(probes) as machine, Browser(gateway.http) as anybody:
            assert (await machine.get("/metrics"))[0] == 200
            assert (await machine.get("/healthz"))[0] == 200
            assert (await machine.get("/login"))[0] == 404
            assert (await anybody.get("/metrics"))[0] == 404
            assert (await anybody.get("/readyz"))[0] in (200, 503)


@pytest.mark.parametrize(
    ("http", "warned"),
    [
        ({"port": 0}, set()),
        ({"host": "0.0.0.0", "port": 0}, {"http_without_tls", "metrics_open_to_other_machines"}),
        ({"host": "0.0.0.0", "port": 0, "probes_port": 0}, {"http_without_tls"}),
    ],
)
async def test_an_open_port_without_tls_is_warned_of_at_the_start(
    tmp_path: Path, http: dict[str, object], warned: set[str]
) -> None:
    dialplans = write_dialplan(tmp_path / "dialplans")
    with serving(*(tmp_path, NOWHERE, dialplans), preflight=False, http=http) as gateway:
        said = {str(each["event"]) for each in gateway.process.logged}
    assert said & {"http_without_tls", "metrics_open_to_other_machines"} == warned
