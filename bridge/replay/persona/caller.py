"""The caller of a persona: hears the agent, has its reply made up, and speaks it.

It has the manners of :class:`bridge.replay.call.caller.ScriptedCaller`, whose steps it makes up one
by one. Runs in the loop's thread; recognition and synthesis run in worker threads and let go of the
interpreter's lock. A model that thinks long is a caller who thinks long: the line is silent.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from bridge.errors import BridgeError
from bridge.replay.call.caller import ScriptedCaller
from bridge.replay.call.fillers import find_fillers
from bridge.replay.call.preparation import PreparedPersona, PreparedScript, make_speech
from bridge.replay.chat.client import ChatError
from bridge.replay.persona.mind import Mind
from bridge.replay.persona.outcome import PersonaOutcome, PersonaTurn, Stop
from bridge.replay.persona.prompt import gap_ms, interrupts_after_ms
from bridge.replay.persona.reply import PersonaReply
from bridge.replay.script import After, Interruption, KeyPresses, Persona, Saying, Step
from bridge.softphone.call import PhoneCall
from bridge.softphone.ear import EAR_HZ, HeardUtterance

T = TypeVar("T")

_MOST_GAP_MS = 60_000


class PersonaCaller(ScriptedCaller):
    """Plays one persona in one answered call.

    Args:
        model: its name, for the outcome.

    Attributes:
        outcome: what it said, and why it stopped; complete after :meth:`play`.
    """

    def __init__(
        self,
        call: PhoneCall,
        prepared: PreparedScript,
        persona: Persona,
        ready: PreparedPersona,
        mind: Mind,
        model: str,
    ) -> None:
        super().__init__(call, prepared)
        self._persona = persona
        self._ready = ready
        self._mind = mind
        self._model = model
        self._gap_ms = gap_ms(persona)
        self._cuts_in_ms = interrupts_after_ms(persona)
        self._turns: list[PersonaTurn] = []
        self._heard = ""
        self._heard_to_ms = 0
        self._stopped: tuple[Stop, str] | None = None

    @property
    def outcome(self) -> PersonaOutcome:
        """What it said, and why it stopped."""
        stopped, why = self._stopped or (Stop.AGENT_HUNG_UP, "")
        spent, priced = self._mind.spent, self._persona.model
        return PersonaOutcome(
            stopped,
            why,
            self._model,
            self._ready.hearing.name,
            tuple(self._turns),
            spent.tokens,
            round(spent.cost_usd, 6) if priced and priced.usd_per_million else None,
        )

    async def _do_steps(self) -> None:
        loop = asyncio.get_running_loop()
        limit = loop.call_later(self._persona.limits.seconds, self._out_of_time)
        try:
            while (reply := await self._next_reply()) is not None:
                await self._act(reply)
                if reply.done:
                    self._stop(Stop.REACHED if reply.reached else Stop.GAVE_UP, reply.why)
                    return
        except ChatError as error:
            self._stop(Stop.MODEL_FAILED, str(error))
        except BridgeError as error:
            self._stop(Stop.HEARING_FAILED, str(error))
        finally:
            limit.cancel()

    async def _next_reply(self) -> PersonaReply | None:
        """Hear the agent out and return what comes next; None where the call goes no further."""
        limits, spent = self._persona.limits, self._mind.spent
        for stop, used, most in (
            (Stop.TURNS, len(self._turns), limits.turns),
            (Stop.TOKENS, spent.tokens, limits.tokens),
            (Stop.COST, spent.cost_usd, limits.cost_usd),
        ):
            if most is not None and used >= most:
                self._stop(stop, "")
                return None
        await self._settle(self._gap_ms)
        self._heard = await self._in_call(self._hear()) or ""
        if self._call.over:
            return None
        return await self._in_call(self._mind.reply(self._heard))

    async def _hear(self) -> str:
        since, ear = self._heard_to_ms, self._call.ear
        audio, self._heard_to_ms = ear.audio, ear.heard_ms
        return await asyncio.to_thread(self._recognise, audio, list(ear.utterances), since)

    def _recognise(
        self, audio: npt.NDArray[np.int16], utterances: list[HeardUtterance], since_ms: int
    ) -> str:
        _, voice = find_fillers(audio, utterances)
        return self._ready.hearing.hear(voice[since_ms * EAR_HZ // 1000 :], EAR_HZ)

    async def _act(self, reply: PersonaReply) -> None:
        if reply.press:
            await self._make(Step(dtmf=KeyPresses(digits=reply.press)), reply.press)
        if reply.say:
            quiet_ms = min(max(self._call.ear.quiet_ms, self._gap_ms), _MOST_GAP_MS)
            await self._make(Step(say=Saying(text=reply.say, gap_ms=quiet_ms)), reply.say)
        if reply.interrupt and self._cuts_in_ms is not None and not reply.done:
            after = After(event="agent_audio_started", delay_ms=self._cuts_in_ms)
            step = Step(interrupt=Interruption(text=reply.interrupt, after=after))
            await self._make(step, reply.interrupt)

    async def _make(self, step: Step, text: str) -> None:
        """Do a step that was made up; one that could not be done leaves no trace."""
        index = len(self._steps)
        if step.dtmf is None:
            samples = await asyncio.to_thread(self._ready.say, text)
            self._speeches[index] = make_speech(text, samples)
        self._steps.append(step)
        done = len(self.deeds)
        await self._do(index, step)
        if len(self.deeds) == done:
            self._steps.pop()
            return
        does = "dtmf" if step.dtmf else "say" if step.say else "interrupt"
        after_ms = step.say.gap_ms if step.say else (self._cuts_in_ms or 0) if step.interrupt else 0
        heard, self._heard = self._heard, ""
        self._turns.append(PersonaTurn(heard, does, text, after_ms, self.deeds[-1].start_ms))

    async def _in_call(self, doing: Coroutine[Any, Any, T]) -> T | None:  # Any: as asyncio's own
        """Return what comes of something, or None where the call ends before it is done."""
        work = asyncio.ensure_future(doing)
        over = asyncio.ensure_future(self._call.until_over())
        try:
            await asyncio.wait({work, over}, return_when=asyncio.FIRST_COMPLETED)
            return None if self._call.over else work.result()
        finally:
            for task in (work, over):
                task.cancel()
            await asyncio.gather(work, over, return_exceptions=True)

    def _out_of_time(self) -> None:
        self._stop(Stop.SECONDS, "")
        self._call.hang_up()

    def _stop(self, stop: Stop, why: str) -> None:
        """Note why it stopped; the first reason counts."""
        if self._stopped is None and not (self._call.over and stop is not Stop.SECONDS):
            self._stopped = stop, why
