"""A caller in an emergency gets the person, also where the person's trunk has no call left."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from bridge.audio.resample import downsample_whole
from bridge.speech.synthesis import Synthesizer
from bridge.store.local import LocalRedis
from tests.support.gateways import CallsInRedis, Gateway, serving, write_dialplan
from tests.support.person import a_person
from tests.support.ports import free_port
from tests.support.processes import simulating, write_yaml
from tests.support.rtp_caller import RtpCaller
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.sip, pytest.mark.redis, pytest.mark.speech]

CRY = "I need an ambulance now."
SCENARIO = {
    "name": "cry",
    "greeting": "Hello.",
    "fallback": "I see.",
    "rules": [{"hears": [CRY], "say": "It is not in stock."}],
}


@dataclass
class Office:
    gateway: Gateway
    person_port: int
    redis_url: str


@pytest.fixture(scope="module")
def office(redis: LocalRedis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """A gateway whose trunk to the person takes one call at once."""
    directory, port = tmp_path_factory.mktemp("gateway"), free_port()
    target = {"to": f"sip:ann@localhost:{port}", "refer": False}
    dialplans = write_dialplan(
        directory / "dialplans",
        emergency={"say": "Help is near.", "then": "transfer"},
        handoff={"targets": {"ann": target}},
    )
    trunk = {"addresses": ["192.0.2.1"], "domains": ["localhost"], "limits": {"max_calls": 1}}
    with (
        simulating(directory, write_yaml(directory / "cry.yaml", SCENARIO)) as url,
        serving(
            *(directory, url, dialplans), redis_url=redis.url, sip={"trunks": {"help": trunk}}
        ) as gateway,
    ):
        yield Office(gateway, port, redis.url)


@asynccontextmanager
async def crying(office: Office, calls: CallsInRedis) -> AsyncIterator[RtpCaller]:
    """Have a caller say the words of an emergency."""
    known = await calls.reader.active()
    async with RtpCaller(office.gateway.sip_port) as caller:
        assert await caller.call() == 200
        call_id = await calls.reader.wait_for_call(seen=known, timeout_s=60.0)
        caller.speak(downsample_whole(Synthesizer("en-us", 150).say(CRY)))
        await calls.until_told(call_id, "emergency_heard")
        yield caller
        await caller.hang_up()
        await calls.until_ended(call_id)


async def test_emergency_is_placed_over_the_trunks_limits_and_logged(office: Office) -> None:
    async with (
        CallsInRedis(office.redis_url) as calls,
        a_person(office.gateway.sip_port, office.person_port) as person,
    ):
        async with crying(office, calls):
            await wait_until(lambda: len(person.invites) == 1, "the first was not put through")
            async with crying(office, calls):
                await wait_until(lambda: len(person.invites) == 2, "the second was refused")
                await wait_until(lambda: len(person.sip.calls_in) == 2, "nobody answered")
        await office.gateway.until_active(0)
        records = await office.gateway.records(2)
        metrics = await office.gateway.metrics()
    assert [each["handoffs"][0]["result"] for each in records] == ["completed"] * 2
    assert metrics.value("bridge_calls_not_placed_total") == 0
    [logged] = [
        line
        for line in office.gateway.process.logged
        if line["event"] == "emergency_placed_over_limit"
    ]
    assert (logged["level"], logged["trunk"]) == ("warning", "help")
    assert logged["reason"] == "trunk_full"
    assert logged["call_id"] in {each["call_id"] for each in records}
