"""A call without a phone: the core and its sessions as in a live call, and a caller of the test's.

What the caller says goes up ten times as fast as in real life; what the agent says is heard at
once. Everything between the core and the socket is the product's own.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

from bridge.audio.ledger import PlayoutDrained, PlayoutStarted
from bridge.audio.sounds import SoundStarted, SoundStopped
from bridge.clock import SystemClock
from bridge.config.settings import SessionSettings
from bridge.engine.core import CallCore
from bridge.engine.effects import (
    AnswerCall,
    Effect,
    FlushPlayout,
    PlayAudio,
    SendKeptAudio,
)
from bridge.engine.inputs import CallAnswered, CallOffered, SessionFailed, ShutdownRequested
from bridge.engine.media import AudioAppended, LastSoundSent, PlayoutFlushed
from bridge.engine.policy import CallPolicy
from bridge.errors import UpstreamError
from bridge.live.driver import CallTimers, CoreDriver, Handlers
from bridge.live.services import Arm, Route, Services
from bridge.live.upstream.listener import SessionNews
from bridge.live.upstream.models import ArmModel
from bridge.live.upstream.sessions import Upstream
from bridge.realtime.dialects import DIALECTS
from bridge.realtime.events import ServerEvent
from bridge.routing.models import Dialplan
from bridge.session.access import Access
from bridge.session.realtime import Endpoint
from bridge.session.tokens import DirectKey, FixedAccess
from bridge.telemetry.metrics import Metrics
from tests.live.word_service import PIECE_MS, SILENCE, word

FASTER = 10
_HANGOVER_PIECES = 15
_ANSWER_HEARD_S = 0.05


class Talker:
    """One call.

    Attributes:
        effects: all of the core's, in order.
    """

    def __init__(
        self, url: str, dialect: str, policy: CallPolicy, agent: dict[str, object]
    ) -> None:
        plan = Dialplan.model_validate(
            {
                "schema": "dialplan/v1",
                "name": "test",
                "match": [{"called": "*"}],
                "arm": "peer",
                "agent": {"instructions": "Be a test.", **agent},
            }
        )
        choice = ArmModel(Endpoint(url, "m"), DirectKey(FixedAccess(Access())))
        route = Route(plan, Arm("peer", DIALECTS[dialect](), (choice,)), (choice,))
        self.clock = SystemClock()
        services = SimpleNamespace(
            clock=self.clock,
            metrics=Metrics("test"),
            session=SessionSettings(close_timeout_s=1),
            append_ms=PIECE_MS,
            wire_log_of=lambda name: None,
        )
        self._upstream = Upstream(
            route,
            cast(Services, services),  # what sessions take of them
            self,
            "talker",
            kept_ms=policy.recovery.kept_audio_ms,
        )
        self.effects: list[Effect] = []
        self._driver = CoreDriver(CallCore(policy, lambda: 0.0), self.clock, "talker")
        self.feed = self._driver.feed
        self._timers = CallTimers(self.feed)
        self.answered = asyncio.Event()
        self._words: list[int] = []
        self._heard: asyncio.TimerHandle | None = None
        self._quiet = _HANGOVER_PIECES
        known: dict[type[Effect], Callable[[Any], None]] = {
            **self._upstream.effects,
            SendKeptAudio: self._send_kept,
            AnswerCall: lambda _: self._answer(),
            PlayAudio: self._play,
            FlushPlayout: lambda _: self._driver.put_first(PlayoutFlushed(())),
            **self._timers.effects,
        }
        noted = defaultdict[type[Effect], Callable[[Any], None]](lambda: lambda _: None)
        for kind, carry_out in known.items():
            noted[kind] = carry_out
        self._handlers = _Noted(noted, self.effects, self._upstream.fail)
        self._driver.attach(self._handlers)

    def of(self, kind: type[Effect]) -> list[Any]:  # Any: of that kind
        """Return the effects of a kind."""
        return [effect for effect in self.effects if isinstance(effect, kind)]

    def say(self, words: range) -> None:
        """Queue words, each 20 ms long."""
        self._words += words

    async def run(self) -> None:
        """Send the caller's audio, for ever."""
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        while True:
            self._send_piece()
            due_s = max(due_s + PIECE_MS / 1000 / FASTER, loop.time() - 0.05)
            await asyncio.sleep(max(0.0, due_s - loop.time()))

    def _send_piece(self) -> None:
        now_ns = self.clock.now_ns()
        if self._words:
            audio = word(self._words.pop(0))
            if self._quiet >= _HANGOVER_PIECES:
                self.feed(SoundStarted(now_ns))
            self._quiet = 0
        else:
            audio, self._quiet = SILENCE, self._quiet + 1
            if self._quiet == _HANGOVER_PIECES:
                self.feed(SoundStopped(now_ns))
        sent_ms = self._upstream.append(audio, now_ns)
        if sent_ms is not None:
            appended = self._driver.appended
            appended.ms, appended.captured_ns = sent_ms, now_ns
            appended.pieces += 1

    async def aclose(self) -> None:
        """End the call."""
        self.feed(ShutdownRequested())
        self._timers.close()
        if self._heard is not None:
            self._heard.cancel()
        await self._upstream.aclose()

    def _answer(self) -> None:
        self._driver.put(CallAnswered())
        self.answered.set()

    def _send_kept(self, effect: SendKeptAudio) -> None:
        sent_ms = self._upstream.send_kept(effect)
        self._driver.put(AudioAppended(sent_ms, self.clock.now_ns(), pieces=0))

    def _play(self, effect: PlayAudio) -> None:
        now_ns = self.clock.now_ns()
        self._driver.put(PlayoutStarted(effect.item_id, effect.content_index, now_ns, now_ns))
        if self._heard is not None:
            self._heard.cancel()
        loop = asyncio.get_running_loop()
        self._heard = loop.call_later(_ANSWER_HEARD_S, self.feed, PlayoutDrained())

    # Listener of the sessions

    def on_server_event(self, event: ServerEvent, received_ns: int) -> None:
        """Take an event."""
        self.feed(event, received_ns)

    def on_session(self, news: SessionNews) -> None:
        """Take the begin or the end of a session."""
        self.feed(news)

    def on_session_taken(self, *news: object) -> None:
        """Take note of nothing."""

    def on_arm_switched(self, *news: object) -> None:
        """Take note of nothing."""

    def on_audio_lost(self, *news: object) -> None:
        """Take note of nothing."""

    def on_oddity(self, kind: str) -> None:
        """Take note of nothing."""

    def on_uplink(self, added_ns: int) -> None:
        """Take note of nothing."""

    def on_last_sound_sent(self, event: LastSoundSent) -> None:
        """Take how a sound went up."""
        self.feed(event)


class _Noted(Handlers):
    """Carries effects out, and notes them."""

    def __init__(
        self,
        known: defaultdict[type[Effect], Callable[[Any], None]],
        effects: list[Effect],
        fail: Callable[[UpstreamError], SessionFailed],
    ) -> None:
        super().__init__({}, fail)
        self._known, self._effects = known, effects

    def __getitem__(self, kind: type[Effect]) -> Callable[[Any], None]:
        def carry_out(effect: Effect) -> None:
            self._effects.append(effect)
            self._known[kind](effect)

        return carry_out


@asynccontextmanager
async def talker(
    url: str, dialect: str, policy: CallPolicy, **agent: object
) -> AsyncIterator[Talker]:
    """Place a call and wait for its session; ``agent`` is of its dialplan."""
    call = Talker(url, dialect, policy, agent)
    call.feed(CallOffered())
    sending: asyncio.Task[None] | None = None
    try:
        await asyncio.wait_for(call.answered.wait(), 5)
        sending = asyncio.create_task(call.run())
        yield call
    finally:
        if sending is not None:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        await call.aclose()
