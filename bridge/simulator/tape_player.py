"""Plays one session of a tape to one client, which need not do all as it did then. Pure.

What was received is served in its order. An event is due once the client has sent what it had sent
before it, and as much audio since then, and no sooner than it came: so the play keeps to the
client's pace, not to the clock. A command that does not come when it came then is waited for up to
:data:`PATIENCE_NS`; one that was never sent before is left unanswered.
:mod:`bridge.replay.checks.divergence` finds which ones those are, by comparing both wire logs.

Names that the client gives (of its events and items) differ from call to call: what is served has
today's. ``expires_at`` is as far off as it was then.
"""

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from bridge.clock import NS_PER_MS, NS_PER_S
from bridge.simulator.tape import APPEND, TapeEvent

PATIENCE_NS = 3 * NS_PER_S
"""For a command that the client had sent. Longer than anything that a gateway thinks about, shorter
than what a caller takes for the end of the line."""

TICK_NS = 5 * NS_PER_MS
"""How often what is due is looked for: finer than the 10 ms in which the gateway moves audio."""

_BYTES_PER_MS = 48
_NAMED_BY_CLIENT = ("event_id", "id")

Sound = Callable[[str, int], bytes]
"""Returns so many bytes more of an item's speech."""


@dataclass(slots=True)
class _Moment:
    """What due times count from, on the tape and now; audio in ms of what was sent by then."""

    taped_ns: int
    now_ns: int
    taped_audio_ms: float = 0.0
    audio_ms: float = 0.0


class TapePlayer:
    """Plays one session of a tape.

    Args:
        events: of the session.
        sound: gives the sound that the tape lacks.
        now_ns: monotonic; the client has just connected.
        wall_ns: the same by the wall clock.
    """

    def __init__(
        self, events: Sequence[TapeEvent], sound: Sound, now_ns: int, wall_ns: int
    ) -> None:
        self._events = events
        self._sound = sound
        self._later_by_ns = wall_ns - events[0].at_ns
        self._place = 0
        self._taped_audio_ms = 0.0
        self._audio_ms = 0.0
        self._since = _Moment(events[0].at_ns, now_ns)
        self._waits_since_ns: int | None = None
        self._done: dict[int, tuple[int, float]] = {}
        self._names: dict[str, str] = {}

    def is_over(self, now_ns: int) -> bool:
        """Return whether all of it was served, and the client has sent all that it had sent."""
        return self._place == len(self._events) and self._is_due(self._events[-1], now_ns)

    def feed(self, frame: str, now_ns: int) -> None:
        """Take what the client sent."""
        try:
            given = json.loads(frame)
        except ValueError:
            return
        if not isinstance(given, dict):
            return
        if given.get("type") == APPEND:
            audio = given.get("audio")
            size = len(audio) * 3 // 4 if isinstance(audio, str) else 0
            self._audio_ms += size / _BYTES_PER_MS
            return
        for place, event in enumerate(self._events):
            if event.is_sent and event.type == given.get("type") and place not in self._done:
                self._done[place] = now_ns, self._audio_ms
                self._learn_names(event.raw, given)
                return

    def take(self, now_ns: int) -> list[str]:
        """Return the frames that are due."""
        frames = []
        while self._place < len(self._events) and self._passes(self._events[self._place], now_ns):
            event = self._events[self._place]
            self._place += 1
            if not event.is_sent:
                frames.append(self._frame(event))
        return frames

    def _passes(self, event: TapeEvent, now_ns: int) -> bool:
        if not event.is_sent:
            return self._is_due(event, now_ns)
        if event.type == APPEND:
            self._taped_audio_ms += event.audio_ms
            return True
        done = self._done.get(self._place)
        if done is None:
            if self._waits_since_ns is None:
                # What the client does by itself, as after a silence, comes in its own time.
                due_ns = self._since.now_ns + event.at_ns - self._since.taped_ns
                self._waits_since_ns = max(now_ns, due_ns)
            if now_ns - self._waits_since_ns < PATIENCE_NS:
                return False
            done = now_ns, self._audio_ms
            self._done[self._place] = done
        self._waits_since_ns = None
        self._since = _Moment(event.at_ns, done[0], self._taped_audio_ms, done[1])
        return True

    def _is_due(self, event: TapeEvent, now_ns: int) -> bool:
        since = self._since
        heard_ms = self._audio_ms - since.audio_ms
        return (
            now_ns - since.now_ns >= event.at_ns - since.taped_ns
            and heard_ms + 1 >= self._taped_audio_ms - since.taped_audio_ms
        )

    def _learn_names(self, taped: object, given: object) -> None:
        if not isinstance(taped, dict) or not isinstance(given, dict):
            return
        for key, then in taped.items():
            now = given.get(key)
            if key in _NAMED_BY_CLIENT and isinstance(then, str) and isinstance(now, str):
                self._names[then] = now
            else:
                self._learn_names(then, now)

    def _frame(self, event: TapeEvent) -> str:
        if not event.type:
            return "{"  # a frame that was no JSON is not in the log
        item_id = event.raw.get("item_id")
        served = self._served("", event.raw, item_id if isinstance(item_id, str) else "")
        return json.dumps(served, ensure_ascii=False)

    def _served(self, key: str, value: JsonValue, item_id: str) -> JsonValue:
        match value:
            case {"bytes": int(size), "ms": int() | float(), **rest} if not rest:
                return base64.b64encode(self._sound(item_id, size)).decode()
            case dict():
                return {name: self._served(name, each, item_id) for name, each in value.items()}
            case list():
                return [self._served(key, each, item_id) for each in value]
            case str():
                return self._names.get(value, value)
            case int() | float() if key == "expires_at" and value:
                return round(value + self._later_by_ns / NS_PER_S)
            case _:
                return value
