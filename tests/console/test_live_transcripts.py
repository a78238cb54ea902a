"""Transcripts of live calls: supervisors of live calls and who has the caller, nobody else."""

import pytest

from bridge.store.client import RedisLink
from tests.console.conftest import Browser, Console
from tests.console.live import begin_call

pytestmark = pytest.mark.redis

_LIVE, _OVER = "c_live", "c_over"


async def status_of(browser: Browser, call_id: str, what: str) -> int:
    async with browser.http.get(f"/api/v1/calls/{call_id}/{what}") as answer:
        return answer.status


@pytest.mark.parametrize("what", ["events", "stream"])
@pytest.mark.parametrize(
    ("role", "live", "over"),
    [
        ("qa", 403, 200),
        ("supervisor", 200, 200),
        ("admin", 200, 200),
        ("viewer", 403, 403),
        ("operator", 403, 403),
        ("agent", 403, 403),
    ],
)
async def test_who_reads_a_call_that_goes_on_and_one_that_is_over(
    console: Console, browser: Browser, redis: RedisLink, role: str, live: int, over: int, what: str
) -> None:
    await begin_call(redis, _LIVE)
    await begin_call(redis, _OVER, ended_at="1")
    await console.add_user("ann", role)
    await console.sign_in(browser, "ann")
    found = [await status_of(browser, call_id, what) for call_id in (_LIVE, _OVER)]
    assert found == [live, over]


@pytest.mark.parametrize("what", ["events", "stream"])
@pytest.mark.parametrize(("by", "status"), [("ann", 200), ("eve", 403)])
async def test_agent_reads_the_call_whose_caller_they_have(
    console: Console, browser: Browser, redis: RedisLink, by: str, status: int, what: str
) -> None:
    await begin_call(redis, _LIVE, held_by=by)
    await console.add_user("ann", "agent")
    await console.sign_in(browser, "ann")
    assert await status_of(browser, _LIVE, what) == status
