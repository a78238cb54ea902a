"""A call on the clock: its markers and words, and the first thing that went wrong. Pure.

The scale is fixed (pixels a second), so that both arms' calls lie under one clock and markers can
be packed into rows here, and not in the browser.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from bridge.replay.checks.check import Check, CheckStatus
from bridge.replay.results.detail import Marker, TranscriptTurn
from bridge.replay.results.run import RunInfo, RunVerdict
from bridge.speech.words import words_of

_LEAD_IN_MS = 1000

MARKER_PX = 24
"""Width and height of a marker: the smallest target that a finger hits (WCAG 2.2, 2.5.8)."""

_FITS_PX = 840
_LEAST_PX_PER_S, _MOST_PX_PER_S = 24.0, 64.0
_STEPS_S = (1, 2, 5, 10, 30, 60)
_TICK_PX = 56

KINDS = {
    "speech_started": ("[", "speech starts"),
    "speech_stopped": ("]", "speech stops"),
    "committed": ("⇥", "input committed"),
    "response_created": ("◇", "response created"),
    "first_delta": ("◆", "first audio delta"),
    "first_rtp": ("♪", "first RTP out"),
    "interrupt": ("!", "interruption"),
    "truncate": ("✂", "truncate"),
    "tool_started": ("⚙", "tool starts"),
    "tool_ended": ("⚑", "tool ends"),
    "dtmf": ("#", "keys"),
    "filler": ("~", "waiting tone or phrase"),
    "transfer": ("⇄", "transfer"),
    "hangup": ("⊗", "hang-up"),
}
"""Sign and name of each kind of marker."""


@dataclass(frozen=True, slots=True)
class MarkerFlag:
    """A marker as it is drawn.

    Attributes:
        left_px: of its middle.
        row: from the lanes upwards, from 0.
    """

    at_ms: float
    left_px: float
    row: int
    lane: str
    sign: str
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Caption:
    """Words as they stand on the clock."""

    speaker: str
    left_px: float
    width_px: float
    text: str


@dataclass(frozen=True, slots=True)
class Scale:
    """The clock that all calls of a script share."""

    length_ms: float
    px_per_s: float

    @classmethod
    def of(cls, length_ms: float) -> "Scale":
        """Choose one on which a short call fills a laptop's window."""
        length_ms = max(1000.0, length_ms)
        fitting = _FITS_PX * 1000 / length_ms
        return cls(length_ms, min(_MOST_PX_PER_S, max(_LEAST_PX_PER_S, fitting)))

    def px(self, at_ms: float) -> float:
        """Return where a moment is."""
        return round(at_ms * self.px_per_s / 1000, 1)

    @property
    def width_px(self) -> int:
        """Of the whole clock."""
        return int(self.px(self.length_ms)) + MARKER_PX

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Where seconds are written, and how."""
        step_s = next((s for s in _STEPS_S if s * self.px_per_s >= _TICK_PX), _STEPS_S[-1])
        count = int(self.length_ms / 1000 / step_s) + 1
        return [(self.px(1000 * step_s * n), _tick_text(step_s * n)) for n in range(count)]


def clock_text(at_ms: float) -> str:
    """Return a moment of a call as ``8.4 s`` or ``2:05``; before the answer it is negative."""
    tenths = round(at_ms / 100)
    if tenths < 600:
        return f"{tenths / 10:.1f} s".replace("-", "−")
    minutes, seconds = divmod(at_ms / 1000, 60)
    return f"{minutes:.0f}:{int(seconds):02d}"


def _tick_text(at_s: int) -> str:
    return f"{at_s} s" if at_s < 60 else f"{at_s // 60}:{at_s % 60:02d}"


def place_flags(markers: Iterable[Marker], scale: Scale) -> tuple[MarkerFlag, ...]:
    """Put markers into as few rows as keep them apart; those before the answer stand at 0."""
    free_px: list[float] = []
    flags = []
    for marker in sorted(markers, key=lambda marker: marker.at_ms):
        left_px = scale.px(max(0.0, min(marker.at_ms, scale.length_ms)))
        row = next((row for row, free in enumerate(free_px) if free <= left_px), len(free_px))
        free_px[row : row + 1] = [left_px + MARKER_PX]
        sign, name = KINDS.get(marker.kind, ("•", marker.kind.replace("_", " ")))
        flags.append(MarkerFlag(marker.at_ms, left_px, row, marker.lane, sign, name, marker.text))
    return tuple(flags)


def place_captions(turns: Sequence[TranscriptTurn], scale: Scale) -> tuple[Caption, ...]:
    """Put the words on the clock; a turn that overlaps the next of its speaker ends there."""
    captions = []
    for speaker in ("caller", "agent"):
        of = sorted((t for t in turns if t.speaker == speaker), key=lambda turn: turn.start_ms)
        for turn, after in zip(of, [*of[1:], None], strict=False):
            end_ms = turn.end_ms if after is None else min(turn.end_ms, after.start_ms)
            # A recogniser that made nothing of it leaves marks, and no words.
            heard = turn.text if turn.text and words_of(turn.text) else None
            text = heard or turn.reference or turn.text or "(speech)"
            width_px = max(0.0, scale.px(end_ms) - scale.px(turn.start_ms))
            captions.append(Caption(speaker, scale.px(turn.start_ms), width_px, text))
    return tuple(captions)


@dataclass(frozen=True, slots=True)
class Mishap(Check):
    """The first check of a call that went wrong; without words of its own where no check did.

    Attributes:
        more: other checks that failed.
    """

    more: int = 0

    @property
    def when(self) -> str:
        """Where it was in the call."""
        return "" if self.at_ms is None else clock_text(self.at_ms)

    @property
    def play_from_ms(self) -> int:
        """A moment before it, so that a listener gets into it."""
        return max(0, (self.at_ms or 0) - _LEAD_IN_MS)


def find_mishap(info: RunInfo, checks: Sequence[Check]) -> Mishap | None:
    """Return what the verdict of a call was given for; None for a pass."""
    if info.verdict is RunVerdict.PASS:
        return None
    wanted = CheckStatus.FAIL if info.verdict is RunVerdict.FAIL else CheckStatus.INCONCLUSIVE
    broken = [check for check in checks if check.status is wanted]
    if not broken:
        return Mishap(None, "", "", info.reason, wanted, info.at_ms)
    # The line that the verdict was given for, where the checks have it.
    first = next((check for check in broken if str(check) == info.reason), broken[0])
    return Mishap(**asdict(first), more=len(broken) - 1)
