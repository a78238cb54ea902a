"""Keys pressed by the far end, published once each: by RTP (RFC 4733), by SIP INFO, or by both.

One press is many packets of one event, whose RTP timestamp is its begin (RFC 4733 section 2.5.1.2),
or one INFO. PJSIP distinguishes an event's packets by their duration alone, and takes one that came
late for another press; the timestamp says better. Phones that are set to send both ways send each
press twice: then presses of one key are paired across the two ways, in order. Loop's thread.
"""

from collections import deque
from dataclasses import dataclass

from bridge.clock import NS_PER_MS, Clock
from bridge.telemetry.labels import DtmfMethod

KEYS = frozenset("0123456789*#ABCD")

_GAP_MS = 20
"""A press that begins within a packet's length of the one before, which has not ended, is that one:
the next segment of a long one (RFC 4733 section 2.5.1.3), or of a sender that moves the timestamp
on. Fingers leave 40 ms (ITU-T Q.24)."""

_PAIR_NS = 2_000 * NS_PER_MS
"""An INFO comes when its key goes down, or with its length when it comes up; plus a retransmission
(RFC 3261 section 17.1.2.2, timer E: 0.5 s)."""


@dataclass(frozen=True, slots=True)
class KeyPress:
    """A key.

    Attributes:
        digit: ``0-9 * # A-D``.
        method: how it was sent.
        repeated: it was sent before, by the other method.
    """

    digit: str
    method: DtmfMethod
    repeated: bool = False


@dataclass(slots=True, eq=False)
class _Press:
    """A press that may come again by the other method, until a while after ``seen_ns``."""

    digit: str
    method: DtmfMethod
    seen_ns: int


@dataclass(slots=True)
class _Event:
    digit: str
    begins_ms: int
    ends_ms: int
    ended: bool
    press: _Press


class KeyFilter:
    """Keeps the presses of one call apart."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._event: _Event | None = None
        self._begins_ms: deque[int] = deque(maxlen=8)
        self._unpaired: deque[_Press] = deque(maxlen=32)

    def on_event(
        self, digit: str, timestamp_ms: int, duration_ms: int, ended: bool
    ) -> KeyPress | None:
        """Take a packet of an RFC 4733 event; None where it brings nothing new.

        Args:
            digit: the event.
            timestamp_ms: its begin, by the RTP clock.
            duration_ms: its length so far.
            ended: it is over.
        """
        if digit not in KEYS:
            return None
        event, known = self._event, timestamp_ms in self._begins_ms
        if event is not None and (known or _goes_on(event, digit, timestamp_ms)):
            if not known:
                self._begins_ms.append(timestamp_ms)
            if timestamp_ms >= event.begins_ms:  # else a late packet of a press before it
                event.ends_ms = max(event.ends_ms, timestamp_ms + duration_ms)
                event.ended = event.ended or ended
                event.press.seen_ns = self._clock.now_ns()
            return None
        self._begins_ms.append(timestamp_ms)
        press = _Press(digit, DtmfMethod.RFC4733, self._clock.now_ns())
        self._event = _Event(digit, timestamp_ms, timestamp_ms + duration_ms, ended, press)
        return self._press(press)

    def on_info(self, digit: str) -> KeyPress:
        """Take an INFO; its retransmissions end in PJSIP's transaction."""
        return self._press(_Press(digit, DtmfMethod.INFO, self._clock.now_ns()))

    def _press(self, press: _Press) -> KeyPress:
        for other in self._unpaired:
            same_press = other.digit == press.digit and other.method is not press.method
            if same_press and press.seen_ns - other.seen_ns <= _PAIR_NS:
                self._unpaired.remove(other)
                return KeyPress(press.digit, press.method, repeated=True)
        self._unpaired.append(press)
        return KeyPress(press.digit, press.method)


def _goes_on(event: _Event, digit: str, timestamp_ms: int) -> bool:
    return (
        not event.ended
        and event.digit == digit
        and event.begins_ms <= timestamp_ms <= event.ends_ms + _GAP_MS
    )
