"""Hears and speaks in a GPT-Live session, and has work done in between.

`PROTOCOL.md` section 11. All state changes only between awaits; what takes time runs in tasks.
"""

import asyncio
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from bridge.realtime.event_values import ApiError
from bridge.realtime.items import Message, Role
from bridge.simulator.agent import AgentReply, AgentToolUse, SimulatedAgent, ordered
from bridge.simulator.channel import SessionTasks
from bridge.simulator.fault_board import ConnectionFaults
from bridge.simulator.faults import Moment
from bridge.simulator.gpt_live.backend_stream import BackendStream, message_of
from bridge.simulator.gpt_live.config import LiveConfig
from bridge.simulator.gpt_live.delegations import Delegation, Delegations
from bridge.simulator.gpt_live.timeline import Context, Outgoing, Timeline
from bridge.simulator.gpt_live.way_out import WayOut
from bridge.simulator.listening import Onset, SpeechPause
from bridge.simulator.wire import WireObject


class LiveExchange:
    """The conversation of one session that has started.

    Args:
        agent: who answers.
        config: of the session.
        timeline: of the session.
        way: to the client.
        tasks: of the session.
        faults: those of the model.
        now_s: returns the time, Unix seconds.
    """

    def __init__(
        self,
        agent: SimulatedAgent,
        config: LiveConfig,
        timeline: Timeline,
        way: WayOut,
        tasks: SessionTasks,
        faults: ConnectionFaults,
        now_s: Callable[[], int],
    ) -> None:
        self._agent = agent
        self._config = config
        self._timeline = timeline
        self._way = way
        self._tasks = tasks
        self._faults = faults
        self._now_s = now_s
        self._delegations = Delegations(agent, config)
        self._answering: asyncio.Task[None] | None = None
        self._ear = asyncio.Lock()
        self._voice = asyncio.Lock()
        self._anybody_spoke = bool(config.history)
        self._unanswered = _last_words(config.history)

    def hear(self, samples: NDArray[np.int16]) -> None:
        """Take input: (n,) int16 at the session's rate."""
        for step in self._timeline.feed(samples):
            match step:
                case Onset():
                    # Work that is delegated goes on; an answer that is yet to come does not.
                    if self._answering is not None:
                        self._answering.cancel()
                case SpeechPause():
                    self._anybody_spoke = True
                    hearing = self._tasks.start(self._recognise(step), "live hear")
                    self._answering = self._tasks.start(self._answer(hearing), "live answer")
                case Context():
                    self._take_context(step)
                case Outgoing():
                    self._way.send(step)

    def place(self, context: Context) -> None:
        """Take what is appended, and act on it once the timeline has come so far.

        Raises:
            EventRefused: it is about a delegation that it can't be about.
        """
        self._delegations.check(context.delegation_id)
        self._timeline.place(context)

    def create_item(self, event: WireObject) -> None:
        """Obey ``response.item.create``; raises EventRefused."""
        self._delegations.take_item(event)

    def create_response(self) -> None:
        """Obey ``response.create``; raises EventRefused."""
        stream = self._delegations.stream(self._now_s())
        delegation_id, reply = self._delegations.go_on()
        self._tasks.start(self._respond(stream, delegation_id, reply), "live respond")

    async def _recognise(self, pause: SpeechPause) -> str | None:
        # One at a time: transcripts come in the order of the talk.
        async with self._ear:
            heard = await self._agent.hear(pause.audio, self._config.audio_format.rate_hz)
        for outgoing in self._timeline.heard_words(pause, heard) if heard is not None else ():
            self._way.send(outgoing)
        return heard

    async def _answer(self, hearing: "asyncio.Task[str | None]") -> None:
        # Shielded: what the caller says next must not stop the transcription.
        heard = await asyncio.shield(hearing)
        failure = await self._think()
        if failure is not None:
            self._unanswered = heard
            self._way.report(ApiError("server_error", message_of(failure), code=failure))
            return
        await self._follow(self._agent.answer(heard, self._delegations.tools))

    async def _think(self) -> str | None:
        """Take the model's time; return why it does not answer, if it doesn't."""
        failure = await self._faults.why_no_answer()
        await asyncio.sleep(self._agent.scenario.pacing.think_ms / 1000)
        return failure

    async def _follow(self, reply: AgentReply) -> None:
        """Say something, delegate something, or one after the other."""
        self._unanswered = None
        if reply.say is not None:
            self._anybody_spoke = True
            # One at a time: what was decided first is said first.
            async with self._voice:
                audio = await self._agent.speak(reply.say, self._config.audio_format)
                self._timeline.say(reply.say, audio)
        if reply.tool is not None:
            self._delegate(reply.tool)

    def _take_context(self, context: Context) -> None:
        """Act on a context that has its place now: commentary is said, and an order's words."""
        said = None if context.channel == "thinking" else ordered(context.content)
        if said is None and context.channel != "commentary":
            return
        reply = self._reply_to(context) if said is None else AgentReply(said)
        self._tasks.start(self._follow(reply), f"live {context.channel}")

    def _reply_to(self, context: Context) -> AgentReply:
        """Return what a commentary makes the agent do.

        Where nobody has spoken it greets; where it owes the caller an answer, it gives that.
        """
        if context.delegation_id is None and not self._anybody_spoke:
            return AgentReply(self._agent.scenario.greeting)
        if context.delegation_id is None and self._unanswered is not None:
            return self._agent.answer(self._unanswered, self._delegations.tools)
        return AgentReply(self._delegations.words_for(context.delegation_id, context.content))

    def _delegate(self, use: AgentToolUse) -> None:
        work = self._delegations.begin(use)
        stream = None
        described: WireObject = {"id": work.delegation_id, "type": "delegation", "target": "client"}
        if self._config.backend is not None:
            stream = self._delegations.stream(self._now_s())
            described |= {"target": "responses", "response_id": stream.response_id}
        offset_ms = self._timeline.frame_ms
        self._way.emit(
            "session.delegation.created", Moment.TOOL, offset_ms=offset_ms, delegation=described
        )
        if stream is not None:
            self._call(stream, work)

    def _call(self, stream: BackendStream, work: Delegation) -> None:
        use = AgentToolUse(work.call.name, work.call.arguments)
        for event in (*stream.begin(), *stream.call(use, work.call.call_id), stream.complete()):
            self._pass_on(event, work.delegation_id)

    async def _respond(
        self, stream: BackendStream, delegation_id: str | None, reply: AgentReply
    ) -> None:
        for event in stream.begin():
            self._pass_on(event, delegation_id)
        failure = await self._think()
        if failure is not None:
            self._pass_on(stream.fail(failure), delegation_id)
            return
        for event in stream.write(reply.say) if reply.say is not None else ():
            self._pass_on(event, delegation_id)
        self._pass_on(stream.complete(), delegation_id)
        await self._follow(reply)

    def _pass_on(self, event: WireObject, delegation_id: str | None) -> None:
        self._way.emit("response.event", delegation_id=delegation_id, event=event)


def _last_words(history: Sequence[Message]) -> str | None:
    """Return the caller's words that nobody has answered, of a talk that came before."""
    if not history or history[-1].role is not Role.USER:
        return None
    return history[-1].parts[0].text
