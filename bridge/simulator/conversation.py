"""The server's memory of a conversation: items in order, and the spoken part of each.

No I/O. Assistant audio is remembered word by word, so that truncation shortens the transcript to
what was heard.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from bridge.realtime.ids import ItemId
from bridge.realtime.items import (
    ContentPart,
    FunctionCall,
    FunctionCallOutput,
    Item,
    Message,
    PartKind,
    Role,
)
from bridge.simulator.pictures import SeenPicture, look_at
from bridge.simulator.refusal import refuse

FRONT = ItemId("root")
"""As ``previous_item_id``: before everything else (`PROTOCOL.md` section 2)."""

_USER_AUDIO_MS_PER_TOKEN = 100
_ASSISTANT_AUDIO_MS_PER_TOKEN = 50
_CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """A word of a reply, with the white space after it, and when it has been said."""

    text: str
    end_ms: float


@dataclass(frozen=True, slots=True)
class ConversationEntry:
    """An item and its audio.

    Attributes:
        audio_ms: how much audio the item holds; 0 for text.
        words: of an assistant's audio, as far as it was generated.
        heard: of a user's audio: what was understood.
    """

    item: Item
    audio_ms: float = 0.0
    words: tuple[SpokenWord, ...] = ()
    heard: str | None = None


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of text, of audio and of pictures."""

    text: int = 0
    audio: int = 0
    image: int = 0


class Conversation:
    """The default conversation of a session."""

    def __init__(self) -> None:
        self._entries: dict[ItemId, ConversationEntry] = {}
        self._order: list[ItemId] = []

    def add(
        self, item_id: ItemId, entry: ConversationEntry, after: ItemId | None = None
    ) -> ItemId | None:
        """Put an item in.

        Args:
            after: the item before it, :data:`FRONT`, or None for the end.

        Returns:
            The item that now stands before it, None if it is the first.

        Raises:
            Refused: the name is taken, or ``after`` is no item.
        """
        if item_id in self._entries:
            raise refuse(
                "item_create_duplicate_item_id",
                f"Error adding item: an item with id '{item_id}' already exists.",
                "item.id",
            )
        if after is None:
            place = len(self._order)
        elif after == FRONT:
            place = 0
        elif after in self._entries:
            place = self._order.index(after) + 1
        else:
            raise refuse(
                "invalid_value",
                f"Error adding item: there is no item '{after}'.",
                "previous_item_id",
            )
        self._order.insert(place, item_id)
        self._entries[item_id] = entry
        return self._order[place - 1] if place else None

    def before(self, item_id: ItemId) -> ItemId | None:
        """Return the item before this one."""
        place = self._order.index(item_id)
        return self._order[place - 1] if place else None

    @property
    def last_id(self) -> ItemId | None:
        """The newest item."""
        return self._order[-1] if self._order else None

    def get(self, item_id: ItemId) -> ConversationEntry | None:
        """Return an item."""
        return self._entries.get(item_id)

    def entries(self) -> Iterator[ConversationEntry]:
        """Yield every item in order."""
        return (self._entries[item_id] for item_id in self._order)

    def put(self, item_id: ItemId, entry: ConversationEntry) -> None:
        """Replace an item, if it has not been deleted meanwhile."""
        if item_id in self._entries:
            self._entries[item_id] = entry

    def retrieve(self, item_id: ItemId) -> Item:
        """Return an item as it stands now.

        Raises:
            Refused: there is none.
        """
        return self._find(item_id, "retrieve").item

    def delete(self, item_id: ItemId) -> None:
        """Take an item out.

        Raises:
            Refused: there is none.
        """
        self._find(item_id, "delete")
        del self._entries[item_id]
        self._order.remove(item_id)

    def truncate(self, item_id: ItemId, content_index: int, audio_end_ms: int) -> None:
        """Cut an assistant's audio, and its transcript with it, to what was heard.

        Raises:
            Refused: no such item, not an assistant's audio, or it has less audio than that.
        """
        entry = self._find(item_id, "truncate")
        match entry.item:
            case Message(role=Role.ASSISTANT, parts=(ContentPart(kind=PartKind.OUTPUT_AUDIO), *_)):
                pass
            case _:
                raise refuse(None, "Only model output audio messages can be truncated.")
        if content_index != 0:
            raise refuse(
                "invalid_value",
                f"The item has no content part {content_index}.",
                "content_index",
            )
        if audio_end_ms > math.ceil(entry.audio_ms):
            raise refuse(
                "invalid_value",
                f"Audio content of {math.floor(entry.audio_ms)}ms is already shorter than"
                f" {audio_end_ms}ms",
                "audio_end_ms",
            )
        heard = tuple(word for word in entry.words if word.end_ms <= audio_end_ms)
        part = ContentPart(PartKind.OUTPUT_AUDIO, join(heard))
        item = replace(entry.item, parts=(part,))
        self._entries[item_id] = ConversationEntry(item, float(audio_end_ms), heard)

    def call_of(self, call_id: str) -> FunctionCall | None:
        """Return the function call of this ``call_id``."""
        calls = (entry.item for entry in self.entries())
        return next(
            (each for each in calls if isinstance(each, FunctionCall) and each.call_id == call_id),
            None,
        )

    def _find(self, item_id: ItemId, verb: str) -> ConversationEntry:
        entry = self._entries.get(item_id)
        if entry is None:
            raise refuse(
                f"item_{verb}_invalid_item_id",
                f"Error with {verb}: item '{item_id}' was not found.",
                "item_id",
            )
        return entry


