"""The agent's side of the transcript: each item's words, its audio played, its audio heard.

An item is *open* until all its audio was heard, or it was cut. Bounded: the oldest items are
forgotten. A server's item ids are unique in one session only; the ids here are the call's, and the
same but for one that an earlier session used before.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from bridge.audio.ledger import REMEMBERED_PARTS
from bridge.engine.news import Speaker, TurnSpoken
from bridge.realtime.ids import ItemId, ResponseId
from bridge.realtime.session_config import AudioFormat

REMEMBERED_ITEMS = REMEMBERED_PARTS
"""No fewer, or an item's time could be added to that of a forgotten one with the same id."""

PartEnds = Mapping[tuple[ItemId, int], int]
"""(item, content_index) -> milliseconds heard, of parts that were cut."""


@dataclass(slots=True)
class AgentItem:
    """One item of the agent. Maps are keyed by content_index.

    Attributes:
        item_id: the call's.
        server_id: the session's.
        audio_format: of what the playout was given.
    """

    item_id: ItemId
    server_id: ItemId
    response_id: ResponseId
    texts: dict[int, str] = field(default_factory=dict)
    given_bytes: dict[int, int] = field(default_factory=dict)
    audio_format: AudioFormat = AudioFormat.PCM_24KHZ
    complete_parts: set[int] = field(default_factory=set)
    spoken: bool = False
    audible: bool = False
    open: bool = True
    foreign: bool = False
    """An earlier session's: the present one does not know it."""
    latency_ms: int | None = None
    heard_ms: int | None = None
    cut_by: Speaker | None = None

    def is_of(self, response_id: ResponseId) -> bool:
        """Return whether it is of a response of the present session."""
        return self.response_id == response_id and not self.foreign

    def given_ms(self, content_index: int) -> int:
        """Return how much of a part the playout was given, milliseconds."""
        return self.given_bytes.get(content_index, 0) // self.audio_format.bytes_per_ms

    def heard_with(self, ends: PartEnds) -> int:
        """Return what was heard if the parts in ``ends`` were cut and all others played."""
        return sum(
            ends.get((self.item_id, index), self.given_ms(index)) for index in self.given_bytes
        )

    def heard_text(self) -> str:
        """Return the text; of a cut item the words that fit into what was heard.

        Words carry no times on the wire, so the share of the text is the share of the audio.
        """
        text = "".join(text for _, text in sorted(self.texts.items()))
        given_ms = sum(self.given_ms(index) for index in self.given_bytes)
        if self.cut_by is None or self.heard_ms is None or self.heard_ms >= given_ms:
            return text
        end = len(text) * self.heard_ms // given_ms
        within_word = not text[end : end + 1].isspace()
        return text[:end].rpartition(" ")[0] if within_word else text[:end]

    def turn(self) -> TurnSpoken:
        """Return the transcript line as it is known now."""
        self.spoken = True
        return TurnSpoken(
            Speaker.AGENT,
            self.item_id,
            self.heard_text(),
            self.latency_ms,
            self.heard_ms,
            self.cut_by is Speaker.CALLER,
        )


class AgentTranscript:
    """The agent's items of one call, latest last."""

    def __init__(self) -> None:
        self._items: dict[ItemId, AgentItem] = {}
        self._ids: dict[ItemId, ItemId] = {}
        self._session = 1

    def item(self, server_id: ItemId, response_id: ResponseId) -> AgentItem:
        """Return an item of the present session, known or new."""
        item_id = self._ids.get(server_id)
        if item_id is None:
            used = server_id in self._items
            item_id = ItemId(f"{server_id}~{self._session}") if used else server_id
            self._ids[server_id] = item_id
            self._items[item_id] = AgentItem(item_id, server_id, response_id)
            if len(self._items) > REMEMBERED_ITEMS:
                oldest = self._items.pop(next(iter(self._items)))
                if not oldest.foreign:
                    del self._ids[oldest.server_id]
        return self._items[item_id]

    def open_item(self, item_id: ItemId) -> AgentItem | None:
        """Return an item that can still become audible; ``item_id`` is the call's."""
        item = self._items.get(item_id)
        return item if item is not None and item.open else None

    def given_ms(self, response_id: ResponseId) -> int:
        """Return how much audio of a response the playout was given, milliseconds."""
        items = [item for item in self._items.values() if item.is_of(response_id)]
        return sum(item.given_ms(index) for item in items for index in item.given_bytes)

    def growing_part(self, response_id: ResponseId) -> tuple[ItemId, int, int] | None:
        """Find the part that a response was still generating.

        Returns:
            Item, content_index and milliseconds given to the playout; None if its last part was
            complete or it has no audio.
        """
        for item in reversed(self._items.values()):
            if item.is_of(response_id) and item.given_bytes:
                index = next(reversed(item.given_bytes))
                if index in item.complete_parts:
                    return None
                return item.item_id, index, item.given_ms(index)
        return None

    def played(self) -> Iterator[TurnSpoken]:
        """Close all open items as heard to their end."""
        for item in self._open():
            item.open = False
            if item.given_bytes:
                item.heard_ms = item.heard_with({})
                yield item.turn()

    def disown(self) -> None:
        """Note that the session that made the items is gone."""
        for item in self._items.values():
            item.foreign = True
        self._ids.clear()
        self._session += 1

    @property
    def heard_any(self) -> bool:
        """Whether anything of the agent's was heard in this call."""
        return any(item.audible for item in self._items.values())

    def knows(self, item_id: ItemId) -> bool:
        """Whether an item is the agent's: the bridge's own speech is no item of any session."""
        return item_id in self._items

    def server_id(self, item_id: ItemId) -> ItemId | None:
        """Return the present session's id of an item; None for an earlier session's."""
        item = self._items.get(item_id)
        return None if item is None or item.foreign else item.server_id

    def cuts(
        self, ends: PartEnds, response_id: ResponseId | None
    ) -> Iterator[tuple[ItemId, int, int]]:
        """Name the items that :meth:`cut` will cut, by the session's ids, with what was heard and
        given of each, ms.
        """
        cut_items = {item_id for item_id, _ in ends}
        for item in self._open():
            if item.foreign:
                continue
            if item.item_id in cut_items:
                given_ms = sum(item.given_ms(index) for index in item.given_bytes)
                yield item.server_id, item.heard_with(ends), given_ms
            elif not item.given_bytes and item.response_id == response_id:
                yield item.server_id, 0, 0

    def cut(
        self, ends: PartEnds, response_id: ResponseId | None, by: Speaker = Speaker.CALLER
    ) -> Iterator[TurnSpoken]:
        """Close all open items after an interruption.

        Args:
            ends: what was heard of each part with unheard audio.
            response_id: the response that was cancelled with it, if one was running.
            by: whose doing it was.
        """
        cut_items = {item_id for item_id, _ in ends}
        for item in self._open():
            item.open = False
            item.heard_ms = item.heard_with(ends)
            silenced = not item.given_bytes and item.response_id == response_id
            item.cut_by = by if item.item_id in cut_items or silenced else None
            if item.texts or item.given_bytes:
                yield item.turn()

    def unspoken(self) -> Iterator[TurnSpoken]:
        """Close the open items as the call ends; of those, yield each that was not reported yet
        although its words came, or the caller heard some of it.
        """
        for item in self._open():
            item.open = False
            if not item.spoken and (item.texts or item.audible):
                yield item.turn()

    def _open(self) -> list[AgentItem]:
        return [item for item in self._items.values() if item.open]
