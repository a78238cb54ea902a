"""Beta and GA as tables: the names, shapes and places that each has for the same thing.

Sources are `PROTOCOL.md` sections 2 to 7. The tables share nothing with the adapters of
:mod:`bridge.realtime`, so that a mistake there shows.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from bridge.realtime import events as e
from bridge.realtime.items import PartKind, Role
from bridge.realtime.session_config import AudioFormat, SessionKind
from bridge.simulator import beta_shapes as beta
from bridge.simulator import ga_shapes as ga
from bridge.simulator.wire import DialectName, WireObject

_MCP_EVENTS = (e.McpToolsListed, e.McpArgumentsDelta, e.McpArgumentsDone, e.McpCallChanged)


@dataclass(frozen=True, slots=True)
class Names:
    """The names on the wire of the server events that the dialects call differently.

    Attributes:
        text, audio, transcript: of an answer's pieces, without ``.delta`` and ``.done``.
        item_added, item_done: of an item in the conversation; "" for no event at all.
        session: begins the session's events, by the kind of session.
    """

    text: str
    audio: str
    transcript: str
    item_added: str
    item_done: str
    session: Mapping[SessionKind, str]


@dataclass(frozen=True, slots=True)
class Shapes:
    """The shapes of the client events that the dialects have each their own of.

    Attributes:
        sessions: session objects, by kind.
        updates: the events that change them.
    """

    sessions: Mapping[
        SessionKind,
        type[
            beta.SessionShape
            | beta.TranscriptionSessionShape
            | ga.SessionShape
            | ga.TranscriptionSessionShape
        ],
    ]
    updates: Mapping[
        SessionKind,
        type[
            beta.SessionUpdate
            | beta.TranscriptionUpdate
            | ga.SessionUpdate
            | ga.TranscriptionUpdate
        ],
    ]
    item_create: type[beta.ItemCreate | ga.ItemCreate]
    response_create: type[beta.ResponseCreate | ga.ResponseCreate]
    response: type[beta.ResponseShape | ga.ResponseShape]


@dataclass(frozen=True, slots=True)
class Places:
    """The keys under which session and response objects have a setting, with dots between them.

    Attributes:
        limit: of the tokens of an answer; in a response of the beta it has two names.
    """

    input_format: str
    transcription: str
    turn_detection: str
    output_format: str
    voice: str
    speed: str
    modalities: str
    limit: str


@dataclass(frozen=True, slots=True)
class DialectTable:
    """A dialect's names, shapes and habits.

    Attributes:
        formats: audio formats, as session objects have them.
        parts: the types of content in items.
        client_parts: those that a client may write, by its message's role.
        spoken: the modalities of an answer with sound; without it they are ``["text"]``.
        item: what every item says of itself.
        lacks: events that this simulator never makes in it.
        update_types: the client events that change a session, by the kind that they are for.
        rare: keys of a session object that are left out while they are null; only some models have
            them.
        hidden: keys of a setting that a kind of session takes and does not show.
        hides_sizes: text deltas come with filler.
        names_calls: finished arguments come with the function's name.
        counts_images: usage counts images, too.
        limits_first: limits come with a response's begin, and not with its end.
    """

    name: DialectName
    names: Names
    shapes: Shapes
    places: Places
    formats: Mapping[AudioFormat, object]
    parts: Mapping[PartKind, str]
    client_parts: Mapping[Role, frozenset[str]]
    spoken: list[str]
    item: WireObject
    lacks: frozenset[type]
    update_types: Mapping[SessionKind, str]
    rare: frozenset[str]
    hidden: Mapping[SessionKind, Mapping[str, set[str]]]
    hides_sizes: bool
    names_calls: bool
    counts_images: bool
    limits_first: bool


BETA = DialectTable(
    name=DialectName.BETA,
    names=Names(
        text="response.text",
        audio="response.audio",
        transcript="response.audio_transcript",
        item_added="conversation.item.created",
        item_done="",
        session={
            SessionKind.REALTIME: "session",
            SessionKind.TRANSCRIPTION: "transcription_session",
        },
    ),
    shapes=Shapes(
        sessions={
            SessionKind.REALTIME: beta.SessionShape,
            SessionKind.TRANSCRIPTION: beta.TranscriptionSessionShape,
        },
        updates={
            SessionKind.REALTIME: beta.SessionUpdate,
            SessionKind.TRANSCRIPTION: beta.TranscriptionUpdate,
        },
        item_create=beta.ItemCreate,
        response_create=beta.ResponseCreate,
        response=beta.ResponseShape,
    ),
    places=Places(
        input_format="input_audio_format",
        transcription="input_audio_transcription",
        turn_detection="turn_detection",
        output_format="output_audio_format",
        voice="voice",
        speed="speed",
        modalities="modalities",
        limit="max_response_output_tokens",
    ),
    formats={
        AudioFormat.PCM_24KHZ: "pcm16",
        AudioFormat.PCMU: "g711_ulaw",
        AudioFormat.PCMA: "g711_alaw",
    },
    parts={
        PartKind.INPUT_TEXT: "input_text",
        PartKind.INPUT_AUDIO: "input_audio",
        PartKind.OUTPUT_TEXT: "text",
        PartKind.OUTPUT_AUDIO: "audio",
    },
    client_parts={
        Role.SYSTEM: frozenset({"input_text"}),
        Role.USER: frozenset({"input_text", "input_audio"}),
        Role.ASSISTANT: frozenset({"text"}),
    },
    spoken=["text", "audio"],
    item={"object": "realtime.item"},
    lacks=frozenset({e.InputTimedOut, *_MCP_EVENTS}),
    update_types={
        SessionKind.REALTIME: "session.update",
        SessionKind.TRANSCRIPTION: "transcription_session.update",
    },
    rare=frozenset(),
    hidden={
        SessionKind.TRANSCRIPTION: {"turn_detection": {"create_response", "interrupt_response"}}
    },
    hides_sizes=False,
    names_calls=False,
    counts_images=False,
    limits_first=True,
)

GA = DialectTable(
    name=DialectName.GA,
    names=Names(
        text="response.output_text",
        audio="response.output_audio",
        transcript="response.output_audio_transcript",
        item_added="conversation.item.added",
        item_done="conversation.item.done",
        session=dict.fromkeys(SessionKind, "session"),
    ),
    shapes=Shapes(
        sessions={
            SessionKind.REALTIME: ga.SessionShape,
            SessionKind.TRANSCRIPTION: ga.TranscriptionSessionShape,
        },
        updates={
            SessionKind.REALTIME: ga.SessionUpdate,
            SessionKind.TRANSCRIPTION: ga.TranscriptionUpdate,
        },
        item_create=ga.ItemCreate,
        response_create=ga.ResponseCreate,
        response=ga.ResponseShape,
    ),
    places=Places(
        input_format="audio.input.format",
        transcription="audio.input.transcription",
        turn_detection="audio.input.turn_detection",
        output_format="audio.output.format",
        voice="audio.output.voice",
        speed="audio.output.speed",
        modalities="output_modalities",
        limit="max_output_tokens",
    ),
    formats={
        AudioFormat.PCM_24KHZ: {"type": "audio/pcm", "rate": 24000},
        AudioFormat.PCMU: {"type": "audio/pcmu"},
        AudioFormat.PCMA: {"type": "audio/pcma"},
    },
    parts={kind: kind.value for kind in PartKind},
    client_parts={
        Role.SYSTEM: frozenset({"input_text"}),
        Role.USER: frozenset({"input_text", "input_audio", "input_image"}),
        Role.ASSISTANT: frozenset({"output_text"}),
    },
    spoken=["audio"],
    item={},
    lacks=frozenset(),
    update_types=dict.fromkeys(SessionKind, "session.update"),
    rare=frozenset({"reasoning", "parallel_tool_calls"}),
    hidden={},
    hides_sizes=True,
    names_calls=True,
    counts_images=True,
    limits_first=False,
)

DIALECTS = {each.name: each for each in (BETA, GA)}
