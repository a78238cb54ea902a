"""One response, from ``response.created`` to ``response.done``, as a series of steps.

No I/O and no clock: a step says how long to wait after it. Whoever drives the steps may stop at any
of them and :meth:`Generation.cut` the response instead; the events are in the order of
`PROTOCOL.md` section 7 either way.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypedDict

from bridge.realtime.event_values import ResponseStatus, Usage
from bridge.realtime.events import (
    AudioDelta,
    AudioDone,
    ContentPartAdded,
    ContentPartDone,
    FunctionArgumentsDelta,
    FunctionArgumentsDone,
    ItemAdded,
    ItemDone,
    OutputItemAdded,
    OutputItemDone,
    ResponseCreated,
    ResponseDone,
    ServerEvent,
    TextDelta,
    TextDone,
    TranscriptDelta,
    TranscriptDone,
)
from bridge.realtime.ids import ItemId, ResponseId, ToolCallId
from bridge.realtime.items import (
    ContentPart,
    FunctionCall,
    Item,
    ItemStatus,
    McpCall,
    Message,
    PartKind,
    Role,
)
from bridge.realtime.session_config import AudioFormat
from bridge.simulator.agent import AgentToolUse
from bridge.simulator.conversation import (
    Conversation,
    ConversationEntry,
    SpokenWord,
    Tokens,
    join,
    spoken_tokens,
    spread,
    text_tokens,
)
from bridge.simulator.names import new_name
from bridge.simulator.scenario import Pacing

_ARGUMENT_CHARACTERS_PER_DELTA = 8
_TEXT_WORD_MS = 300
"""A typed word counts as this much speech for pacing."""


@dataclass(frozen=True, slots=True)
class GenerationStep:
    """Events to send now, and how long to wait before the next step."""

    events: tuple[ServerEvent, ...]
    wait_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class _Open:
    """The message item that is being generated."""

    item_id: ItemId
    kind: PartKind
    words: tuple[SpokenWord, ...] = ()
    audio_ms: float = 0.0

    @property
    def text(self) -> str:
        return join(self.words)


class At(TypedDict):
    """The place in the response at which something happens."""

    response_id: ResponseId
    item_id: ItemId
    output_index: int


class Generation:
    """A response being generated.

    Args:
        conversation: what the response's items go into; None for an out-of-band response.
        read: tokens that the model reads for it.
        cached: how many of them it has read before.
        metadata: as the client gave it.
    """

    def __init__(
        self,
        conversation: Conversation | None,
        pacing: Pacing,
        read: Tokens,
        cached: Tokens,
        metadata: Mapping[str, str],
    ) -> None:
        self.response_id = ResponseId(new_name("resp"))
        self._conversation = conversation
        self._pacing = pacing
        self._read = read
        self._cached = cached
        self._metadata = dict(metadata)
        self._output: list[Item] = []
        self._open: _Open | FunctionCall | McpCall | None = None
        self._written = Tokens()
        self._audio_ms = 0.0

    def begin(self) -> ServerEvent:
        """Announce the response."""
        return ResponseCreated(self.response_id, self._metadata)

    def speak(self, text: str, audio: bytes, audio_format: AudioFormat) -> Iterator[GenerationStep]:
        """Generate a spoken message; ``audio`` is all of it on the wire."""
        per_ms = audio_format.bytes_per_ms
        words = spread(text, len(audio) / per_ms)
        yield GenerationStep(tuple(self._open_message(PartKind.OUTPUT_AUDIO)))
        delta_bytes = self._pacing.delta_ms * per_ms
        for start in range(0, len(audio), delta_bytes):
            piece = audio[start : start + delta_bytes]
            upto_ms = (start + len(piece)) / per_ms
            yield GenerationStep(
                tuple(self._speak_on(words, piece, upto_ms)),
                len(piece) / per_ms / self._pacing.speedup,
            )
        yield GenerationStep(tuple(self._close_message(ItemStatus.COMPLETED)))

    def write(self, text: str) -> Iterator[GenerationStep]:
        """Generate a message of text alone."""
        yield GenerationStep(tuple(self._open_message(PartKind.OUTPUT_TEXT)))
        for word in spread(text, 0.0):
            opened = self._opened()
            self._open = replace(opened, words=(*opened.words, word))
            delta = TextDelta(**self.at(opened.item_id), delta=word.text)
            yield GenerationStep((delta,), _TEXT_WORD_MS / self._pacing.speedup)
        yield GenerationStep(tuple(self._close_message(ItemStatus.COMPLETED)))

    def call(self, use: AgentToolUse) -> Iterator[GenerationStep]:
        """Generate a tool call, its arguments streamed."""
        place = self.at(ItemId(new_name("item")))
        call = FunctionCall(
            call_id=ToolCallId(new_name("call")),
            name=use.name,
            arguments="",
            item_id=place["item_id"],
            status=ItemStatus.IN_PROGRESS,
        )
        yield GenerationStep(tuple(self.enter(call)))
        for piece in in_pieces(use.arguments):
            yield GenerationStep(
                (FunctionArgumentsDelta(**place, call_id=call.call_id, delta=piece),)
            )
        done = replace(call, arguments=use.arguments, status=ItemStatus.COMPLETED)
        said = FunctionArgumentsDone(
            **place, call_id=call.call_id, arguments=use.arguments, name=use.name
        )
        self.count(text_tokens(use.arguments))
        yield GenerationStep((said, *self.leave(done)))

    def finish(self) -> ServerEvent:
        """End the response as completed."""
        return self._end(ResponseStatus.COMPLETED, None)

    def fail(self, code: str) -> ServerEvent:
        """End the response as failed (`PROTOCOL.md` section 7: not as an ``error`` event)."""
        return replace(self._end(ResponseStatus.FAILED, None), error_code=code)

    @property
    def audio_ms(self) -> float:
        """How much has been spoken so far."""
        return self._audio_ms

    def cut(self, reason: str) -> list[ServerEvent]:
        """End the response where it stands: the tail of an interruption or a cancel.

        Args:
            reason: ``turn_detected`` or ``client_cancelled``.
        """
        events: list[ServerEvent] = []
        match self._open:
            case _Open():
                events.extend(self._close_message(ItemStatus.INCOMPLETE))
            case FunctionCall() as call:
                # Half of its arguments are no JSON: it leaves without any.
                events.extend(self.leave(replace(call, status=ItemStatus.INCOMPLETE)))
            case McpCall() as mcp_call:
                events.extend(self.leave(mcp_call))
            case None:
                pass
        events.append(self._end(ResponseStatus.CANCELLED, reason))
        return events

    def _open_message(self, kind: PartKind) -> Iterator[ServerEvent]:
        opened = _Open(ItemId(new_name("item")), kind)
        self._open = opened
        yield from self.enter(self._message(ItemStatus.IN_PROGRESS))
        yield ContentPartAdded(**self.at(opened.item_id), part=ContentPart(kind, ""))

    def _speak_on(
        self, words: tuple[SpokenWord, ...], piece: bytes, upto_ms: float
    ) -> Iterator[ServerEvent]:
        """Yield the words that begin within this piece of audio, and the audio."""
        opened = self._opened()
        place = self.at(opened.item_id)
        begun = 1 + sum(word.end_ms < upto_ms for word in words)
        self._open = replace(opened, words=words[:begun], audio_ms=upto_ms)
        self.hold(self._message(ItemStatus.IN_PROGRESS))
        for word in words[len(opened.words) : begun]:
            yield TranscriptDelta(**place, delta=word.text)
        yield AudioDelta(**place, audio=piece)

    def _close_message(self, status: ItemStatus) -> Iterator[ServerEvent]:
        opened = self._opened()
        place = self.at(opened.item_id)
        if opened.kind is PartKind.OUTPUT_AUDIO:
            yield AudioDone(**place)
            yield TranscriptDone(**place, transcript=opened.text)
        else:
            yield TextDone(**place, text=opened.text)
        yield ContentPartDone(**place, part=ContentPart(opened.kind, opened.text))
        self.count(text_tokens(opened.text), spoken_tokens(opened.audio_ms))
        self._audio_ms += opened.audio_ms
        yield from self.leave(self._message(status))

    def enter(self, item: Item) -> Iterator[ServerEvent]:
        """Begin an item of the output."""
        if isinstance(item, FunctionCall | McpCall):
            self._open = item
        item_id = _name_of(item)
        yield OutputItemAdded(self.response_id, len(self._output), item)
        if self._conversation is not None:
            yield ItemAdded(item, self._conversation.add(item_id, ConversationEntry(item)))

    def put(self, item: Item) -> Iterator[ServerEvent]:
        """Put an item into the conversation that is no part of the output."""
        if self._conversation is not None:
            before = self._conversation.add(_name_of(item), ConversationEntry(item))
            yield ItemAdded(item, before)
            yield ItemDone(item, before)

    def leave(self, item: Item) -> Iterator[ServerEvent]:
        """End the open item, as it stands now."""
        item_id = _name_of(item)
        self.hold(item)
        self._open = None
        if self._conversation is not None and self._conversation.get(item_id) is not None:
            yield ItemDone(item, self._conversation.before(item_id))
        yield OutputItemDone(self.response_id, len(self._output), item)
        self._output.append(item)

    def hold(self, item: Item) -> None:
        """Let the conversation have the open item as it stands now."""
        if isinstance(item, FunctionCall | McpCall):
            self._open = item
        if self._conversation is None:
            return
        entry = ConversationEntry(item)
        if isinstance(self._open, _Open):
            entry = ConversationEntry(item, self._open.audio_ms, self._open.words)
        self._conversation.put(_name_of(item), entry)

    def _message(self, status: ItemStatus) -> Message:
        """Return the open message as it stands; it has no content before its first delta."""
        opened = self._opened()
        begun = opened.words or status is not ItemStatus.IN_PROGRESS
        parts = (ContentPart(opened.kind, opened.text),) if begun else ()
        return Message(Role.ASSISTANT, parts, opened.item_id, status)

    def _opened(self) -> _Open:
        if not isinstance(self._open, _Open):
            raise AssertionError("there is no open message")
        return self._open

    def at(self, item_id: ItemId) -> At:
        """Return where an item that begins now stands."""
        return At(response_id=self.response_id, item_id=item_id, output_index=len(self._output))

    def count(self, text: int, audio: int = 0) -> None:
        """Count tokens that were written."""
        self._written = Tokens(self._written.text + text, self._written.audio + audio)

    def _end(self, status: ResponseStatus, reason: str | None) -> ResponseDone:
        read, written = self._read, self._written
        return ResponseDone(
            response_id=self.response_id,
            status=status,
            output=tuple(self._output),
            reason=reason,
            usage=Usage(
                input_text=read.text,
                input_audio=read.audio,
                input_image=read.image,
                cached_text=self._cached.text,
                cached_audio=self._cached.audio,
                cached_image=self._cached.image,
                output_text=written.text,
                output_audio=written.audio,
                total=read.text + read.audio + read.image + written.text + written.audio,
            ),
            metadata=self._metadata,
        )


def in_pieces(arguments: str) -> Iterator[str]:
    """Cut a call's arguments as they are streamed."""
    for start in range(0, len(arguments), _ARGUMENT_CHARACTERS_PER_DELTA):
        yield arguments[start : start + _ARGUMENT_CHARACTERS_PER_DELTA]


def _name_of(item: Item) -> ItemId:
    if item.item_id is None:
        raise AssertionError("every item of a response has a name")
    return item.item_id
