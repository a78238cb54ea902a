"""A caller out of the queue: who accepts them talks to them; whoever was called is let go."""

import asyncio

import pytest

from bridge.store.control import Answer
from tests.audio.signals import tone
from tests.live.conftest import StartGateway
from tests.live.supervision.test_supervisors import AGENT_HZ, PHONE_HZ, hear, sound_of
from tests.live.talk import Talk, talking
from tests.support.caller_sound import whole_sound
from tests.support.person import Person, a_person
from tests.support.ports import free_port
from tests.support.supervisor import RATE_HZ, VOICE_HZ, Supervisor, has_tone
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.sip, pytest.mark.redis]

SUMMARY = "They want a refund on 4111 1111 1111 1111."

ANYBODY = {"supervisor_transfers": ["sip:*@127.0.0.1:*"]}
"""Who may be typed as the target of a transfer."""


async def waits(talk: Talk, person: Person, port: int) -> None:
    """Have the caller wait for a person whose phone rings."""
    started = Supervisor(talk.runner, "ann").orders(
        "transfer", target=f"sip:ann@127.0.0.1:{port}", kind="warm", summary=SUMMARY
    )
    assert started == Answer(True)
    await person.called()


async def hears_tone(talk: Talk, hz: float, frames: int = 25) -> None:
    since = len(talk.caller.heard)
    await talk.caller.until(lambda: has_tone(sound_of(talk, since), hz).sum() > frames)


async def agent_asked(talk: Talk, times: int) -> None:
    await talk.first.until(
        lambda: sum(each["type"] == "response.create" for each in talk.first.sent) == times
    )


async def test_accepted_in_the_browser_and_handed_back(start_gateway: StartGateway) -> None:
    port = free_port()
    async with (
        talking(start_gateway, greeting_ms=2_000, tone_hz=AGENT_HZ, sip=ANYBODY) as talk,
        a_person(talk.caller.port, port, status=180) as person,
    ):
        eve, bob = Supervisor(talk.runner), Supervisor(talk.runner, "bob")
        assert eve.orders("accept").reason == "not_waiting"
        await waits(talk, person, port)
        async with eve.at_the_microphone():
            told = eve.orders("accept")
            assert told.accepted
            assert told.result["target"] == "other"
            assert str(told.result["summary"]).startswith("They want a refund")
            assert "4111" not in str(told.result)
            assert bob.orders("accept") == Answer.refused("held_by", held_by="eve")
            await asyncio.wait_for(person.call.ended.wait(), 60)  # CANCEL
            await hears_tone(talk, VOICE_HZ)
            fields = talk.runner.record.vitals._written
            assert (fields["state"], fields["held_by"]) == ("human", "eve")
            assert fields["handoff_result"] == "accepted"
            talk.first.tone_ms = 5_000
            assert eve.orders("hand_back", summary="They get it.") == Answer(True)
            await hears_tone(talk, AGENT_HZ)
        assert whole_sound(talk.caller.heard).size  # without a gap
        await talk.caller.hang_up()
        summary = await talk.over()
    (handoff,) = summary.handoffs
    assert (handoff.way, handoff.result) == ("console", "completed")
    assert handoff.talked_ms is not None
    kinds = [kind for _, kind in summary.events_ms]
    order = [
        *("handoff_started", "supervisor_acted", "supervisor_joined", "handoff_accepted"),
        *("handoff_completed", "supervisor_left", "handed_back", "agent_resumed"),
    ]
    places = [kinds.index(kind, kinds.index("handoff_started")) for kind in order]
    assert places == sorted(places)
    assert summary.outcome == "completed"


async def test_accepted_by_phone_which_leaves_with_the_caller(start_gateway: StartGateway) -> None:
    port, own = free_port(), free_port()
    phones = {**ANYBODY, "supervisor_phones": [f"sip:eve@127.0.0.1:{own}"]}
    async with (
        talking(start_gateway, greeting_ms=2_000, tone_hz=AGENT_HZ, sip=phones) as talk,
        a_person(talk.caller.port, port, status=180) as person,
        a_person(talk.caller.port, own) as phone,
    ):
        eve, via = Supervisor(talk.runner), f"sip:eve@127.0.0.1:{own}"
        await waits(talk, person, port)
        assert eve.orders("accept", via="sip:ann@elsewhere").reason == "phone_not_allowed"
        assert eve.orders("accept", via=via).accepted
        await asyncio.wait_for(person.call.ended.wait(), 60)
        await phone.called()
        phone.hum(PHONE_HZ)
        await hears_tone(talk, PHONE_HZ)
        talk.first.tone_ms = 5_000
        phone.rtp.silence()
        phone.rtp.press("*1")
        await asyncio.wait_for(phone.call.ended.wait(), 60)  # it was there for this caller alone
        await hears_tone(talk, AGENT_HZ)


async def test_phone_that_is_not_answered_gives_the_caller_to_the_agent(
    start_gateway: StartGateway,
) -> None:
    port, own = free_port(), free_port()
    phones = {**ANYBODY, "supervisor_phones": [f"sip:eve@127.0.0.1:{own}"]}
    async with (
        talking(start_gateway, greeting_ms=2_000, tone_hz=AGENT_HZ, sip=phones) as talk,
        a_person(talk.caller.port, port, status=180) as person,
        a_person(talk.caller.port, own, status=486) as phone,
    ):
        await waits(talk, person, port)
        asked = sum(each["type"] == "response.create" for each in talk.first.sent)
        accepted = Supervisor(talk.runner).orders("accept", via=f"sip:eve@127.0.0.1:{own}")
        assert accepted.accepted
        await phone.called()
        await agent_asked(talk, asked + 1)
        await wait_until(
            lambda: talk.runner.record.summary.handoffs[-1].result == "not_joined",
            "the handing over did not fail",
        )


async def test_nobody_hears_what_is_confidential_but_who_talks_to_the_caller(
    start_gateway: StartGateway,
) -> None:
    own = free_port()
    phones = {**ANYBODY, "supervisor_phones": [f"sip:bob@127.0.0.1:{own}"]}
    async with (
        talking(start_gateway, greeting_ms=30_000, tone_hz=AGENT_HZ, sip=phones) as talk,
        a_person(talk.caller.port, own) as phone,
    ):
        eve, bob = Supervisor(talk.runner), Supervisor(talk.runner, "bob")
        assert bob.orders("listen", via=f"sip:bob@127.0.0.1:{own}") == Answer(True)
        await phone.hears(AGENT_HZ)
        assert eve.orders("sensitive", on=True) == Answer(True)
        assert talk.runner.record.vitals._written["sensitive"] == 1
        assert not any(each.stereo.any() for each in await eve.hears(10))
        await phone.silence()
        async with eve.at_the_microphone():
            assert eve.orders("take_over") == Answer(True)
            talk.caller.speak(tone(440, RATE_HZ, 3 * RATE_HZ, amplitude=8_000))
            await hear(talk, 400)
            assert any(each.stereo[:, 0].any() for each in await eve.hears(10))
            await phone.silence()
            talk.first.tone_ms = 20_000
            assert eve.orders("hand_back") == Answer(True)
        await hears_tone(talk, AGENT_HZ)
        assert not any(each.stereo.any() for each in await eve.hears(10))
        assert eve.orders("sensitive", on=False) == Answer(True)
        assert talk.runner.record.vitals._written["sensitive"] == 0
        await phone.hears(AGENT_HZ)
        assert any(each.stereo.any() for each in await eve.hears(10))
        await talk.caller.hang_up()
        await asyncio.wait_for(phone.call.ended.wait(), 60)
