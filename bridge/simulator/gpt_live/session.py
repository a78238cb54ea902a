"""One client's GPT-Live session: it hears and speaks at once, on one timeline.

`PROTOCOL.md` section 11. Runs in the server's loop; all state belongs to one connection and changes
only between awaits. What takes time runs in tasks of the connection's group, under names.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TypeVar

from aiohttp import WSCloseCode

from bridge.realtime.events import ApiError
from bridge.simulator.agent import AgentReply, AgentToolUse, SimulatedAgent, ordered
from bridge.simulator.conversation import text_tokens
from bridge.simulator.faults import ConnectionFaults, Moment
from bridge.simulator.gpt_live.backend_stream import BackendStream, message_of
from bridge.simulator.gpt_live.config import LiveConfig, check_startable
from bridge.simulator.gpt_live.delegations import Delegation, Delegations
from bridge.simulator.gpt_live.shapes import ContextAppend, SessionStart
from bridge.simulator.gpt_live.timeline import Context, Outgoing, Timeline
from bridge.simulator.listening import Onset, SpeechPause
from bridge.simulator.names import new_name
from bridge.simulator.outbox import Close, Outbox
from bridge.simulator.reading import read_audio, read_request
from bridge.simulator.refusal import EventRefused, refuse
from bridge.simulator.scenario import SessionLimit
from bridge.simulator.shapes import Bare
from bridge.simulator.wire import WireObject

MOST_CONTEXT_TOKENS = 500
_START = "session.start"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Terms:
    """What a session may be.

    Attributes:
        lifetime_s: how long it may last.
        limit: how long without audio, and when its usage is reported.
        now_s: returns the time, Unix seconds.
    """

    lifetime_s: float
    limit: SessionLimit
    now_s: Callable[[], int]


@dataclass(frozen=True, slots=True)
class _Begun:
    """What there is once a session has started."""

    config: LiveConfig
    timeline: Timeline
    delegations: Delegations


class LiveSession:
    """A client's session.

    Args:
        agent: who answers.
        terms: what the session may be.
        outbox: takes events for the client.
        tasks: the connection's task group; what the session starts in it ends with :meth:`stop`.
        faults: those of the model.
    """

    def __init__(
        self,
        agent: SimulatedAgent,
        terms: Terms,
        outbox: Outbox,
        tasks: asyncio.TaskGroup,
        faults: ConnectionFaults,
    ) -> None:
        self._agent = agent
        self._terms = terms
        self._outbox = outbox
        self._tasks = tasks
        self._faults = faults
        self._running: set[asyncio.Task[object]] = set()
        self._answering: asyncio.Task[None] | None = None
        self._no_audio: asyncio.Task[None] | None = None
        self._voice = asyncio.Lock()
        self._begun: _Begun | None = None
        self._over = False
        self._anybody_spoke = False
        handlers: Mapping[str, Callable[[WireObject, _Begun], None]] = {
            "session.update": self._update,
            "session.input_audio.append": self._hear_audio,
            "session.input_audio.mute": self._mute,
            "session.input_audio.unmute": self._mute,
            "session.instructions.append": self._append_context,
            "session.thinking.append": self._append_context,
            "session.commentary.append": self._append_context,
            "response.item.create": self._create_item,
            "response.create": self._create_response,
            "session.close": self._close,
        }
        self._readers: Mapping[str, Callable[[WireObject], None]] = {
            _START: self._begin,
            **{kind: self._once_begun(handler) for kind, handler in handlers.items()},
        }

    def start(self) -> None:
        """Wait for ``session.start``: a client that says nothing gets nothing."""

    def stop(self) -> None:
        """Cancel what is still running."""
        for task in tuple(self._running):
            task.cancel()

    def receive(self, text: str) -> None:
        """Take one text frame from the client."""
        if self._over:
            return
        try:
            read_request(text, self._readers)
        except EventRefused as refused:
            self.report(refused.error)

    def receive_binary(self) -> None:
        """Refuse a binary frame."""
        if not self._over:
            self.report(refuse("invalid_event", "Events must be sent as text frames.").error)

    def report(self, error: ApiError) -> None:
        """Send the client an error."""
        said = {
            "type": error.type,
            "code": error.code or error.type,
            "message": error.message,
            "param": error.param,
            "client_event_id": error.client_event_id,
        }
        self._emit("error", error={key: value for key, value in said.items() if value is not None})

    def expire(self, _: str) -> None:
        """End the session because it has lasted as long as it may."""
        self._end("expired", None)

    # Beginning and end.

    def _begin(self, event: WireObject) -> None:
        if self._begun is not None:
            raise refuse("invalid_event", "The session has already been started.", "type")
        check_startable(event.get("session"))
        asked = SessionStart.model_validate(event)
        models = self._agent.scenario.models.live
        model = asked.session.model
        if not any(fnmatchcase(model, pattern) for pattern in models):
            what = f"The model '{model}' does not exist or you do not have access to it."
            raise refuse("model_not_found", what, "session.model")
        expires_at_s = self._now_s + int(self._terms.lifetime_s)
        config = LiveConfig(asked.session, new_name("live"), expires_at_s)
        timeline = Timeline(config.audio_format, self._faults.overrun_ms)
        self._begun = _Begun(config, timeline, Delegations(self._agent, config))
        self._anybody_spoke = bool(config.history)
        self._emit("session.started", client_event_id=asked.event_id, session=config.resource)
        self._no_audio = self._run(self._expire_unheard(), "no audio")
        self._run(self._report_usage(self._begun), "usage")

    def _once_begun(
        self, handler: Callable[[WireObject, _Begun], None]
    ) -> Callable[[WireObject], None]:
        def handle(event: WireObject) -> None:
            if self._begun is None:
                raise refuse("invalid_event", "The first event must be session.start.", "type")
            handler(event, self._begun)

        return handle

    async def _expire_unheard(self) -> None:
        await asyncio.sleep(self._terms.limit.no_audio_s)
        self._end("expired", None)

    async def _report_usage(self, begun: _Begun) -> None:
        while True:
            await asyncio.sleep(self._terms.limit.usage_every_s)
            seconds = begun.timeline.seconds
            ratio = min(1.0, seconds / self._terms.limit.context_s)
            self._emit(
                "session.usage.updated",
                usage={"seconds": seconds},
                context_window={"usage_ratio": ratio},
            )

    def _close(self, event: WireObject, begun: _Begun) -> None:
        Bare.model_validate(event)
        for context in begun.timeline.unplaced():
            what = "The context was not added before the session closed."
            error = refuse("context_injection_incomplete", what).error
            self.report(replace(error, client_event_id=context.event_id))
        self._end("close_requested", event.get("event_id"))

    def _end(self, reason: str, client_event_id: object) -> None:
        begun = self._begun
        if begun is not None:
            self._emit(
                "session.closed",
                client_event_id=client_event_id,
                reason=reason,
                session=begun.config.resource,
                usage={"seconds": begun.timeline.seconds},
            )
        self._over = True
        self._outbox.do(Close(WSCloseCode.OK, ""))
        self.stop()

    # Settings and context.

    def _update(self, event: WireObject, begun: _Begun) -> None:
        begun.config.update(event)
        self._emit(
            "session.updated",
            client_event_id=event.get("event_id"),
            session=begun.config.resource,
        )

    def _mute(self, event: WireObject, begun: _Begun) -> None:
        Bare.model_validate(event)
        begun.timeline.muted = event["type"] == "session.input_audio.mute"
        self._emit(f"{event['type']}d", client_event_id=event.get("event_id"))

    def _append_context(self, event: WireObject, begun: _Begun) -> None:
        asked = ContextAppend.model_validate(event)
        if text_tokens(asked.content) > MOST_CONTEXT_TOKENS:
            what = f"Invalid 'content': more than {MOST_CONTEXT_TOKENS} tokens."
            raise refuse("invalid_value", what, "content")
        begun.delegations.check(asked.delegation_id)
        channel = asked.type.split(".")[1]
        begun.timeline.place(Context(channel, asked.content, asked.delegation_id, asked.event_id))

    def _take_context(self, context: Context, begun: _Begun) -> None:
        """Act on a context that has its place now: only commentary, and an order, is spoken."""
        order = ordered(context.content)
        if order is not None:
            said: str | None = order
        elif context.channel != "commentary":
            return
        elif context.delegation_id is None and not self._anybody_spoke:
            said = self._agent.scenario.greeting
        else:
            said = begun.delegations.told(context.delegation_id, context.content)
        self._run(self._follow(AgentReply(said), begun), f"{context.channel} context")

    # Hearing and speaking.

    def _hear_audio(self, event: WireObject, begun: _Begun) -> None:
        audio_format = begun.config.audio_format
        samples = audio_format.decode(read_audio(event, audio_format))
        if self._no_audio is not None:
            self._no_audio.cancel()
        for step in begun.timeline.feed(samples):
            match step:
                case Onset():
                    if self._answering is not None:
                        self._answering.cancel()
                case SpeechPause():
                    self._anybody_spoke = True
                    hearing = self._run(self._hear(step, begun), "hear")
                    self._answering = self._run(self._answer(hearing, begun), "answer")
                case Context():
                    self._take_context(step, begun)
                case Outgoing():
                    self._send(step)

    async def _hear(self, pause: SpeechPause, begun: _Begun) -> str | None:
        heard = await self._agent.hear(pause.audio, begun.config.audio_format.rate_hz)
        for outgoing in begun.timeline.heard_words(pause, heard) if heard is not None else ():
            self._send(outgoing)
        return heard

    async def _answer(self, hearing: "asyncio.Task[str | None]", begun: _Begun) -> None:
        # Shielded: what the caller says next must not stop the transcription.
        heard = await asyncio.shield(hearing)
        failure = await self._faults.why_no_answer()
        await asyncio.sleep(self._agent.scenario.pacing.think_ms / 1000)
        if failure is not None:
            self.report(ApiError("server_error", message_of(failure), code=failure))
            return
        await self._follow(self._agent.answer(heard, begun.delegations.tools), begun)

    async def _follow(self, reply: AgentReply, begun: _Begun) -> None:
        """Say something, delegate something, or one after the other."""
        if reply.say is not None:
            self._anybody_spoke = True
            # One at a time: what was decided first is said first.
            async with self._voice:
                audio = await self._agent.speak(reply.say, begun.config.audio_format)
                begun.timeline.say(reply.say, audio)
        if reply.tool is not None:
            self._delegate(reply.tool, begun)

    # Delegation.

    def _delegate(self, use: AgentToolUse, begun: _Begun) -> None:
        work = begun.delegations.begin(use)
        stream = None
        told: WireObject = {"id": work.delegation_id, "type": "delegation", "target": "client"}
        if begun.config.backend is not None:
            stream = begun.delegations.stream(self._now_s)
            told |= {"target": "responses", "response_id": stream.response_id}
        self._emit(
            "session.delegation.created",
            frozenset({Moment.TOOL}),
            offset_ms=begun.timeline.frame_ms,
            delegation=told,
        )
        if stream is not None:
            self._call(stream, work)

    def _call(self, stream: BackendStream, work: Delegation) -> None:
        use = AgentToolUse(work.call.name, work.call.arguments)
        for event in (*stream.begin(), *stream.call(use, work.call.call_id), stream.complete()):
            self._pass_on(event, work.delegation_id)

    def _create_item(self, event: WireObject, begun: _Begun) -> None:
        begun.delegations.take_item(event)

    def _create_response(self, event: WireObject, begun: _Begun) -> None:
        Bare.model_validate(event)
        stream = begun.delegations.stream(self._now_s)
        delegation_id, reply = begun.delegations.go_on()
        self._run(self._respond(stream, delegation_id, reply, begun), "respond")

    async def _respond(
        self,
        stream: BackendStream,
        delegation_id: str | None,
        reply: AgentReply,
        begun: _Begun,
    ) -> None:
        for event in stream.begin():
            self._pass_on(event, delegation_id)
        failure = await self._faults.why_no_answer()
        await asyncio.sleep(self._agent.scenario.pacing.think_ms / 1000)
        if failure is not None:
            self._pass_on(stream.fail(failure), delegation_id)
            return
        for event in stream.write(reply.say) if reply.say is not None else ():
            self._pass_on(event, delegation_id)
        self._pass_on(stream.complete(), delegation_id)
        await self._follow(reply, begun)

    def _pass_on(self, event: WireObject, delegation_id: str | None) -> None:
        self._emit("response.event", delegation_id=delegation_id, event=event)

    # The way out.

    @property
    def _now_s(self) -> int:
        return self._terms.now_s()

    def _send(self, outgoing: Outgoing) -> None:
        if outgoing.kind == "session.output_audio.delta":
            # The only event without a name.
            self._outbox.put({"type": outgoing.kind, **outgoing.fields}, outgoing.moments)
        else:
            self._emit(outgoing.kind, outgoing.moments, **outgoing.fields)

    def _emit(self, kind: str, moments: frozenset[Moment] = frozenset(), **fields: object) -> None:
        written: WireObject = {"type": kind, "event_id": new_name("event"), **fields}
        if written.get("client_event_id", ...) is None:
            del written["client_event_id"]
        self._outbox.put(written, moments)

    def _run(self, work: Coroutine[None, None, T], name: str) -> asyncio.Task[T]:
        task = self._tasks.create_task(work, name=f"live {name}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task
