"""One client's GPT-Live session, from ``session.start`` to ``session.closed``.

`PROTOCOL.md` section 11. Runs in the server's loop; all state belongs to one connection and changes
only between awaits. What takes time runs in tasks of the connection's group, under names.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from aiohttp import WSCloseCode

from bridge.realtime.event_values import ApiError
from bridge.simulator.agent import SimulatedAgent
from bridge.simulator.channel import SessionTasks
from bridge.simulator.conversation import text_tokens
from bridge.simulator.fault_board import ConnectionFaults
from bridge.simulator.gpt_live.config import LiveConfig, check_startable
from bridge.simulator.gpt_live.exchange import LiveExchange
from bridge.simulator.gpt_live.shapes import ContextAppend, LiveSessionStart
from bridge.simulator.gpt_live.timeline import Context, Timeline
from bridge.simulator.gpt_live.way_out import WayOut
from bridge.simulator.names import new_name
from bridge.simulator.outbox import Outbox
from bridge.simulator.reading import read_audio, read_request
from bridge.simulator.refusal import EventRefused, refuse
from bridge.simulator.scenario import SessionLimit
from bridge.simulator.shapes import Bare
from bridge.simulator.wire import WireObject

MOST_CONTEXT_TOKENS = 500


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
    exchange: LiveExchange


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
        self._way = WayOut(outbox)
        self._tasks = SessionTasks(tasks)
        self._faults = faults
        self._begun: _Begun | None = None
        self._no_audio: asyncio.Task[None] | None = None
        self._over = False
        handlers: Mapping[str, Callable[[WireObject, _Begun], None]] = {
            "session.update": self._update,
            "session.input_audio.append": self._append_audio,
            "session.input_audio.mute": self._mute,
            "session.input_audio.unmute": self._mute,
            "session.instructions.append": self._append_context,
            "session.thinking.append": self._append_context,
            "session.commentary.append": self._append_context,
            "response.item.create": lambda event, begun: begun.exchange.create_item(event),
            "response.create": self._create_response,
            "session.close": self._close,
        }
        self._readers: Mapping[str, Callable[[WireObject], None]] = {
            "session.start": self._begin,
            **{kind: self._once_begun(handler) for kind, handler in handlers.items()},
        }

    def start(self) -> None:
        """Wait for ``session.start``: a client that says nothing gets nothing."""

    def stop(self) -> None:
        """Cancel what is still running."""
        self._tasks.stop()

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
        self._way.report(error)

    def expire(self, what: str) -> None:
        """End the session because it has lasted as long as it may: without words, here."""
        del what
        self._end("expired")

    def _begin(self, event: WireObject) -> None:
        if self._begun is not None:
            raise refuse("invalid_event", "The session has already been started.", "type")
        check_startable(event.get("session"))
        asked = LiveSessionStart.model_validate(event)
        model = asked.session.model
        if not any(fnmatchcase(model, each) for each in self._agent.scenario.models.live):
            what = f"The model '{model}' does not exist or you do not have access to it."
            raise refuse("model_not_found", what, "session.model")
        expires_at_s = self._terms.now_s() + int(self._terms.lifetime_s)
        config = LiveConfig(asked.session, new_name("live"), expires_at_s)
        timeline = Timeline(config.audio_format, self._faults.overrun_ms)
        exchange = LiveExchange(
            self._agent,
            config,
            timeline,
            self._way,
            self._tasks,
            self._faults,
            self._terms.now_s,
        )
        self._begun = _Begun(config, timeline, exchange)
        self._way.emit("session.started", client_event_id=asked.event_id, session=config.resource)
        self._no_audio = self._tasks.start(self._expire_unheard(), "live no audio")
        self._tasks.start(self._report_usage(timeline), "live usage")

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
        self._end("expired")

    async def _report_usage(self, timeline: Timeline) -> None:
        limit = self._terms.limit
        while True:
            await asyncio.sleep(limit.usage_every_s)
            usage = {"seconds": timeline.seconds}
            window = {"usage_ratio": min(1.0, timeline.seconds / limit.context_s)}
            self._way.emit("session.usage.updated", usage=usage, context_window=window)

    def _close(self, event: WireObject, begun: _Begun) -> None:
        event_id = Bare.model_validate(event).event_id
        for context in begun.timeline.unplaced():
            what = "The context was not added before the session closed."
            error = refuse("context_injection_incomplete", what).error
            self.report(replace(error, client_event_id=context.event_id))
        self._end("close_requested", event_id)

    def _end(self, reason: str, client_event_id: str | None = None) -> None:
        if self._over:
            return
        begun = self._begun
        if begun is not None:
            self._way.emit(
                "session.closed",
                client_event_id=client_event_id,
                reason=reason,
                session=begun.config.resource,
                usage={"seconds": begun.timeline.seconds},
            )
        self._over = True
        self._way.hang_up(WSCloseCode.OK)
        self.stop()

    def _update(self, event: WireObject, begun: _Begun) -> None:
        begun.config.update(event)
        event_id, session = event.get("event_id"), begun.config.resource
        self._way.emit("session.updated", client_event_id=event_id, session=session)

    def _mute(self, event: WireObject, begun: _Begun) -> None:
        asked = Bare.model_validate(event)
        begun.timeline.muted = asked.type == "session.input_audio.mute"
        self._way.emit(f"{asked.type}d", client_event_id=asked.event_id)

    def _append_audio(self, event: WireObject, begun: _Begun) -> None:
        audio_format = begun.config.audio_format
        samples = audio_format.decode(read_audio(event, audio_format))
        if self._no_audio is not None:
            self._no_audio.cancel()
        begun.exchange.hear(samples)

    def _append_context(self, event: WireObject, begun: _Begun) -> None:
        asked = ContextAppend.model_validate(event)
        if text_tokens(asked.content) > MOST_CONTEXT_TOKENS:
            what = f"Invalid 'content': more than {MOST_CONTEXT_TOKENS} tokens."
            raise refuse("invalid_value", what, "content")
        channel = asked.type.split(".")[1]
        begun.exchange.place(Context(channel, asked.content, asked.delegation_id, asked.event_id))

    def _create_response(self, event: WireObject, begun: _Begun) -> None:
        Bare.model_validate(event)
        begun.exchange.create_response()
