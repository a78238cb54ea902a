"""One call of a softphone, on a virtual audio clock."""

import asyncio

import pytest

from bridge.softphone.call import AudioSpan
from bridge.softphone.events import CallProgress, Held, KeysPressed, Spoke
from tests.softphone.far_end import tone
from tests.softphone.virtual import VirtualCall


async def test_say_tells_when_the_words_were_out() -> None:
    virtual = VirtualCall()
    span = await virtual.run(virtual.call.say("hello", tone(500, 400)))

    assert span is not None
    assert span.end_ms - span.start_ms == pytest.approx(400, abs=40)
    assert [each for each in virtual.events if isinstance(each, Spoke)] == [
        Spoke("hello", True, span.start_ms),
        Spoke("hello", False, span.end_ms),
    ]


async def test_two_sayings_at_once_follow_each_other() -> None:
    virtual = VirtualCall()
    both = asyncio.gather(
        virtual.call.say("one", tone(500, 400)), virtual.call.say("two", tone(500, 200))
    )

    async def wait() -> tuple[AudioSpan | None, AudioSpan | None]:
        return await both

    first, second = await virtual.run(wait())
    assert first is not None
    assert second is not None
    assert first.end_ms == second.start_ms
    assert [text for text, _ in virtual.said] == ["one", "two"]


async def test_a_far_end_that_hangs_up_ends_what_is_waited_for() -> None:
    def agent(virtual: VirtualCall) -> bool:
        if virtual.now_ms == 500:
            virtual.leg.end()
        return False

    virtual = VirtualCall(agent)
    span = await virtual.run(virtual.call.say("a long story", tone(500, 5000)))
    assert span is not None
    assert span.end_ms == pytest.approx(500, abs=40)
    assert await virtual.run(virtual.call.heard_after(0, 60_000)) is None
    assert not await virtual.run(virtual.call.quiet(60_000, 60_000))
    await virtual.run(virtual.call.until_ms(60_000))
    assert await virtual.run(virtual.call.say("too late", tone(500, 100))) is None


async def test_a_bye_without_an_answer_does_not_hold_the_caller_up() -> None:
    virtual = VirtualCall(answers_bye=False)
    waiting = asyncio.ensure_future(virtual.call.until_over())
    await asyncio.sleep(0)
    virtual.call.hang_up()
    await asyncio.wait_for(waiting, 1)
    await asyncio.wait_for(virtual.call.finish(timeout_s=0.05), 1)

    assert virtual.call.over
    assert not virtual.leg.ended_by_far_end


async def test_what_is_said_on_hold_is_said_afterwards() -> None:
    def agent(virtual: VirtualCall) -> bool:
        if virtual.now_ms == 1000:
            virtual.call.on_media(True)
        return False

    virtual = VirtualCall(agent)
    virtual.call.on_media(False)
    span = await virtual.run(virtual.call.say("hello", tone(500, 200)))

    assert span is not None
    assert span.start_ms >= 1000
    held = [each for each in virtual.events if isinstance(each, Held)]
    assert [each.held for each in held] == [True, False]


async def test_keys_take_their_time() -> None:
    virtual = VirtualCall()
    span = await virtual.run(virtual.call.press("12#"))

    assert virtual.leg.sent_digits == ["12#"]
    assert KeysPressed("12#", span.start_ms) in virtual.events
    assert span.end_ms - span.start_ms >= 600


async def test_the_clock_begins_with_the_answer() -> None:
    virtual = VirtualCall()

    assert await virtual.call.answered(1)
    assert virtual.call.answered_after_ms == 0
    assert virtual.events == [CallProgress("confirmed", 0, 0)]


async def test_noise_lies_under_the_words_and_between_them_and_takes_no_words_with_it() -> None:
    virtual = VirtualCall(noise=tone(300, 100, 500))

    async def speak() -> list[AudioSpan | None]:
        await virtual.call.until_ms(400)
        both = await asyncio.gather(
            virtual.call.say("one", tone(500, 200)), virtual.call.say("two", tone(500, 200))
        )
        await virtual.call.until_ms(1200)
        return list(both)

    first, second = await virtual.run(speak())
    assert first is not None
    assert second is not None
    assert second.end_ms - first.start_ms == pytest.approx(400, abs=60)
    assert [text for text, _ in virtual.said] == ["one", "two"]
    silent = [at_ms for at_ms, sent in virtual.sent if at_ms > 60 and not any(sent)]
    assert silent == []


async def test_keys_go_by_info_where_the_phone_is_set_to() -> None:
    virtual = VirtualCall(keys_by_info=True)
    await virtual.run(virtual.call.press("1"))

    assert virtual.leg.sent_by_info
