"""The scripted caller: does a script's steps in a call, as a polite person would.

It speaks when the agent has spoken and has been quiet for a moment, and waits only so long. Runs in
the loop's thread; every wait ends with the call, and all times are on the call's audio clock.
"""

import asyncio
from typing import assert_never

from bridge.replay.call.preparation import PreparedScript
from bridge.replay.call.timeline import Deed, Doing
from bridge.replay.script import (
    After,
    Backchannel,
    Expectation,
    HangUp,
    Hold,
    Interruption,
    KeyPresses,
    Saying,
    Silence,
    Step,
    Wait,
)
from bridge.softphone.call import PhoneCall

_QUIET_MS = 600
"""Silence after which a person takes it to be their turn; synthetic sentences pause for 360 ms."""
_GREETING_MS = 3_000
"""How long a caller waits for a greeting that nothing in the script asks for."""
_REPLY_MS = 10_000
_TONE_MS = 400
"""No answer is shorter ("Yes." takes 430 ms); a waiting tone of the bridge's takes 300 ms."""
_AFTER_TONE_MS = 3_000
_UTTERANCE_MS = 60_000
_MARGIN_MS = 1_000


class ScriptedCaller:
    """Plays one script in one answered call.

    Attributes:
        deeds: what was done, in order; steps that could not be done are missing.
        cut_off: the longest duration was reached.
    """

    def __init__(self, call: PhoneCall, prepared: PreparedScript) -> None:
        self.deeds: list[Deed] = []
        self.cut_off = False
        self._call = call
        self._script = prepared.script
        self._steps = list(prepared.script.caller)
        self._speeches = dict(prepared.speeches)
        # The agent owes an answer to what ended then; None when it has been given.
        self._owed_since_ms: int | None = 0
        self._patience_ms = _GREETING_MS
        self._ended_ms = 0

    async def play(self) -> None:
        """Do every step and wait for the end; on return the caller has nothing left to do."""
        end = self._script.end
        limit_s = end.after_s or end.max_duration_s
        limit = asyncio.get_running_loop().call_later(limit_s, self._cut_off)
        try:
            await self._do_steps()
            if end.by == "bridge" or end.after_s is not None:
                await self._call.until_over()
            else:
                await self._settle()
        finally:
            limit.cancel()

    def _cut_off(self) -> None:
        self.cut_off = not self._call.over
        self._call.hang_up()

    async def _do_steps(self) -> None:
        for index, step in enumerate(self._steps):
            if self._call.over:
                return
            await self._do(index, step)
            if step.expect is not None and not self._comes_into_the_answer(index + 1):
                await self._settle()

    async def _do(self, index: int, step: Step) -> None:
        match step.action:
            case Saying() as action:
                await self._settle(action.gap_ms)
                await self._say(index, Doing.SAY)
            case Interruption() | Backchannel() as action:
                await self._talk_over(index, action)
            case KeyPresses() as action:
                await self._settle()
                await self._press(index, action)
            case Silence() as action:
                await self._be_silent(index, action)
            case Wait() as action:
                await self._wait(index, action)
            case Hold() as action:
                await self._hold(index, action)
            case HangUp() as action:
                await self._hang_up(index, action)
            case None:
                self._listen(index)
            case _:
                assert_never(step.action)
        if step.expect is not None:
            self._patience_ms = max(_REPLY_MS, _longest_ms(step.expect) + _MARGIN_MS)

    def _comes_into_the_answer(self, index: int) -> bool:
        """Return whether a step is anchored to the begin of what the agent says before it."""
        after = self._after(index)
        return after is not None and after.event == "agent_audio_started"

    def _after(self, index: int) -> After | None:
        steps = self._steps
        match steps[index].action if index < len(steps) else None:
            case Interruption(after=after) | Backchannel(after=after) | HangUp(after=after):
                return after
            case Wait() as wait:
                return wait
            case _:
                return None

    async def _say(self, index: int, doing: Doing) -> None:
        speech = self._speeches[index]
        cut = self._after(index + 1)
        cut_after_ms = cut.delay_ms if cut and cut.event == "caller_speech_started" else None
        span = await self._call.say(speech.text, speech.samples, cut_after_ms=cut_after_ms)
        if span is None:
            return
        end_ms = min(span.start_ms + speech.ends_ms, span.end_ms)
        start_ms = min(span.start_ms + speech.begins_ms, end_ms)
        self._note(index, doing, speech.text, start_ms, end_ms)
        if doing is not Doing.BACKCHANNEL:
            self._owe(end_ms)

    async def _talk_over(self, index: int, action: Interruption | Backchannel) -> None:
        yields = isinstance(action, Interruption)
        if await self._reach(action.after):
            await self._say(index, Doing.INTERRUPT if yields else Doing.BACKCHANNEL)

    async def _reach(self, after: After) -> bool:
        """Wait for an anchor; False when it did not come."""
        match after.event:
            case "agent_audio_started":
                return await self._reach_speech(after.delay_ms)
            case "agent_audio_stopped":
                return await self._reach_quiet(after.delay_ms)
            case "caller_speech_ended":
                await self._call.until_ms(self._ended_ms + after.delay_ms)
            case "answered":
                await self._call.until_ms(after.delay_ms)
            case "dialled":  # it was answered all the same
                await self._call.until_ms(after.delay_ms - (self._call.answered_after_ms or 0))
            case "caller_speech_started":
                pass  # the words before were left at that moment
            case _:
                assert_never(after.event)
        return not self._call.over

    async def _reach_speech(self, delay_ms: int) -> bool:
        begun_ms = await self._call.voice_after(self._since_ms(), self._patience_ms)
        if begun_ms is None:
            return False
        await self._call.until_ms(begun_ms + delay_ms)
        if self._call.ear.speaking is None:
            # It may only draw breath between two sentences.
            await self._call.heard_after(self._call.elapsed_ms, _QUIET_MS)
        return self._call.ear.speaking is not None

    async def _reach_quiet(self, delay_ms: int) -> bool:
        if await self._call.voice_after(self._since_ms(), self._patience_ms) is None:
            return False
        await self._call.quiet(_QUIET_MS, _UTTERANCE_MS)
        await self._call.quiet(delay_ms, delay_ms)
        return not self._call.over

    async def _press(self, index: int, action: KeyPresses) -> None:
        if self._call.over:
            return
        span = await self._call.press(action.digits, action.gap_ms or 0)
        self._note(index, Doing.DTMF, action.digits, span.start_ms, span.end_ms)
        if self._steps[index].expect is not None:
            self._owe(span.end_ms)

    async def _be_silent(self, index: int, action: Silence) -> None:
        start_ms = self._call.elapsed_ms
        await self._call.until_ms(start_ms + action.ms)
        self._note(index, Doing.SILENCE, "", start_ms, self._call.elapsed_ms)
        if self._steps[index].expect is not None:
            self._owe(start_ms)

    async def _wait(self, index: int, action: Wait) -> None:
        if not await self._reach(action):
            return
        now_ms = self._call.elapsed_ms
        self._note(index, Doing.WAIT, "", now_ms, now_ms)
        if self._steps[index].expect is not None:
            self._owe(now_ms)

    async def _hold(self, index: int, action: Hold) -> None:
        span = await self._call.hold(action.ms)
        if span is None:
            return
        self._note(index, Doing.HOLD, "", span.start_ms, span.end_ms)
        if self._steps[index].expect is not None:
            self._owe(span.end_ms)

    async def _hang_up(self, index: int, action: HangUp) -> None:
        if action.after is not None and not await self._reach(action.after):
            return
        now_ms = self._call.elapsed_ms
        self._note(index, Doing.HANGUP, "", now_ms, now_ms)
        self._call.hang_up()

    def _listen(self, index: int) -> None:
        since_ms = self._since_ms()
        self._note(index, Doing.LISTEN, "", since_ms, since_ms)
        self._owe(since_ms)

    async def _settle(self, quiet_ms: int = _QUIET_MS) -> None:
        """Let the agent answer what it was asked, and finish."""
        owed_since_ms, self._owed_since_ms = self._owed_since_ms, None
        if owed_since_ms is not None:
            await self._hear_answer(owed_since_ms, quiet_ms)
        await self._call.quiet(quiet_ms, _UTTERANCE_MS)

    async def _hear_answer(self, since_ms: int, quiet_ms: int) -> None:
        """Wait for an answer, and longer where there was but a tone that bids one wait."""
        heard = await self._call.heard_after(since_ms, self._patience_ms)
        while heard is not None and await self._call.quiet(quiet_ms, _UTTERANCE_MS):
            if heard.end_ms is None or heard.end_ms - heard.start_ms >= _TONE_MS:
                return
            heard = await self._call.heard_after(heard.end_ms, _AFTER_TONE_MS)

    def _since_ms(self) -> int:
        owed_ms = self._owed_since_ms
        return self._call.elapsed_ms if owed_ms is None else owed_ms

    def _owe(self, since_ms: int) -> None:
        self._owed_since_ms = since_ms
        self._patience_ms = _REPLY_MS

    def _note(self, index: int, doing: Doing, text: str, start_ms: int, end_ms: int) -> None:
        self._ended_ms = end_ms
        self.deeds.append(Deed(index, doing, text, start_ms, end_ms))


def _longest_ms(expect: Expectation) -> int:
    """Return how long a caller waits who expects this."""
    transfer = expect.transfer.within_ms if expect.transfer else None
    return max(expect.within_ms or 0, expect.greeting_within_ms or 0, transfer or 0)
