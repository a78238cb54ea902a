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
