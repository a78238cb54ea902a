"""Every page says what is wrong with a gateway, in the words that the gateway itself has for it."""

import pytest
from playwright.async_api import expect

from bridge.clock import NS_PER_MS, SystemClock
from bridge.store.client import RedisLink
from bridge.store.keys import Keys
from tests.console.desk import Desk
from tests.support.browser import accessibility_faults, too_wide

pytestmark = [
    pytest.mark.browser,
    pytest.mark.redis,
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="module"),
]

WORDS = "/srv/recordings (recordings) takes no files: No space left on device"
KEYS = Keys("bridge:")


@pytest.mark.parametrize("name", ["calls", "wallboard"])
async def test_a_gateways_trouble_is_on_the_page_until_it_is_over(desk: Desk, name: str) -> None:
    link = RedisLink(desk.floor.redis_url, timeout_s=2)
    sick = KEYS.node("sick-1")
    in_an_hour_ms = SystemClock().wall_ns() // NS_PER_MS + 3_600_000
    await link.ask(["HSET", sick, "updated_at", in_an_hour_ms, "troubles", WORDS])
    await link.ask(["ZADD", KEYS.nodes, 0, "sick-1"])
    try:
        async with desk.opens(name) as page:
            page.set_default_timeout(60_000)
            bar = page.locator("#troubles")
            await expect(bar).to_contain_text(f"Gateway sick-1: {WORDS}.", timeout=60_000)
            assert await accessibility_faults(page) == []
            assert not await too_wide(page)
            await link.ask(["ZREM", KEYS.nodes, "sick-1"])
            await expect(bar).to_be_hidden(timeout=60_000)
    finally:
        await link.ask(["ZREM", KEYS.nodes, "sick-1"])
        await link.ask(["DEL", sick])
        await link.aclose()
