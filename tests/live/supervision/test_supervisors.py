"""A supervisor in a live call, measured on the caller's side: who is heard, when, and how clean.

Agent and microphone are tones of which no whole number of waves fits into a frame.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from bridge.audio.wav import read_wav
from bridge.config.settings import RedisSettings
from bridge.store.control import Answer
from bridge.store.local import LocalRedis
from bridge.store.reader import CallReader
from bridge.telephony.taps import AGENT, CALLER
from tests.audio.signals import level_at_db, tone
from tests.live.conftest import StartGateway
from tests.live.talk import Talk, redis_call, redis_events, talking
from tests.support.caller_sound import (
    assert_same_sound,
    assert_tones,
    from_first_loud,
    whole_sound,
)
from tests.support.machine import Timing
from tests.support.person import a_person
from tests.support.ports import free_port
from tests.support.rtp_caller import RtpCaller
from tests.support.supervisor import (
    AMPLITUDE,
    RATE_HZ,
    VOICE_HZ,
    Supervisor,
    amplitudes_of,
    has_tone,
    heard_by,
    loudest_click,
)
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.sip, pytest.mark.redis]

AGENT_HZ = 1010.0
NO_CLICK = 600
"""Of two tones of amplitude 8000; measured: 150 to 300, and 2000 with a hard cut."""


@asynccontextmanager
async def supervised(
    start_gateway: StartGateway, greeting_ms: int = 20_000
) -> AsyncIterator[tuple[Talk, Supervisor]]:
    async with talking(start_gateway, greeting_ms=greeting_ms, tone_hz=AGENT_HZ) as talk:
        yield talk, Supervisor(talk.runner)


def sound_of(talk: Talk, since: int = 0) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    return heard_by(talk.caller.heard[since:])


def disturbances(talk: Talk) -> int:
    """Return how often a machine that was too busy has left a gap by itself."""
    assert talk.gateway._reception.services is not None
    stats = talk.gateway._reception.services.pump.stats
    return stats.underruns + stats.late_blocks + stats.clock_stalls


async def hear(talk: Talk, ms: int) -> None:
    """Let the caller hear so much more."""
    packets = len(talk.caller.heard) + ms // 20
    await talk.caller.until(lambda: len(talk.caller.heard) >= packets)


async def test_taken_over_and_handed_back_without_a_click(
    start_gateway: StartGateway, tmp_path: Path, redis: LocalRedis, timing: Timing
) -> None:
    """The caller hears three tones, each one sine from its begin to its end, and fades between."""
    async with supervised(start_gateway) as (talk, eve), eve.at_the_microphone():
        await hear(talk, 600)
        taken_ns = time.monotonic_ns()
        assert eve.orders("take_over") == Answer(True)
        cancel = await talk.first.until_sent("response.cancel")
        await talk.first.until_sent("conversation.item.truncate")
        own = np.concatenate([each.stereo for each in await eve.hears(25)])
        assert np.abs(own[:, AGENT]).max() == 0  # they don't hear themselves
        await hear(talk, 500)
        uploaded_ms = talk.first.appended_ms
        talk.caller.speak(tone(440, RATE_HZ, RATE_HZ, amplitude=8_000))
        await talk.caller.until(lambda: not talk.caller.speaking)
        assert talk.first.appended_ms == uploaded_ms  # the model hears nothing
        talk.first.tone_ms = 3_000
        back_ns = time.monotonic_ns()
        assert eve.orders("hand_back", summary="They get {10} %.") == Answer(True)
        await hear(talk, 1_000)
        disturbed = disturbances(talk) + eve.hum.late_frames
        await talk.caller.hang_up()
        summary = await talk.over()
    heard = talk.caller.heard
    sound = heard_by(heard)
    arrived_ns = np.array([each.arrived_ns for each in heard])
    agent, voice = has_tone(sound, AGENT_HZ), has_tone(sound, VOICE_HZ)
    frames = min(len(agent), len(heard))
    agent, voice, arrived_ns = agent[:frames], voice[:frames], arrived_ns[:frames]
    during = (arrived_ns > taken_ns) & (arrived_ns < back_ns)
    silent_ms = (arrived_ns[agent & during].max(initial=taken_ns) - taken_ns) / 1e6 + 20
    talks_after_ms = (arrived_ns[voice].min() - taken_ns) / 1e6
    again_ms = (arrived_ns[agent & (arrived_ns > back_ns)].min() - back_ns) / 1e6
    print(
        f"agent silent {silent_ms:.0f} ms after take_over, supervisor heard after"
        f" {talks_after_ms:.0f} ms, agent again {again_ms:.0f} ms after hand_back; loudest click"
        f" {loudest_click(sound):.0f}; disturbed {disturbed} times"
    )
    timing.check("agent", silent_ms, most_ms=300)
    timing.check("supervisor", talks_after_ms, most_ms=400)
    left_ms = (arrived_ns[voice].max() - back_ns) / 1e6
    timing.check("supervisor after hand_back", left_ms, most_ms=100)
    timing.check_none("gaps that the machine left", disturbed)
    whole = whole_sound(from_first_loud(heard))
    assert_tones(whole, [AGENT_HZ, VOICE_HZ], AMPLITUDE, [AGENT_HZ, VOICE_HZ, AGENT_HZ])
    assert loudest_click(sound) < NO_CLICK
    assert cancel["type"] == "response.cancel"
    note = [each for each in talk.first.sent if each["type"] == "conversation.item.create"][-1]
    assert "They get {10} %." in note["item"]["content"][0]["text"]
    assert note["item"]["role"] == "system"
    recorded, _ = read_wav(tmp_path / f"{summary.call_id}.wav")
    assert has_tone(recorded[:, AGENT], VOICE_HZ).sum() > 40
    assert [each.action for each in summary.supervised] == ["take_over", "hand_back"]
    kinds = [each["kind"] for each in await redis_events(redis, summary)]
    order = ["supervisor_acted", "supervisor_joined", "supervisor_left", "agent_resumed"]
    assert [kind for kind in kinds if kind in order][:2] == order[:2]
    assert set(order) <= set(kinds)


async def test_listening_changes_nothing_for_the_caller(
    start_gateway: StartGateway, timing: Timing
) -> None:
    """Another caller hears the same tone, and nobody listens to that call: the same bits."""
    packets = 130
    async with supervised(start_gateway) as (talk, eve), RtpCaller(talk.caller.port) as alone:
        assert await alone.call() == 200
        begun_s = time.monotonic()
        await eve.hears(1)
        starts_ms = (time.monotonic() - begun_s) * 1000
        # Too soft to be taken for speech over the agent.
        talk.caller.speak(tone(440, RATE_HZ, 4 * RATE_HZ, amplitude=150))
        await hear(talk, 300)
        for _ in range(3):
            await eve.hears(15)
        frames = await eve.hears(50)
        await talk.caller.until(lambda: len(from_first_loud(talk.caller.heard)) > packets)
        await alone.until(lambda: len(from_first_loud(alone.heard)) > packets)
        disturbed = disturbances(talk)
    stereo = np.concatenate([each.stereo for each in frames])
    print(f"first frame after {starts_ms:.0f} ms; disturbed {disturbed} times")
    timing.check("first frame", starts_ms, most_ms=1_000)
    timing.check_none("gaps that the machine left", disturbed)
    heard, without = (
        whole_sound(from_first_loud(each.heard)[:packets]) for each in (talk.caller, alone)
    )
    assert_same_sound(heard, without)
    assert_tones(heard, [AGENT_HZ], AMPLITUDE, [AGENT_HZ])
    assert level_at_db(stereo[:, CALLER], 440, RATE_HZ) > 40
    assert level_at_db(stereo[:, AGENT], AGENT_HZ, RATE_HZ) > 70
    assert level_at_db(stereo[:, CALLER], AGENT_HZ, RATE_HZ) < 20
    assert [each.sequence for each in frames] == list(range(50))
    assert frames[0].at_ms > 300


async def test_lost_microphone_is_a_tone_and_then_the_agent(
    start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.engine.supervision.hold.VOICE_GRACE_MS", 700)
    async with supervised(start_gateway) as (talk, eve):
        eve.connects()
        eve.orders("take_over")
        await hear(talk, 600)
        await eve.disconnects()
        lost_at = len(talk.caller.heard)
        await talk.first.until(
            lambda: sum(each["type"] == "response.create" for each in talk.first.sent) == 2
        )
        await talk.heard_loud(10)
        events = [kind for _, kind in talk.runner.record.summary.events_ms]
        hold = has_tone(sound_of(talk, lost_at), 440, 800)
        assert hold.any(), "the caller waited in silence"
        assert "agent_resumed" in events
        note = [each for each in talk.first.sent if each["type"] == "conversation.item.create"][-1]
        assert "was cut off" in note["item"]["content"][0]["text"]


async def redis_call_now(redis: LocalRedis, talk: Talk) -> dict[str, str]:
    async with CallReader(RedisSettings(), redis.url) as reader:
        state: dict[str, str] = {}

        async def there() -> bool:
            state.update(await reader.call(talk.runner.call_id) or {})
            return bool(state.get("held_by"))

        await wait_until(there, "nobody holds the call in Redis")
        return state


async def test_secret_audio_is_neither_recorded_nor_sent(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    async with supervised(start_gateway, greeting_ms=500) as (talk, eve):
        await talk.silent()
        assert eve.orders("sensitive", on=True) == Answer(True)
        loud_ms = talk.first.loud_ms
        talk.caller.speak(tone(700, RATE_HZ, RATE_HZ, amplitude=8_000))
        await talk.caller.until(lambda: not talk.caller.speaking)
        await hear(talk, 1_000)  # more than a jitter buffer holds: the sound has come through
        assert talk.first.loud_ms == loud_ms
        assert eve.orders("sensitive", on=False) == Answer(True)
        talk.caller.speak(tone(900, RATE_HZ, RATE_HZ, amplitude=8_000))
        await talk.first.until(lambda: talk.first.loud_ms > loud_ms + 500)
        await talk.caller.until(lambda: not talk.caller.speaking)
        await hear(talk, 200)
        await talk.caller.hang_up()
        summary = await talk.over()
    recorded, _ = read_wav(tmp_path / f"{summary.call_id}.wav")
    assert not has_tone(recorded[:, CALLER], 700).any()
    assert has_tone(recorded[:, CALLER], 900).any()


BAD_ORDERS: list[tuple[str, dict[str, object], str]] = [
    ("shout", {}, "unknown_action"),
    ("whisper", {}, "bad_params"),
    ("whisper", {"text": "x", "loud": True}, "bad_params"),
    ("say", {"text": "x" * 401}, "bad_params"),
    ("transfer", {"target": "nobody"}, "unknown_target"),
    ("transfer", {"target": "sip:a@b>\r\nX: 1"}, "bad_params"),
    ("transfer", {"target": "sip:premium@elsewhere.example"}, "target_not_allowed"),
    ("transfer", {"target": "tel:+19005550100", "kind": "warm"}, "target_not_allowed"),
    ("end", {"how": "now"}, "bad_params"),
]


async def test_orders_of_two_supervisors_and_what_is_written_of_them(
    start_gateway: StartGateway, redis: LocalRedis
) -> None:
    async with supervised(start_gateway) as (talk, eve):
        bob = Supervisor(talk.runner, "bob")
        for action, params, reason in BAD_ORDERS:
            assert eve.orders(action, **params).reason == reason
        assert eve.orders("pause", auto_resume_s=600) == Answer(True)
        assert bob.orders("take_over") == Answer.refused("held_by", held_by="eve")
        assert bob.orders("whisper", text="Be kind.") == Answer(True)
        paused_at = len(talk.caller.heard)
        state = await redis_call_now(redis, talk)
        assert (state["phase"], state["held_by"]) == ("paused", "eve")
        await talk.caller.until(lambda: bool(has_tone(sound_of(talk, paused_at), 440, 800).any()))
        assert eve.orders("resume") == Answer(True)
        await talk.first.until(
            lambda: sum(each["type"] == "response.create" for each in talk.first.sent) == 2
        )
        assert eve.orders("flag", note="Ask for card 4111 1111 1111 1111.") == Answer(True)
        await talk.heard_loud(5)
        await talk.caller.hang_up()
        summary = await talk.over()
    (flag,) = summary.flags
    assert flag.by == "eve"
    assert "4111" not in flag.note
    state = await redis_call(redis, summary)
    assert (state["flagged"], state["held_by"]) == ("1", "")
    async with CallReader(RedisSettings(), redis.url) as reader:
        flags = [fields for _, fields in await reader.flags()]
    (told,) = [each for each in flags if each["call_id"] == summary.call_id]
    assert (told["by"], told["text"]) == ("eve", flag.note)


async def test_ended_call_lets_listeners_and_microphones_go(start_gateway: StartGateway) -> None:
    async with supervised(start_gateway) as (talk, eve):
        listener = talk.runner.supervision.listen("bob")
        assert listener is not None
        async with eve.at_the_microphone():
            eve.orders("take_over")
            assert eve.orders("end", reason="Abuse", how="now") == Answer(True)
            async with asyncio.timeout(60):
                while await listener.get() is not None:
                    pass
                await talk.caller.ended.wait()
            summary = await talk.over()
        assert summary.reason == "ended_by_supervisor"
        assert summary.supervised[-1].text == "Abuse"
        kinds = [kind for _, kind in summary.events_ms]
        assert "supervisor_left" in kinds


PHONE_HZ = 620.0


async def test_desk_phone_listens_takes_over_and_gives_back(
    start_gateway: StartGateway, timing: Timing
) -> None:
    port = free_port()
    phones = {"supervisor_phones": [f"sip:eve@127.0.0.1:{port}"]}
    async with (
        talking(start_gateway, greeting_ms=30_000, tone_hz=AGENT_HZ, sip=phones) as talk,
        a_person(talk.caller.port, port) as phone,
    ):
        eve = Supervisor(talk.runner)
        assert eve.orders("listen", via="sip:ann@elsewhere").reason == "phone_not_allowed"
        via = f"sip:eve@127.0.0.1:{port}"
        before = len(talk.caller.heard)
        assert eve.orders("listen", via=via, may_take_over=True) == Answer(True)
        assert eve.orders("listen", via=via).reason == "already"
        await phone.called()
        phone.hum(PHONE_HZ)
        await phone.hears(AGENT_HZ)
        assert not has_tone(sound_of(talk, before), PHONE_HZ).any()  # it only listens
        timing.check_none("gaps that the machine left", disturbances(talk))
        assert_tones(
            whole_sound(from_first_loud(talk.caller.heard)), [AGENT_HZ], AMPLITUDE, [AGENT_HZ]
        )
        phone.rtp.silence()
        phone.rtp.press("*3")
        await talk.first.until_sent("response.cancel")
        phone.hum(PHONE_HZ)
        taken = len(talk.caller.heard)
        await talk.caller.until(lambda: has_tone(sound_of(talk, taken), PHONE_HZ).sum() > 25)
        talk.caller.speak(tone(440, RATE_HZ, 3 * RATE_HZ, amplitude=8_000))
        await phone.hears(440)
        phone.rtp.silence()
        phone.rtp.press("*1")
        await talk.first.until(
            lambda: sum(each["type"] == "response.create" for each in talk.first.sent) == 2
        )
        await phone.hears(AGENT_HZ)
        phone.rtp.press("*3")
        await talk.first.until(
            lambda: sum(each["type"] == "response.cancel" for each in talk.first.sent) == 2
        )
        await phone.call.bye()  # who hangs up gives the caller back at once
        phone.call.ended.set()
        await talk.first.until(
            lambda: sum(each["type"] == "response.create" for each in talk.first.sent) == 3
        )
        whole_sound(talk.caller.heard)
        actions = [each.action for each in talk.runner.record.summary.supervised]
        assert actions == ["take_over", "hand_back"] * 2


async def test_phone_that_leaves_and_one_that_is_let_go_with_the_call(
    start_gateway: StartGateway,
) -> None:
    port = free_port()
    phones = {"supervisor_phones": ["sip:*@127.0.0.1:*"]}
    async with (
        talking(start_gateway, greeting_ms=30_000, sip=phones) as talk,
        a_person(talk.caller.port, port) as phone,
    ):
        Supervisor(talk.runner).orders("listen", via=f"sip:eve@127.0.0.1:{port}")
        await phone.called()
        await phone.hears(1000.0)
        phone.rtp.press("*3")  # not theirs
        phone.rtp.press("*0")
        await asyncio.wait_for(phone.call.ended.wait(), 60)
        assert not [each for each in talk.first.sent if each["type"] == "response.cancel"]
        Supervisor(talk.runner).orders("listen", via=f"sip:eve@127.0.0.1:{port}")
        await wait_until(lambda: len(phone.invites) == 2, "the phone was not called again")
        await talk.caller.hang_up()
        await asyncio.wait_for(phone.call.ended.wait(), 60)


async def test_three_way_everybody_hears_the_two_others(
    start_gateway: StartGateway, tmp_path: Path, timing: Timing
) -> None:
    async with supervised(start_gateway) as (talk, eve), eve.at_the_microphone():
        await hear(talk, 600)
        joined_at = len(talk.caller.heard)
        loud_ms = talk.first.loud_ms
        assert eve.orders("join") == Answer(True)
        await talk.caller.until(lambda: has_tone(sound_of(talk, joined_at), VOICE_HZ).sum() > 50)
        own = np.concatenate([each.stereo for each in await eve.hears(30)])
        heard_both = sound_of(talk, joined_at)
        await talk.first.until(lambda: talk.first.loud_ms > loud_ms + 500)
        muted_at = len(talk.caller.heard)
        assert eve.orders("mute", on=True) == Answer(True)
        await hear(talk, 800)
        quiet = sound_of(talk, muted_at)[20 * 160 :]
        assert eve.orders("mute", on=False) == Answer(True)
        again_at = len(talk.caller.heard)
        await talk.caller.until(lambda: has_tone(sound_of(talk, again_at), VOICE_HZ).sum() > 10)
        assert eve.orders("hand_back") == Answer(True)
        await hear(talk, 400)
        left_at = len(talk.caller.heard)
        await hear(talk, 600)
        alone = sound_of(talk, left_at)
        disturbed = disturbances(talk) + eve.hum.late_frames
        assert not [each for each in talk.first.sent if each["type"] == "response.cancel"]
        await talk.caller.hang_up()
        summary = await talk.over()
    timing.check_none("gaps that the machine left", disturbed)
    for sound, voice in ((heard_both[60 * 160 :], True), (quiet, False), (alone, False)):
        assert has_tone(sound, AGENT_HZ).all()  # the agent went on all the time
        assert has_tone(sound, VOICE_HZ).any() == voice
    levels = amplitudes_of(sound_of(talk)[30 * 160 : -10 * 160], AGENT_HZ)
    assert levels.max() / levels.min() < 1.05  # as loud before, during and after
    assert loudest_click(sound_of(talk)) < NO_CLICK
    assert has_tone(own[:, AGENT], AGENT_HZ).any()
    assert not has_tone(own[:, AGENT], VOICE_HZ).any()  # they don't hear themselves
    recorded, _ = read_wav(tmp_path / f"{summary.call_id}.wav")
    assert has_tone(recorded[:, AGENT], VOICE_HZ).sum() > 40
    assert not has_tone(recorded[:, CALLER], VOICE_HZ).any()
    assert [each.action for each in summary.supervised] == ["join", "mute", "mute", "hand_back"]


async def test_caller_on_hold_hears_tones_and_then_the_supervisor(
    start_gateway: StartGateway,
) -> None:
    async with supervised(start_gateway) as (talk, eve), eve.at_the_microphone():
        assert eve.orders("hold", on=True) == Answer.refused("not_held")
        eve.orders("take_over")
        await talk.caller.until(lambda: bool(has_tone(sound_of(talk), VOICE_HZ).any()))
        held_at = len(talk.caller.heard)
        assert eve.orders("hold", on=True) == Answer(True)
        await talk.caller.until(lambda: bool(has_tone(sound_of(talk, held_at), 440, 800).any()))
        assert not has_tone(sound_of(talk, held_at + 25), VOICE_HZ).any()
        back_at = len(talk.caller.heard)
        assert eve.orders("hold", on=False) == Answer(True)
        await talk.caller.until(lambda: has_tone(sound_of(talk, back_at), VOICE_HZ).sum() > 10)
        await talk.caller.hang_up()
        summary = await talk.over()
    assert [each.action for each in summary.supervised] == ["take_over", "hold", "hold"]