def join(words: Iterable[SpokenWord]) -> str:
    """Return the words as one text."""
    return "".join(word.text for word in words).rstrip()


def spread(text: str, audio_ms: float) -> tuple[SpokenWord, ...]:
    """Return when each word of ``text`` ends, in proportion to its letters."""
    words = text.split()
    letters = sum(len(word) + 1 for word in words)
    spoken, done = [], 0
    for word in words:
        done += len(word) + 1
        spoken.append(SpokenWord(word + " ", audio_ms * done / letters))
    return tuple(spoken)


def text_tokens(text: str) -> int:
    """Estimate the tokens of a text; English has about four characters to one."""
    return math.ceil(len(text) / _CHARACTERS_PER_TOKEN)


def spoken_tokens(audio_ms: float) -> int:
    """Count the tokens of the agent's audio: one for 50 ms (`PROTOCOL.md` section 5)."""
    return math.ceil(audio_ms / _ASSISTANT_AUDIO_MS_PER_TOKEN)


def count_tokens(entries: Iterable[ConversationEntry]) -> Tokens:
    """Count what a model reads of these items (`PROTOCOL.md` section 5)."""
    text = audio = image = 0
    for entry in entries:
        image += sum(each.tokens for each in pictures_of(entry.item))
        match entry.item:
            case Message(role=Role.USER) if entry.audio_ms:
                audio += math.ceil(entry.audio_ms / _USER_AUDIO_MS_PER_TOKEN)
            case Message(role=Role.ASSISTANT, parts=parts):
                audio += spoken_tokens(entry.audio_ms)
                text += _count_parts(parts)
            case Message(parts=parts):
                text += _count_parts(parts)
            case FunctionCall(arguments=arguments):
                text += text_tokens(arguments)
            case FunctionCallOutput(output=output):
                text += text_tokens(output)
            case _:
                pass
    return Tokens(text, audio, image)


def pictures_of(item: Item) -> list[SeenPicture]:
    """Return what a message shows."""
    parts = item.parts if isinstance(item, Message) else ()
    return [look_at(part.image_url) for part in parts if part.image_url is not None]


def _count_parts(parts: Sequence[ContentPart]) -> int:
    return sum(text_tokens(part.text or "") for part in parts)
