"""`bridge demo --console`: what a newcomer sees within a minute, and that nothing is left of it."""

import asyncio
import signal
from pathlib import Path

import aiohttp
import pytest

from tests.support.processes import running
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.sip, pytest.mark.redis, pytest.mark.speech, pytest.mark.slow]


async def test_link_opens_a_console_with_a_live_call_and_ctrl_c_ends_it_all(tmp_path: Path) -> None:
    arguments = ("demo", "--console", "--callers", "1", "--json")
    with running(*arguments, directory=tmp_path) as demo:
        http, token = demo.ready["http"], demo.ready["admin_link"].partition("#")[2]
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(http, cookie_jar=jar) as browser:
            given = {"token": token, "user": "sam", "password": "a sentence that is long enough"}
            headers = {"Origin": http}
            async with browser.post(
                "/api/v1/invitation/accept", json=given, headers=headers
            ) as answer:
                assert answer.status == 200, await answer.text()

            async def live() -> bool:
                async with browser.get("/api/v1/calls") as found:
                    return bool((await found.json())["calls"])

            await wait_until(live, "no demo call is live")
        processes = demo.processes
        demo.tell(signal.SIGINT)
        assert await demo.ended(within_s=30.0) == 0
        assert "nothing is left running" in demo.stderr
        gone = await asyncio.to_thread(lambda: [each for each in processes if each.is_running()])
        assert gone == []
