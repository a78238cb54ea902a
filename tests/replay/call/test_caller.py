"""The scripted caller's manners, on a virtual audio clock."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest

from bridge.live.filler import filler_audio
from bridge.replay.call.caller import ScriptedCaller
from bridge.replay.call.preparation import PreparedScript, Speech
from bridge.replay.call.timeline import Doing
from bridge.replay.script import CallScript, Utterance
from tests.softphone.far_end import tone
from tests.softphone.virtual import VirtualCall

WORDS_MS = 1000


def prepared(*steps: Mapping[str, object], **end: object) -> PreparedScript:
    script = CallScript.model_validate(
        {
            "schema": "callscript/v1",
            "id": "test",
            "hears": ["anything"],
            "caller": list(steps),
            "end": end,
        }
    )
    speeches = {
        index: Speech(step.action.text, tone(500, WORDS_MS), 0, WORDS_MS)
        for index, step in enumerate(script.caller)
        if isinstance(step.action, Utterance)
    }
    return PreparedScript(script, speeches, None)


@dataclass
class Agent:
    """Greets if it has a greeting, and answers ``answer_ms`` of speech ``think_ms`` after words."""

    greeting: tuple[int, int] | None = (300, 1300)
    think_ms: int = 700
    answer_ms: int = 800
    yields: bool = True
    hangs_up_after: int | None = None
    _answers: int = 0
    _speaks_from: int = -1
    _speaks_to: int = -1
    _words_end: int | None = None

    def __call__(self, call: VirtualCall) -> bool:
        now_ms = call.now_ms
        if call.caller_speaks:
            self._words_end = now_ms
            if self.yields:
                self._speaks_to = min(self._speaks_to, now_ms + 100)
        elif self._words_end is not None and now_ms - self._words_end >= self.think_ms:
            self._words_end = None
            self._answers += 1
            self._speaks_from, self._speaks_to = now_ms, now_ms + self.answer_ms
        if self._answers == self.hangs_up_after and now_ms == self._speaks_to + 100:
            call.leg.end()
        greets = self.greeting is not None and self.greeting[0] < now_ms <= self.greeting[1]
        return greets or self._speaks_from < now_ms <= self._speaks_to


async def played(
    agent: Callable[[VirtualCall], bool | bytes], script: PreparedScript
) -> tuple[VirtualCall, ScriptedCaller]:
    virtual = VirtualCall(agent)
    caller = ScriptedCaller(virtual.call, script)
    await virtual.run(caller.play())
    return virtual, caller


async def test_say_waits_for_the_greeting_and_600_ms_of_quiet() -> None:
    virtual, _ = await played(Agent(), prepared({"say": "hello"}))

    assert virtual.said[0][1] == pytest.approx(1300 + 600, abs=60)


async def test_say_does_not_wait_long_for_a_greeting_that_does_not_come() -> None:
    virtual, _ = await played(Agent(greeting=None), prepared({"say": "hello"}))

    assert virtual.said[0][1] == pytest.approx(3000, abs=60)


async def test_the_second_say_waits_for_the_answer_to_the_first() -> None:
    virtual, caller = await played(Agent(), prepared({"say": "one"}, {"say": "two"}))

    first, second = caller.deeds
    answered_ms = first.end_ms + 700 + 800
    assert second.start_ms == pytest.approx(answered_ms + 600, abs=80)
    assert [text for text, _ in virtual.said] == ["one", "two"]


async def test_an_agent_that_never_answers_is_waited_for_10_s() -> None:
    _, caller = await played(Agent(think_ms=10**9), prepared({"say": "one"}, {"say": "two"}))

    first, second = caller.deeds
    assert second.start_ms - first.end_ms == pytest.approx(10_000, abs=80)


async def test_an_interruption_comes_its_delay_after_the_answer_began() -> None:
    interrupt = {"interrupt": {"text": "wait", "after": {"delay_ms": 1500}}}
    _, caller = await played(Agent(answer_ms=9000), prepared({"say": "one"}, interrupt))

    said, interrupted = caller.deeds
    assert interrupted.doing is Doing.INTERRUPT
    assert interrupted.start_ms - (said.end_ms + 700) == pytest.approx(1500, abs=60)


async def test_an_interruption_of_nobody_is_not_made() -> None:
    interrupt = {"interrupt": {"text": "wait", "after": {"delay_ms": 3000}}}
    _, caller = await played(Agent(answer_ms=500), prepared({"say": "one"}, interrupt))

    assert [deed.doing for deed in caller.deeds] == [Doing.SAY]


async def test_a_greeting_can_be_interrupted() -> None:
    interrupt = {"interrupt": {"text": "wait", "after": {"delay_ms": 500}}}
    _, caller = await played(Agent(greeting=(300, 5300)), prepared(interrupt))

    assert caller.deeds[0].start_ms == pytest.approx(800, abs=60)


async def test_keys_are_pressed_when_the_agent_is_quiet_and_owe_no_answer() -> None:
    virtual, caller = await played(
        Agent(), prepared({"dtmf": {"digits": "1"}}, {"say": "one"}, {"hangup": True})
    )

    keys, said, _ = caller.deeds
    assert keys.start_ms == pytest.approx(1900, abs=60)
    assert said.start_ms - keys.end_ms < 100
    assert virtual.leg.sent_digits == ["1"]


async def test_silence_lasts_as_long_as_it_says() -> None:
    _, caller = await played(Agent(), prepared({"silence": {"ms": 5000}}, {"say": "one"}))

    silent, said = caller.deeds
    assert silent.end_ms - silent.start_ms == pytest.approx(5000, abs=20)
    assert said.start_ms - silent.end_ms < 100, "the greeting was long over"


async def test_hangup_does_not_wait() -> None:
    virtual, caller = await played(Agent(), prepared({"say": "one"}, {"hangup": True}))

    said, hung_up = caller.deeds
    assert hung_up.start_ms - said.end_ms < 60
    assert not virtual.leg.ended_by_far_end


async def test_an_expected_answer_is_waited_for_before_hangup() -> None:
    step = {"say": "one", "expect": {"within_ms": 5000}}
    _, caller = await played(Agent(), prepared(step, {"hangup": True}))

    said, hung_up = caller.deeds
    assert hung_up.start_ms - said.end_ms >= 700 + 800


async def test_a_listening_step_waits_for_the_next_thing_that_the_agent_says() -> None:
    def agent(call: VirtualCall) -> bool:
        return 300 < call.now_ms <= 900 or 4000 < call.now_ms <= 5000

    soon, late = ({"expect": {"within_ms": within_ms}} for within_ms in (1000, 9000))
    virtual, caller = await played(agent, prepared(soon, late, {"hangup": True}))

    first, second, hung_up = caller.deeds
    assert first.start_ms == 0
    assert second.start_ms == pytest.approx(1500, abs=60)
    assert hung_up.start_ms == pytest.approx(5600, abs=60)
    assert virtual.said == []


async def test_the_caller_waits_for_the_bridge_to_hang_up() -> None:
    agent = Agent(hangs_up_after=1)
    virtual, caller = await played(agent, prepared({"say": "bye"}, by="bridge"))

    assert virtual.leg.ended_by_far_end
    assert not caller.cut_off


async def test_the_longest_duration_cuts_the_call_off() -> None:
    virtual = VirtualCall(Agent())
    caller = ScriptedCaller(virtual.call, prepared(by="bridge", max_duration_s=0.05))
    await virtual.run(caller.play())

    assert caller.cut_off
    assert virtual.call.over
    assert not virtual.leg.ended_by_far_end


LONG = 9000


async def test_a_backchannel_owes_no_answer_and_the_next_words_wait_for_the_agent_to_end() -> None:
    murmur = {"backchannel": {"text": "mm", "after": {"delay_ms": 1500}}}
    agent = Agent(answer_ms=LONG, yields=False)
    _, caller = await played(agent, prepared({"say": "one"}, murmur, {"say": "two"}))

    first, murmured, second = caller.deeds
    begun_ms = first.end_ms + agent.think_ms
    assert murmured.doing is Doing.BACKCHANNEL
    assert murmured.start_ms - begun_ms == pytest.approx(1500, abs=60)
    assert second.start_ms >= begun_ms + LONG


async def test_two_backchannels_come_into_one_answer() -> None:
    def murmur(delay_ms: int) -> Mapping[str, object]:
        return {"backchannel": {"text": "mm", "after": {"delay_ms": delay_ms}}}

    agent = Agent(answer_ms=LONG, yields=False)
    _, caller = await played(agent, prepared({"say": "one"}, murmur(500), murmur(5000)))

    said, early, late = caller.deeds
    assert early.start_ms - said.end_ms - agent.think_ms == pytest.approx(500, abs=60)
    assert late.start_ms - said.end_ms - agent.think_ms == pytest.approx(5000, abs=60)


async def test_words_anchored_to_the_callers_own_come_while_the_agent_thinks() -> None:
    more = {
        "interrupt": {"text": "wait", "after": {"event": "caller_speech_ended", "delay_ms": 300}}
    }
    _, caller = await played(Agent(think_ms=2000), prepared({"say": "one"}, more))

    said, added = caller.deeds
    assert added.start_ms - said.end_ms == pytest.approx(300, abs=60)


async def test_words_anchored_to_the_agents_end_wait_for_it() -> None:
    after = {
        "interrupt": {"text": "so", "after": {"event": "agent_audio_stopped", "delay_ms": 2000}}
    }
    _, caller = await played(Agent(), prepared({"say": "one"}, after))

    said, added = caller.deeds
    assert added.start_ms - (said.end_ms + 700 + 800) == pytest.approx(2000, abs=80)


async def test_words_anchored_to_the_answer_come_at_their_time() -> None:
    after = {"interrupt": {"text": "hey", "after": {"event": "answered", "delay_ms": 450}}}
    _, caller = await played(Agent(), prepared(after))

    assert caller.deeds[0].start_ms == pytest.approx(450, abs=60)


async def test_a_gap_of_the_script_stands_in_place_of_the_usual_one() -> None:
    _, caller = await played(Agent(), prepared({"say": {"text": "one", "gap_ms": 2500}}))

    assert caller.deeds[0].start_ms == pytest.approx(1300 + 2500, abs=60)


async def test_waiting_does_nothing_until_its_anchor() -> None:
    wait = {"wait": {"event": "answered", "delay_ms": 5000}}
    virtual, caller = await played(Agent(), prepared(wait, {"hangup": True}))

    waited, hung_up = caller.deeds
    assert waited.doing is Doing.WAIT
    assert hung_up.start_ms == pytest.approx(5000, abs=60)
    assert virtual.said == []


async def test_a_hold_lasts_as_long_as_it_says() -> None:
    _, caller = await played(Agent(), prepared({"hold": {"ms": 2000}}, {"hangup": True}))

    held, hung_up = caller.deeds
    assert (held.doing, held.end_ms - held.start_ms) == (Doing.HOLD, 2000)
    assert hung_up.start_ms - held.end_ms < 60


async def test_keys_are_pressed_with_their_gap() -> None:
    virtual, caller = await played(Agent(), prepared({"dtmf": {"digits": "12", "gap_ms": 700}}))

    assert virtual.leg.sent_digits == ["1", "2"]
    keys = caller.deeds[0]
    assert keys.end_ms - keys.start_ms == pytest.approx(260 + 700 + 260, abs=60)


async def test_hangup_comes_at_its_anchor_in_the_agents_words() -> None:
    hang_up = {"hangup": {"after": {"event": "agent_audio_started", "delay_ms": 400}}}
    step = {"say": "one", "expect": {"within_ms": 5000}}
    _, caller = await played(Agent(answer_ms=LONG), prepared(step, hang_up))

    said, hung_up = caller.deeds
    assert hung_up.start_ms - (said.end_ms + 700) == pytest.approx(400, abs=60)


async def test_hangup_comes_in_the_middle_of_the_callers_own_words() -> None:
    hang_up = {"hangup": {"after": {"event": "caller_speech_started", "delay_ms": 300}}}
    _, caller = await played(Agent(), prepared({"say": "one"}, hang_up))

    said, hung_up = caller.deeds
    assert said.end_ms - said.start_ms == pytest.approx(300, abs=60)
    assert hung_up.start_ms - said.end_ms < 60


async def test_a_waiting_tone_is_no_answer() -> None:
    def agent(call: VirtualCall) -> bool:
        return 300 < call.now_ms <= 1300 or 5000 < call.now_ms <= 5300 or 6500 < call.now_ms <= 8000

    _, caller = await played(agent, prepared({"say": "one"}, {"say": "two"}))

    assert caller.deeds[1].start_ms == pytest.approx(8000 + 600, abs=80)


async def test_after_a_tone_alone_the_caller_goes_on_after_a_while() -> None:
    def agent(call: VirtualCall) -> bool:
        return 300 < call.now_ms <= 1300 or 5000 < call.now_ms <= 5300

    _, caller = await played(agent, prepared({"say": "one"}, {"say": "two"}))

    assert caller.deeds[1].start_ms == pytest.approx(5300 + 600 + 3000, abs=120)


def with_waiting_tone(voice: tuple[int, int]) -> Callable[[VirtualCall], bool | bytes]:
    """Greet, let a waiting tone be heard from 5000 to 5300 ms, and then the voice."""
    sound = filler_audio(pause=False)
    piece = 480 * 2

    def agent(call: VirtualCall) -> bool | bytes:
        at = (call.now_ms - 5020) // 20 * piece
        if 0 <= at < len(sound):
            return sound[at : at + piece]
        return 300 < call.now_ms <= 1300 or voice[0] < call.now_ms <= voice[1]

    return agent


@pytest.mark.parametrize("voice_ms", [5460, 6500], ids=["right behind", "after a pause"])
@pytest.mark.parametrize("delay_ms", [100, 1500])
async def test_a_waiting_tone_is_not_the_agents_first_sound(voice_ms: int, delay_ms: int) -> None:
    interrupt = {"interrupt": {"text": "wait", "after": {"delay_ms": delay_ms}}}
    agent = with_waiting_tone((voice_ms, 9500))
    _, caller = await played(agent, prepared({"say": "one"}, interrupt))

    assert [deed.doing for deed in caller.deeds] == [Doing.SAY, Doing.INTERRUPT]
    assert caller.deeds[1].start_ms == pytest.approx(voice_ms + max(delay_ms, 160), abs=60)


async def test_a_waiting_tone_is_not_the_agents_last_sound() -> None:
    wait = {"wait": {"event": "agent_audio_stopped", "delay_ms": 700}}
    agent = with_waiting_tone((6500, 8000))
    _, caller = await played(agent, prepared({"say": "one"}, wait))

    assert caller.deeds[1].start_ms == pytest.approx(8000 + 700, abs=80)


async def test_a_waiting_tone_alone_is_not_interrupted() -> None:
    interrupt = {"interrupt": {"text": "wait", "after": {"delay_ms": 100}}}
    _, caller = await played(with_waiting_tone((0, 0)), prepared({"say": "one"}, interrupt))

    assert [deed.doing for deed in caller.deeds] == [Doing.SAY]
