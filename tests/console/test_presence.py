"""Who is there: signed in, on a call, away; and who is not listed."""

import pytest

from bridge.store.client import RedisLink
from tests.console.conftest import Browser, Console
from tests.console.live import begin_call

pytestmark = pytest.mark.redis

PATH = "/api/v1/presence"


async def people(browser: Browser) -> dict[str, tuple[str, str | None]]:
    status, found = await browser.get(PATH)
    assert status == 200
    return {each["user"]: (each["state"], each["call_id"]) for each in found["people"]}


async def test_people_are_available_on_a_call_away_or_not_there(
    console: Console, browser: Browser, redis: RedisLink
) -> None:
    for name, role in (
        ("sam", "supervisor"),
        ("ann", "agent"),
        ("out", "agent"),
        ("vic", "viewer"),
    ):
        await console.add_user(name, role)
    await console.sign_in(browser, "sam")
    async with console.browser() as ann, console.browser() as vic:
        await console.sign_in(ann, "ann")
        await console.sign_in(vic, "vic")
        # "out" is not signed in, and a viewer takes nobody
        assert await people(browser) == {"ann": ("available", None), "sam": ("available", None)}
        assert (await ann.ask("PUT", PATH, {"state": "away"}))[0] == 200
        assert (await people(browser))["ann"] == ("away", None)
        assert (await ann.ask("PUT", PATH, {"state": "available"}))[0] == 200
        assert (await people(browser))["ann"] == ("available", None)
        await begin_call(redis, "c_1", held_by="ann", state="human")
        await redis.ask(["ZADD", "bridge:calls:active", "1", "c_1"])
        console.services.live._readings.forget()
        assert (await people(browser))["ann"] == ("on_call", "c_1")
        await ann.ask("DELETE", "/api/v1/session", None)
        assert set(await people(browser)) == {"sam"}


async def test_who_has_no_page_open_any_more_is_away(
    console: Console, browser: Browser, redis: RedisLink
) -> None:
    for name, role in (("sam", "supervisor"), ("ann", "agent")):
        await console.add_user(name, role)
    await console.sign_in(browser, "sam")
    async with console.browser() as ann:
        await console.sign_in(ann, "ann")
    ids = await redis.ask(["SMEMBERS", "bridge:user:ann:sessions"])
    assert isinstance(ids, list)
    (session_id,) = ids
    key = f"bridge:session:{session_id}"
    await redis.ask(["EVAL", _LONG_UNUSED, "1", key])
    assert (await people(browser))["ann"] == ("away", None)


_LONG_UNUSED = """
local kept = redis.call('DUMP', KEYS[1])
return redis.call('RESTORE', KEYS[1], 600000, kept, 'REPLACE', 'IDLETIME', 600)
"""
