"""The conversation of one call, kept so that a new Realtime session can go on with it.

Pure and bounded: the oldest entries are forgotten, and counted. Fed with the server's events and
with the commands that were sent; both may come twice, and transcripts at any time after their
item. An agent's item is cut to what the caller heard of it. Holds transcripts: never log it.

A spoken turn of the caller's is *unheard* while neither its words are known nor an answer to it was
given: then its audio alone can give a new session what was said. From the first unheard turn on all
spoken turns go to a new session as audio, none of them as text, so that each goes once.

The latest pictures that the model was shown are kept whole, older ones as words.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from bridge.realtime.commands import ClearInput, Command, CreateItem, CreateResponse
from bridge.realtime.event_values import ResponseStatus
from bridge.realtime.events import (
    AudioDelta,
    InputCleared,
    InputCommitted,
    InputTranscriptCompleted,
    OutputItemAdded,
    OutputItemDone,
    ResponseCreated,
    ResponseDone,
    ServerEvent,
    SpeechStarted,
    TranscriptDelta,
    TranscriptDone,
)
from bridge.realtime.ids import ItemId, ResponseId
from bridge.realtime.items import (
    ContentPart,
    FunctionCall,
    FunctionCallOutput,
    Item,
    ItemStatus,
    Message,
    PartKind,
    Role,
)
from bridge.realtime.pictures import UNSEEN
from bridge.realtime.seen import SeenEvents

NOT_TRANSCRIBED = "[not transcribed]"
"""Stands for what the caller said in an item whose transcript never came."""

_LABELS: Mapping[Role, str] = {Role.USER: "Caller", Role.ASSISTANT: "You", Role.SYSTEM: "Note"}
_TEXT_KINDS: Mapping[Role, PartKind] = {
    Role.USER: PartKind.INPUT_TEXT,
    Role.ASSISTANT: PartKind.OUTPUT_TEXT,
    Role.SYSTEM: PartKind.INPUT_TEXT,
}
KEPT_PICTURES = 2
"""Of a call, with their bytes: two may be asked about together, and each may take a megabyte."""

_LINE_CHARS = 240
"""Longest line of a summary."""


@dataclass(slots=True)
class _Said:
    """Maps are keyed by content_index; ``heard`` is the share that was heard, 0 to 1.

    ``spoken`` is a turn of the caller's that the service heard; ``answered``: with an answer.
    ``sounded``: audio of an agent's item came. ``pictures``: parts of a message that showed some.
    """

    role: Role
    texts: dict[int, str] = field(default_factory=dict)
    complete: set[int] = field(default_factory=set)
    heard: float = 1.0
    cut: bool = False
    spoken: bool = False
    answered: bool = False
    sounded: bool = False
    pictures: tuple[ContentPart, ...] = ()

    @property
    def is_word(self) -> bool:
        """Whether it is the caller's or the agent's, and more than an item without a sound."""
        if self.role is Role.ASSISTANT:
            return self.sounded
        return self.role is Role.USER and not self.pictures

    @property
    def has_pictures(self) -> bool:
        return any(part.kind is PartKind.INPUT_IMAGE for part in self.pictures)

    @property
    def unheard(self) -> bool:
        return self.waits and not self.texts

    @property
    def waits(self) -> bool:
        return self.spoken and not self.answered

    def text(self) -> str:
        whole = " ".join(text.strip() for _, text in sorted(self.texts.items())).strip()
        return cut_text(whole, self.heard) if self.cut else whole


@dataclass(slots=True)
class _Called:
    call: FunctionCall
    response_id: ResponseId
    output: str | None = None


_Key = tuple[int, str]
"""A session's number and an item or tool call id: ids are unique within one session only."""


def cut_text(text: str, heard: float) -> str:
    """Cut a text to the share of it that was heard, at the end of a word.

    Args:
        heard: 0 to 1; speech is taken as even, so this is an estimate to about a word.

    Returns:
        Whole words, with ``...`` where something is missing; empty if no word was heard.
    """
    if heard >= 1:
        return text
    limit = int(len(text) * max(heard, 0.0))
    kept = text[:limit]
    if not text[limit : limit + 1].isspace():
        # The last word was heard in part, so it was not heard.
        kept = kept.rpartition(" ")[0]
    kept = kept.rstrip()
    return f"{kept}..." if kept else ""


