"""Supervisors in live calls, in both dialects: real SIP, Redis, HTTP and WebSockets, one call each.

The microphone hums; the agent speaks; what the caller heard is told apart by its spectrum.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from bridge.store.local import LocalRedis
from bridge.telephony.taps import AGENT
from tests.support.caller_sound import (
    assert_same_sound,
    assert_tones,
    from_first_loud,
    whole_sound,
)
from tests.support.console_user import console_user
from tests.support.gateways import PLAIN_AGENT, CallsInRedis, Gateway, serving, write_dialplan
from tests.support.machine import Timing
from tests.support.processes import simulating, write_yaml
from tests.support.rtp_caller import RtpCaller
from tests.support.supervisor import (
    AMPLITUDE,
    RATE_HZ,
    VOICE_HZ,
    has_tone,
    heard_by,
)

pytestmark = [pytest.mark.sip, pytest.mark.redis, pytest.mark.speech]

GREETING = (
    "Hello, this is a machine that speaks for quite a while before it is done, because somebody"
    " wants to interrupt it, and that takes a moment, as everybody knows who has tried it once."
)
SCENARIO = {
    "name": "supervised",
    "words_per_minute": 180,
    "greeting": GREETING,
    "fallback": "I am back.",
    "rules": [{"hears": ["Where is my order?"], "say": "It is on its way."}],
}


@dataclass
class Line:
    gateway: Gateway
    redis_url: str


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("simulator")
    with simulating(directory, write_yaml(directory / "supervised.yaml", SCENARIO)) as url:
        yield url


@pytest.fixture
def line(
    dialect: str, simulator: str, redis: LocalRedis, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Line]:
    directory = tmp_path_factory.mktemp("gateway")
    dialplans = write_dialplan(directory / "dialplans", {**PLAIN_AGENT, "greeting": GREETING})
    arm = {"url": simulator, "api_key_env": "SIM_KEY", "dialect": dialect}
    with serving(
        *(directory, simulator, dialplans),
        redis_url=redis.url,
        arms={"local": arm},
        console={"enabled": True},
    ) as gateway:
        yield Line(gateway, redis.url)


async def disturbances(gateway: Gateway) -> int:
    """Return how often a machine that was too busy has left a gap by itself."""
    metrics = await gateway.metrics()
    names = ("playout_underruns", "playout_late_blocks", "audio_thread_overruns")
    return round(sum(metrics.value(f"bridge_{name}_total") for name in names))


async def test_listened_whispered_taken_over_handed_back_ended(line: Line, timing: Timing) -> None:
    """Another caller hears the same greeting, and nobody is in that call: the same bits."""
    async with (
        CallsInRedis(line.redis_url) as calls,
        console_user(line.gateway.http, line.redis_url, "eve") as eve,
        console_user(line.gateway.http, line.redis_url, "bob") as bob,
        RtpCaller(line.gateway.sip_port) as caller,
        RtpCaller(line.gateway.sip_port) as alone,
    ):
        assert await caller.call() == 200
        call_id = await calls.until_active(line.gateway.node)
        assert await alone.call() == 200
        await caller.until(lambda: sum(each.loud for each in caller.heard) > 10)

        stereo = np.concatenate([each.stereo for each in await eve.listens(call_id, 50)])
        assert np.abs(stereo[:, AGENT]).max() > 1_000
        await bob.listens(call_id, 10)
        listened = len(from_first_loud(caller.heard))
        await alone.until(lambda: len(from_first_loud(alone.heard)) > listened)
        assert (await eve.does(call_id, "whisper", text="Offer 10 %."))["accepted"]

        async with eve.at_the_microphone(call_id):
            assert (await eve.does(call_id, "take_over"))["accepted"]
            taken = len(caller.heard)
            held = await bob.does(call_id, "take_over")
            assert (held["reason"], held["result"]) == ("held_by", {"held_by": "eve"})
            await caller.until(lambda: len(caller.heard) > taken + 75)
            back = await eve.does(call_id, "hand_back", summary="They get a refund.")
            assert back["accepted"]
        given_back = len(caller.heard)
        await caller.until(lambda: any(each.loud for each in caller.heard[given_back + 10 :]))
        assert (await eve.does(call_id, "end", reason="Done", how="now"))["accepted"]
        await caller.until(caller.ended.is_set)
        record = await line.gateway.record_of(call_id)
        await alone.hang_up()
        disturbed = await disturbances(line.gateway)
    during = heard_by(caller.heard[taken:given_back])
    talk = during[300 * RATE_HZ // 1000 : 1_300 * RATE_HZ // 1000]
    timing.check_none("gaps that the machine left", disturbed + eve.hum.late_frames)
    assert_tones(talk, [VOICE_HZ], AMPLITUDE, [VOICE_HZ])  # no agent 300 ms later
    assert not has_tone(heard_by(caller.heard[given_back + 10 :]), VOICE_HZ).any()
    heard, without = (
        whole_sound(from_first_loud(each.heard)[:listened]) for each in (caller, alone)
    )
    assert_same_sound(heard, without)
    whole_sound(caller.heard)
    assert (record["outcome"], record["reason"]) == ("completed", "ended_by_supervisor")
    assert [each["action"] for each in record["supervised"]] == [
        "whisper",
        "take_over",
        "hand_back",
        "end",
    ]
    said = [(each["speaker"], each["text"]) for each in record["turns"]]
    assert ("supervisor", "Offer 10 %.") in said
    agents = [text for speaker, text in said if speaker == "agent"]
    assert len(agents) >= 2, "the agent did not go on"
    assert record["failures"] == []
