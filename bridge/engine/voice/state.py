"""The state of the bridge's own voice: its phrases, the filler, and the waits that these fill.

The fields of :class:`AgentWait` are written by its methods alone. Times are monotonic ns.
"""

import enum
from collections import deque
from dataclasses import dataclass, field

from bridge.clock import NS_PER_MS
from bridge.engine.timers import Timer
from bridge.realtime.ids import ItemId


class Filler(enum.Enum):
    """The sound that fills a silence."""

    TONE = enum.auto()
    PHRASE = enum.auto()


class AgentWait:
    """The caller's wait for the agent, from which the filler's time counts."""

    __slots__ = ("_since_ns",)

    def __init__(self) -> None:
        self._since_ns: int | None = None

    def begin(self, since_ns: int) -> None:
        """Count from ``since_ns`` on, whatever was waited before."""
        self._since_ns = since_ns

    def go_on(self, now_ns: int) -> None:
        """Count on; from now where the caller did not wait."""
        if self._since_ns is None:
            self._since_ns = now_ns

    def end(self) -> None:
        """Note that the caller doesn't wait."""
        self._since_ns = None

    def waited_ms(self, now_ns: int) -> int:
        """Return for how long the caller has waited; 0 where they don't wait."""
        return 0 if self._since_ns is None else (now_ns - self._since_ns) // NS_PER_MS


@dataclass(frozen=True, slots=True)
class Phrase:
    """Something for the bridge itself to say; ``protected`` from the caller's speech."""

    text: str
    protected: bool


@dataclass(slots=True)
class OwnSpeech:
    """The state of the bridge's own phrases in a call.

    Attributes:
        count: phrases so far.
        waiting: phrases that wait for the end of a response whose audio is still coming in.
        pending: phrases in the playout that were not heard to their end, by item.
        protected: items that the caller does not cut, the agent's among them.
        protects_next: the next response is protected (the greeting).
        greets: the greeting was said in the agent's place, and not heard yet.
        sounding: the item that is being heard.
    """

    count: int = 0
    waiting: deque[Phrase] = field(default_factory=deque)
    pending: dict[ItemId, str] = field(default_factory=dict)
    protected: set[ItemId] = field(default_factory=set)
    protects_next: bool = False
    greets: bool = False
    sounding: ItemId | None = None

    @property
    def going_on(self) -> bool:
        """Whether a phrase is being heard, or waits to be."""
        return bool(self.pending or self.waiting)

    def says(self, text: str | None) -> bool:
        """Return whether a phrase is being heard, or waits to be."""
        return text in self.pending.values() or any(text == each.text for each in self.waiting)

    def sounds(self, text: str | None) -> bool:
        """Return whether a phrase is being heard."""
        return self.sounding is not None and self.pending.get(self.sounding) == text

    def hears(self, item_id: ItemId) -> None:
        """Note what the caller hears now; the item before it is over."""
        if self.sounding is not None and self.sounding != item_id:
            self.pending.pop(self.sounding, None)
            self.protected.discard(self.sounding)
        self.sounding = item_id

    def over(self) -> None:
        """Note that nothing is left in the playout."""
        self.pending.clear()
        self.protected.clear()
        self.sounding = None


@dataclass(slots=True)
class DeadAirState:
    """The times of apology and offer, and the time in which a waiting caller hears nothing.

    Attributes:
        since_ns: begin of the present wait; None while nobody waits.
        spoken_ns: when the apology, and the offer, were made last, by the timer of each.
        hush_ns: since when the waiting caller hears nothing at all.
        heard_ns: when they heard something last; ``sounded``: they did at the input before.
        cause: what that silence waits for.
        offered: a person was offered.
    """

    since_ns: int | None = None
    spoken_ns: dict[Timer, int] = field(default_factory=dict)
    hush_ns: int | None = None
    heard_ns: int = 0
    sounded: bool = False
    cause: str = ""
    offered: bool = False
