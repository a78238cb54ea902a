"""A supervisor in a call whose agent is at a SIP URI: what they hear, may do, and are refused.

Over real SIP, HTTP and WebSockets; the vendor is a phone of its own. Who hears whom is told by
tones (FFT).
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from bridge.audio.supervisor_frames import ListenFrame
from bridge.store.local import LocalRedis
from bridge.telephony.taps import AGENT, CALLER
from tests.support.console_user import ConsoleUser, console_user
from tests.support.gateways import Record, serving, write_dialplan
from tests.support.person import Person, is_tone
from tests.support.pictures import as_json, png
from tests.support.ports import free_port
from tests.support.processes import SIMULATOR_KEY
from tests.support.sip_arm import CALLER_HZ, VENDOR_HZ, Office, Talk, calling, joined
from tests.support.supervisor import RATE_HZ, VOICE_HZ
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.sip, pytest.mark.redis, pytest.mark.speech]

BARE = {"instructions": "At the vendor's.", "language": "en"}
FRAMES = 25
"""Half a second of listening."""
REFUSED: dict[str, dict[str, object]] = {
    "whisper": {"text": "Be nice."},
    "say": {"text": "Hello."},
    "join": {},
    "pause": {},
    "transfer": {"target": "sip:sales@127.0.0.1"},
}
"""What needs an agent of ours, or moves the caller past the one who has them."""


@pytest.fixture(scope="module")
def office(
    simulator: str, redis: LocalRedis, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Office]:
    directory, port = tmp_path_factory.mktemp("gateway"), free_port()
    plans = write_dialplan(directory / "dialplans", BARE, name="out", called="out", arm="out")
    with serving(
        directory,
        simulator,
        plans,
        redis_url=redis.url,
        environ={"SIM_KEY": SIMULATOR_KEY},
        arms={"out": {"sip": f"sip:agent@127.0.0.1:{port}"}},
        console={"enabled": True},
        sip={"supervisor_transfers": ["sip:*@127.0.0.1"]},
    ) as gateway:
        yield Office(gateway, port, redis.url)


@asynccontextmanager
async def supervised(office: Office) -> AsyncIterator[tuple[ConsoleUser, Talk, Person]]:
    """Have caller and agent hear each other, and a supervisor at the console."""
    async with (
        console_user(office.gateway.http, office.redis_url, "eve") as eve,
        office.vendor() as vendor,
        calling(office, "out") as talk,
    ):
        await talk.begun()
        assert await talk.caller.answered() == 200
        await joined(talk, vendor)
        yield eve, talk, vendor


async def until_heard(user: ConsoleUser, call_id: str, **sides: float | None) -> None:
    """Listen, half a second each time, until each side is a tone, or silent (None)."""

    async def heard() -> bool:
        frames = await user.listens(call_id, FRAMES)
        return all(
            _is_so(_side(frames, CALLER if name == "caller" else AGENT), hz)
            for name, hz in sides.items()
        )

    await wait_until(heard, f"{user.name} did not hear {sides}")


def _side(frames: list[ListenFrame], which: int) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    sound: np.ndarray[tuple[int], np.dtype[np.int16]] = np.concatenate(
        [frame.stereo[:, which] for frame in frames]
    )
    return sound


def _is_so(sound: np.ndarray[tuple[int], np.dtype[np.int16]], hz: float | None) -> bool:
    return bool(np.abs(sound).max() < 500) if hz is None else is_tone(sound, hz, RATE_HZ)


async def over(talk: Talk, vendor: Person) -> Record:
    """Have the caller hang up; return the record."""
    await talk.caller.hang_up()
    await asyncio.wait_for(vendor.call.ended.wait(), 60)
    return await talk.over()


async def test_a_supervisor_hears_caller_and_agent_apart_and_neither_notices(
    office: Office,
) -> None:
    async with supervised(office) as (eve, talk, vendor):
        await until_heard(eve, talk.call_id, caller=CALLER_HZ, agent=VENDOR_HZ)

        async def is_watched() -> bool:
            watched = json.loads((await talk.state()).get("watched_by") or "{}")
            return bool(watched == {"eve": "listens"})

        ears = asyncio.create_task(eve.listens(talk.call_id, 60 * FRAMES), name="ears")
        await wait_until(is_watched, "the call's state has no listener")
        ears.cancel()
        await asyncio.gather(ears, return_exceptions=True)
        vendor.rtp.silence()
        await until_heard(eve, talk.call_id, caller=CALLER_HZ, agent=None)
        vendor.hum(VENDOR_HZ)
        await talk.hears(VENDOR_HZ)
        await vendor.hears(CALLER_HZ)
        record = await over(talk, vendor)
    assert len(vendor.invites) == 1
    assert (record["outcome"], record["reason"]) == ("completed", "caller_hung_up")
    assert record["supervised"] == []


async def test_what_needs_an_agent_of_ours_is_refused_with_the_reason(office: Office) -> None:
    async with supervised(office) as (eve, talk, vendor):
        for action, params in REFUSED.items():
            answer = await eve.does(talk.call_id, action, **params)
            assert (answer["accepted"], answer["reason"]) == (False, "agent_elsewhere"), action
        shown = await eve.post(
            f"/api/v1/calls/{talk.call_id}/picture", {"image": as_json(png(8, 8))}
        )
        assert (shown["accepted"], shown["reason"]) == (False, "agent_elsewhere")
        await talk.hears(VENDOR_HZ)
        await vendor.hears(CALLER_HZ)
        record = await over(talk, vendor)
    assert len(vendor.invites) == 1
    assert record["supervised"] == []


async def test_a_caller_who_is_taken_over_hears_the_supervisor_and_then_the_agent_again(
    office: Office,
) -> None:
    async with (
        console_user(office.gateway.http, office.redis_url, "bob") as bob,
        supervised(office) as (eve, talk, vendor),
    ):
        async with eve.at_the_microphone(talk.call_id):
            assert (await eve.does(talk.call_id, "take_over"))["accepted"]
            await asyncio.wait_for(vendor.call.ended.wait(), 60)
            await talk.hears(VOICE_HZ)
            await until_heard(bob, talk.call_id, caller=CALLER_HZ, agent=VOICE_HZ)
            assert (await eve.does(talk.call_id, "hand_back"))["accepted"]
            await wait_until(lambda: len(vendor.invites) == 2, "the agent was not called again")
        vendor.hum(VENDOR_HZ)
        await talk.hears(VENDOR_HZ)
        await vendor.hears(CALLER_HZ)
        await until_heard(bob, talk.call_id, caller=CALLER_HZ, agent=VENDOR_HZ)
        record = await over(talk, vendor)
    assert (record["outcome"], record["reason"]) == ("completed", "caller_hung_up")
    assert [each["action"] for each in record["supervised"]] == ["take_over", "hand_back"]
    assert record["failures"] == []


async def test_a_supervisor_whose_voice_never_comes_has_the_agent_called_again(
    office: Office,
) -> None:
    async with supervised(office) as (eve, talk, vendor):
        assert (await eve.does(talk.call_id, "take_over"))["accepted"]
        await asyncio.wait_for(vendor.call.ended.wait(), 60)
        await wait_until(lambda: len(vendor.invites) == 2, "the agent was not called again")
        vendor.hum(VENDOR_HZ)
        await talk.hears(VENDOR_HZ)
        await vendor.hears(CALLER_HZ)
        record = await over(talk, vendor)
    assert (record["outcome"], record["reason"]) == ("completed", "caller_hung_up")
    assert [each["action"] for each in record["supervised"]] == ["take_over"]
    assert record["failures"] == []


async def test_a_supervisor_ends_the_call_for_both(office: Office) -> None:
    async with supervised(office) as (eve, talk, vendor):
        answer = await eve.does(talk.call_id, "end", reason="Done.", how="now")
        assert answer["accepted"]
        await talk.caller.until(talk.caller.ended.is_set)
        await asyncio.wait_for(vendor.call.ended.wait(), 60)
        record = await talk.over()
    assert (record["outcome"], record["reason"]) == ("completed", "ended_by_supervisor")
