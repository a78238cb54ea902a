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


async def test_who_watches_what_since_when_and_in_which_role(
    console: Console, browser: Browser, redis: RedisLink
) -> None:
    await console.add_user("sam", "supervisor", routes=("support",))
    await console.add_user("ann", "agent", "supervisor")
    await console.sign_in(browser, "sam")
    async with console.browser() as ann:
        await console.sign_in(ann, "ann")
        for call_id, route in (("c_1", "support"), ("c_2", "vip")):
            watched = {"watchers": "1", "watched_by": '{"ann": "listens"}'}
            await begin_call(redis, call_id, route, **watched, watched_since='{"ann": 77}')
            await redis.ask(["ZADD", "bridge:calls:active", "1", call_id])
        console.services.live._readings.forget()
        _, found = await browser.get(PATH)
        (person,) = [each for each in found["people"] if each["user"] == "ann"]
        assert sorted(person["roles"]) == ["agent", "supervisor"]
        # A call of another route does not exist for who asks.
        assert person["watches"] == [{"call_id": "c_1", "does": "listens", "since_at": 77}]
        assert (person["state"], person["since_at"]) == ("available", None)
        await ann.ask("PUT", PATH, {"state": "away"})
        at_ms = console.services.now_ms
        await ann.ask("PUT", PATH, {"state": "away"})  # said again, it is as old as before
        _, found = await browser.get(PATH)
        (person,) = [each for each in found["people"] if each["user"] == "ann"]
        assert (person["state"], person["since_at"]) == ("away", at_ms)
