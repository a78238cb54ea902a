"""Matches the session's answers with the agent's turns in which they were heard. Pure.

The wire log has when an item's audio came and how long it is. Items are heard one after the
other, each as long as its audio lasts, until an interruption cuts them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from bridge.replay.checks.protocol import common_name
from bridge.replay.evidence.evidence import WireEvent
from bridge.replay.json_fields import number_of

_HEARD_MS = 250.0
"""A shorter overlap of item and turn is what two clocks differ by, not speech."""
_ASTRAY_MS = 1_500.0
"""How far a turn may be from the item that it is of: the phone's audio clock falls behind the wall
clock on a busy machine."""

_WORDS = "session.output_transcript.delta"
_PAUSE_MS = 800.0

_CUTS = ("response.cancel", "conversation.item.truncate")


@dataclass(frozen=True, slots=True)
class HeardItem:
    """An answer, and when it can have been heard."""

    item_id: str
    text: str
    start_ms: float
    end_ms: float

    def overlap_ms(self, start_ms: float, end_ms: float) -> float:
        """Return how long both last together."""
        return min(self.end_ms, end_ms) - max(self.start_ms, start_ms)


def heard_items(wire: Sequence[WireEvent], silenced_ms: Sequence[float] = ()) -> list[HeardItem]:
    """Return the items that have words and can have been heard, in the order of time.

    Args:
        silenced_ms: when the gateway silenced the agent; not every service learns of it.
    """
    came: dict[str, list[tuple[float, float]]] = {}
    pieces: dict[str, str] = {}
    wholes: dict[str, str] = {}
    cuts = list(silenced_ms)
    for event in wire:
        name, item_id = common_name(event.type), str(event.raw.get("item_id"))
        if name == "response.output_audio.delta":
            came.setdefault(item_id, []).append((event.at_ms, _length_ms(event.raw.get("delta"))))
        elif name == "response.output_audio_transcript.delta":
            pieces[item_id] = pieces.get(item_id, "") + str(event.raw.get("delta", ""))
        elif name == "response.output_audio_transcript.done":
            wholes[item_id] = str(event.raw.get("transcript", ""))
        elif event.direction == "sent" and name in _CUTS:
            cuts.append(event.at_ms)
    found: list[HeardItem] = []
    free_ms = float("-inf")
    for item_id, audio in came.items():
        start_ms = max(audio[0][0], free_ms)
        end_ms = start_ms
        for at_ms, ms in audio:
            end_ms = max(end_ms, at_ms) + ms
        cut_ms = min((at for at in cuts if audio[0][0] <= at), default=end_ms)
        free_ms = min(end_ms, cut_ms)
        text = wholes.get(item_id, pieces.get(item_id, "")).strip()
        if free_ms > start_ms and text:
            found.append(HeardItem(item_id, text, start_ms, free_ms))
    return found + list(utterances(wire))


def utterances(wire: Sequence[WireEvent]) -> Iterator[HeardItem]:
    """Yield what a full-duplex service said between pauses: its words come as they are heard."""
    words = [event for event in wire if event.type == _WORDS]
    text, start_ms, heard_ms, said_ms = "", 0.0, 0.0, 0.0
    for number, event in enumerate(words):
        begin_ms = number_of(event.raw, "start_ms") or 0.0
        if text and begin_ms - said_ms >= _PAUSE_MS:
            yield HeardItem(f"utterance_{number}", text.strip(), start_ms, heard_ms)
            text = ""
        said_ms = number_of(event.raw, "end_ms") or begin_ms
        start_ms = start_ms if text else event.at_ms
        heard_ms = event.at_ms + said_ms - begin_ms
        text += str(event.raw.get("delta", ""))
    if text.strip():
        yield HeardItem(f"utterance_{len(words)}", text.strip(), start_ms, heard_ms)


def references(
    turns: Sequence[tuple[float, float]], items: Sequence[HeardItem]
) -> list[str | None]:
    """Return what the session says of each of the agent's turns.

    Args:
        turns: when each was heard, begin and end.
        items: all of the call.

    Returns:
        The words of every item that was heard in a turn; where there is none, those of the nearest
        that belongs to no other. None where no item is near: the bridge itself spoke.
    """
    of_turns = [[item for item in items if _is_of(item, *turn)] for turn in turns]
    taken = {item.item_id for of_turn in of_turns for item in of_turn}
    for (start_ms, _), of_turn in zip(turns, of_turns, strict=True):
        left = [item for item in items if item.item_id not in taken]
        nearest = min(left, key=lambda item: abs(item.start_ms - start_ms), default=None)
        if not of_turn and nearest and abs(nearest.start_ms - start_ms) <= _ASTRAY_MS:
            of_turn.append(nearest)
            taken.add(nearest.item_id)
    return [" ".join(item.text for item in of_turn) or None for of_turn in of_turns]


def _is_of(item: HeardItem, start_ms: float, end_ms: float) -> bool:
    shortest_ms = min(item.end_ms - item.start_ms, end_ms - start_ms)
    return item.overlap_ms(start_ms, end_ms) >= min(_HEARD_MS, shortest_ms / 2)


def _length_ms(audio: JsonValue) -> float:
    ms = audio.get("ms") if isinstance(audio, dict) else None
    return float(ms) if isinstance(ms, int | float) else 0.0