class ConversationLog:
    """One call's talk.

    Args:
        max_entries: turns and tool calls kept.
        max_chars: of one turn or tool output; the end of a longer one is lost.
    """

    def __init__(self, *, max_entries: int = 80, max_chars: int = 4_000) -> None:
        self._max_entries = max_entries
        self._max_chars = max_chars
        self._entries: dict[_Key, _Said | _Called] = {}
        self._session = 0
        self._notes = 0
        self._seen = SeenEvents()
        self._response_open = False
        self._caller_speaks = False
        self._speaks_in: ItemId | None = None
        self._resent = False
        self._taken_up: list[_Said] | None = None
        self._sounded = False
        self.forgotten = 0
        """Entries that the bound pushed out."""

    @property
    def running_calls(self) -> tuple[FunctionCall, ...]:
        """Tool calls whose output has not been given."""
        return tuple(each.call for each in self._called() if each.output is None)

    @property
    def owes_answer(self) -> bool:
        """Whether it is the agent's turn: a response is asked for, unfinished or failed, or the
        last word was the caller's or a tool's. Not while the caller speaks or a tool runs.

        Notes to the model are nobody's word, and an agent's item is one from its first sound on.
        """
        if self._caller_speaks or self.running_calls:
            return False
        latest = reversed(self._entries.values())
        last = next((each for each in latest if isinstance(each, _Called) or each.is_word), None)
        mine = isinstance(last, _Called) or (last is not None and last.role is Role.USER)
        return self._response_open or self._resent or mine

    @property
    def speech_unheard(self) -> bool:
        """Whether the caller said what a new session can learn from the audio alone."""
        return self._resent or self.first_unheard is not None

    @property
    def speech_resent(self) -> bool:
        """Whether the session got the speech to another one, and reported no turn of it yet."""
        return self._resent

    @property
    def first_unheard(self) -> ItemId | None:
        """The session's first turn of the caller's that is unheard; it may still go on."""
        for (session, item_id), entry in self._entries.items():
            if session == self._session and isinstance(entry, _Said) and entry.unheard:
                return ItemId(item_id)
        return self._speaks_in if self._caller_speaks else None

    def feed(self, event: ServerEvent) -> None:
        """Take one event of the present session; kinds that say nothing of the talk pass by."""
        handler = _HANDLERS.get(type(event))
        if handler is not None:
            handler(self, event)
            self._forget()

    def sent(self, command: Command) -> None:
        """Take a command that the bridge sent, or would have sent had there been a session.

        Not for the items of a recovery step: those are in here already.
        """
        match command:
            case CreateItem(item=FunctionCallOutput() as item):
                for called in self._called():
                    if called.call.call_id == item.call_id and called.output is None:
                        called.output = item.output[: self._max_chars]
            case CreateItem(item=Message() as message):
                self._notes += 1
                text = " ".join(part.text for part in message.parts if part.text)
                said = self._said(f"note-{self._notes}", message.role)
                said.texts[0] = text[: self._max_chars]
                said.pictures = tuple(p for p in message.parts if p.kind is PartKind.INPUT_IMAGE)
                self._put_older_pictures_in_words()
            case CreateResponse(config=config) if not config.out_of_band:
                self._response_open = True
            case ClearInput():
                self._caller_speaks = False
            case _:
                return
        self._forget()

    def cut(self, item_id: ItemId, heard_ms: int, given_ms: int) -> None:
        """Cut an agent's item to what was heard; text that comes for it later is not taken.

        Args:
            heard_ms: what PJSIP took of the item's audio.
            given_ms: all audio of the item that the playout was given.
        """
        said = self._said(item_id, Role.ASSISTANT)
        if said.role is Role.ASSISTANT and not said.cut:
            said.cut = True
            said.heard = min(heard_ms / given_ms, 1.0) if given_ms > 0 else 0.0

    def begin_session(self, *, speech_resent: bool = False) -> None:
        """Note that a new session stands: its ids are its own.

        Call it when the session is open, after the plan was made. A response that the old session
        left unfinished stays owed until one is done. Turns that go to it as audio are forgotten
        here: it will report them anew.

        Args:
            speech_resent: it is sent audio of the caller's that needs an answer.
        """
        self._resent = speech_resent
        kept = {id(entry) for entry in self._in_words()}
        self._entries = {key: entry for key, entry in self._entries.items() if id(entry) in kept}
        self._session += 1
        self._seen = SeenEvents()
        self._caller_speaks = False
        self._speaks_in = None
        self._taken_up = None

    def items(self) -> tuple[Item, ...]:
        """Return the talk as text items for a new session, oldest first.

        A tool call that still runs is among them, so that its output will find its call. Turns of
        the caller's that go there as audio are not.
        """
        return self._items(self._in_words())

    @property
    def unanswered(self) -> tuple[Item, ...]:
        """The talk from the first turn on that has known words and no answer yet."""
        return self._items(self._split()[1])

    def _in_words(self) -> list[_Said | _Called]:
        """Return the entries without the turns that go to a new session as audio."""
        entries = list(self._entries.values())
        places = (i for i, each in enumerate(entries) if isinstance(each, _Said) and each.unheard)
        first = next(places, len(entries))
        late = entries[first:]
        return entries[:first] + [e for e in late if isinstance(e, _Called) or not e.spoken]

    def _split(self) -> tuple[list[_Said | _Called], list[_Said | _Called]]:
        """Return the entries up to the first turn without an answer, and those from there on."""
        entries = self._in_words()
        waits = (i for i, e in enumerate(entries) if isinstance(e, _Said) and e.waits)
        first = next(waits, len(entries))
        return entries[:first], entries[first:]

    def _items(self, entries: Sequence[_Said | _Called]) -> tuple[Item, ...]:
        found: list[Item] = []
        for entry in entries:
            if isinstance(entry, _Called):
                call = entry.call
                found.append(FunctionCall(call.call_id, call.name, call.arguments))
                if entry.output is not None:
                    found.append(FunctionCallOutput(call.call_id, entry.output))
            elif text := self._shown(entry):
                part = ContentPart(_TEXT_KINDS[entry.role], text)
                found.append(Message(entry.role, (part, *entry.pictures)))
        return tuple(found)

    @property
    def shown(self) -> tuple[Item, ...]:
        """The messages with pictures that :meth:`summary` has in words alone."""
        said = (each for each in self._split()[0] if isinstance(each, _Said))
        return self._items([each for each in said if each.has_pictures])

    def summary(self, max_chars: int) -> str:
        """Return the talk in few lines: the caller's first words, then the latest that fits.

        What :attr:`unanswered` gives, and what goes as audio, is not part of it.

        Returns:
            At most ``max_chars`` characters; empty if nothing was said.
        """
        lines = [line for entry in self._split()[0] if (line := self._line(entry))]
        whole = "\n".join(lines)
        if not lines or (len(whole) <= max_chars and not self.forgotten):
            return whole
        first = next((line for line in lines if line.startswith(_LABELS[Role.USER])), lines[0])
        kept: list[str] = []
        room = max_chars - len(first) - len("\n...")
        for line in reversed(lines):
            if line is first or len(line) + 1 > room:
                break
            kept.append(line)
            room -= len(line) + 1
        return "\n".join([first, "...", *reversed(kept)])[: max(max_chars, 0)]

    def _put_older_pictures_in_words(self) -> None:
        left = KEPT_PICTURES
        for said in reversed(self._entries.values()):
            if not isinstance(said, _Said) or not said.pictures:
                continue
            left -= len(said.pictures)
            if left < 0:
                words = ContentPart(PartKind.INPUT_TEXT, UNSEEN)
                said.pictures = tuple(words for _ in said.pictures)

    def _called(self) -> list[_Called]:
        return [entry for entry in self._entries.values() if isinstance(entry, _Called)]

    def _shown(self, said: _Said) -> str:
        text = said.text()
        return text or (NOT_TRANSCRIBED if said.role is Role.USER else "")

    def _line(self, entry: _Said | _Called) -> str:
        if isinstance(entry, _Called):
            output = "is still running" if entry.output is None else f"gave {entry.output}"
            line = f"Tool {entry.call.name} {output}"
        elif text := self._shown(entry):
            line = f"{_LABELS[Role.SYSTEM if entry.pictures else entry.role]}: {text}"
        else:
            return ""
        line = " ".join(line.split())
        return line if len(line) <= _LINE_CHARS else f"{line[: _LINE_CHARS - 3]}..."

    def _said(self, item_id: str, role: Role) -> _Said:
        key = (self._session, item_id)
        entry = self._entries.get(key)
        if not isinstance(entry, _Said):
            entry = self._entries[key] = _Said(role)
        return entry

    def _forget(self) -> None:
        while len(self._entries) > self._max_entries:
            del self._entries[next(iter(self._entries))]
            self.forgotten += 1

    def _on_speech_started(self, event: SpeechStarted) -> None:
        # A repeated one may come after the commit of its own turn.
        if (self._session, event.item_id) not in self._entries:
            if not self._caller_speaks:
                self._speaks_in = event.item_id
            self._caller_speaks = True

    def _on_cleared(self, event: InputCleared) -> None:
        self._caller_speaks = False

    def _on_committed(self, event: InputCommitted) -> None:
        # A repeated one may come in the turn after its own.
        if (self._session, event.item_id) not in self._entries:
            self._caller_speaks = self._resent = False
            self._said(event.item_id, Role.USER).spoken = True

    def _on_input_transcript(self, event: InputTranscriptCompleted) -> None:
        said = self._said(event.item_id, Role.USER)
        said.spoken = True
        said.texts[event.content_index] = event.transcript.strip()[: self._max_chars]

    def _on_response_created(self, event: ResponseCreated) -> None:
        if not self._seen.repeated(event.event_id):
            self._response_open, self._sounded = True, False
            self._taken_up = self._spoken()

    def _spoken(self) -> list[_Said]:
        return [each for each in self._entries.values() if isinstance(each, _Said) and each.spoken]

    def _answer(self) -> None:
        """Note that the turns before the present response have their answer."""
        for said in self._spoken() if self._taken_up is None else self._taken_up:
            said.answered = True
        self._resent = False

    def _on_audio(self, event: AudioDelta) -> None:
        if event.audio:
            self._said(event.item_id, Role.ASSISTANT).sounded = self._sounded = True

    def _on_item_added(self, event: OutputItemAdded) -> None:
        if isinstance(event.item, Message) and event.item.item_id is not None:
            self._said(event.item.item_id, Role.ASSISTANT)

    def _on_item_done(self, event: OutputItemDone) -> None:
        item = event.item
        if isinstance(item, FunctionCall) and item.status in (ItemStatus.COMPLETED, None):
            self._answer()  # not to be heard, and called for, twice
            key = (self._session, f"call-{item.call_id}")
            self._entries.setdefault(key, _Called(item, event.response_id))

    def _on_delta(self, event: TranscriptDelta) -> None:
        said = self._open_item(event.item_id)
        repeated = self._seen.repeated(event.event_id)
        if said is not None and not repeated and event.content_index not in said.complete:
            text = said.texts.get(event.content_index, "") + event.delta
            said.texts[event.content_index] = text[: self._max_chars]

    def _on_transcript(self, event: TranscriptDone) -> None:
        said = self._open_item(event.item_id)
        if said is not None:
            said.texts[event.content_index] = event.transcript[: self._max_chars]
            said.complete.add(event.content_index)

    def _open_item(self, item_id: ItemId) -> _Said | None:
        """Return an agent's item; None where it was cut, and what was heard of it is known."""
        said = self._said(item_id, Role.ASSISTANT)
        return None if said.cut and said.texts else said

    def _on_response_done(self, event: ResponseDone) -> None:
        if self._seen.repeated(event.event_id):
            return
        self._response_open = event.status is ResponseStatus.FAILED
        if self._sounded and not self._response_open:
            self._answer()  # one that the caller cut, too: they heard what they wanted of it
        self._sounded = False
        if event.status is ResponseStatus.COMPLETED:
            return
        # Calls of a cancelled response are not answered (`PROTOCOL.md` section 7).
        dead = [
            key
            for key, entry in self._entries.items()
            if isinstance(entry, _Called)
            and entry.response_id == event.response_id
            and entry.output is None
        ]
        for key in dead:
            del self._entries[key]


_Handler = Callable[[ConversationLog, Any], None]  # Any: the table pairs each with its event type
_HANDLERS: Mapping[type[ServerEvent], _Handler] = MappingProxyType(
    {
        SpeechStarted: ConversationLog._on_speech_started,
        InputCleared: ConversationLog._on_cleared,
        InputCommitted: ConversationLog._on_committed,
        InputTranscriptCompleted: ConversationLog._on_input_transcript,
        ResponseCreated: ConversationLog._on_response_created,
        ResponseDone: ConversationLog._on_response_done,
        AudioDelta: ConversationLog._on_audio,
        OutputItemAdded: ConversationLog._on_item_added,
        OutputItemDone: ConversationLog._on_item_done,
        TranscriptDelta: ConversationLog._on_delta,
        TranscriptDone: ConversationLog._on_transcript,
    }
)
