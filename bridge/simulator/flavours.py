"""Servers with a way of their own with a dialect, a row each: the events that they take and send.

Written from the servers' own documentation and sources, which each row cites, and not from the
product's table: a mistake there shows here. What the documentation leaves open is as the dialect
has it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from bridge.simulator.scenario import DoorSpec
from bridge.simulator.wire import DialectName

Place = str
"""Keys of an object with dots between them."""

_ANY_DOOR = DoorSpec()

_ITEMS = frozenset(
    {
        "conversation.item.create",
        "conversation.item.retrieve",
        "conversation.item.truncate",
        "conversation.item.delete",
    }
)
_BUFFER = frozenset(
    {"input_audio_buffer.append", "input_audio_buffer.commit", "input_audio_buffer.clear"}
)
_TALK = frozenset({"session.update", "response.create", "response.cancel"}) | _BUFFER


@dataclass(frozen=True, slots=True)
class ServerRow:
    """A server; what is left at its default is as its dialect has it.

    Attributes:
        dialect: None: a client's handshake chooses it.
        door: what it demands of a handshake.
        any_model: models have names of their own.
        takes: client events that it knows; None: its dialect's.
        overlooks: client events that it passes over without a word.
        refuses: client events that it answers with an error: code and message.
        session: places that a session may have; anything may stand beneath. None: its dialect's.
        only: the values that stand at a place, if any does.
        demands: what the first update has to name.
        homes: where it has what its dialect has at another place; "" for nowhere.
        words: by place in its session, its value -> the dialect's.
        hears_hz: rate of the PCM that it hears.
        nests_tools: functions stand in an object of their own.
        answers_by_itself: it takes no notice of ``create_response`` and ``interrupt_response``.
        answers_audio_alone: a response needs audio that was committed.
        users_alone: messages of others can't be put into the conversation.
        first: ``created``; ``conversation``: ``conversation.created`` in its place; ``update``: the
            session begins with the first update.
        shows: places of the session that it confirms; None: all.
        leaves_out: by event, keys that it doesn't have.
        doubles: event -> the other name by which it is sent once more, before it.
        unsent: events of the dialect that it never sends.
        renames: by event, where it has what the dialect has at another place.
        nameless_speech: speech has no item, and what is made of it no common name.
        sells_tokens: it has a token service, in its dialect's way.
        ping_s: time between its pings.
        lifetime_s: of a session.
    """

    dialect: DialectName | None = None
    door: DoorSpec = _ANY_DOOR
    any_model: bool = True
    takes: frozenset[str] | None = None
    overlooks: frozenset[str] = frozenset()
    refuses: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    session: frozenset[Place] | None = None
    only: Mapping[Place, tuple[object, ...]] = field(default_factory=dict)
    demands: frozenset[str] = frozenset()
    homes: Mapping[Place, Place] = field(default_factory=dict)
    words: Mapping[Place, Mapping[str, str]] = field(default_factory=dict)
    hears_hz: int = 24_000
    nests_tools: bool = False
    answers_by_itself: bool = False
    answers_audio_alone: bool = False
    users_alone: bool = False
    first: str = "created"
    shows: frozenset[Place] | None = None
    leaves_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    doubles: Mapping[str, str] = field(default_factory=dict)
    unsent: frozenset[str] = frozenset()
    renames: Mapping[str, Mapping[Place, Place]] = field(default_factory=dict)
    nameless_speech: bool = False
    sells_tokens: bool = True
    ping_s: float | None = None
    lifetime_s: int | None = None


_AZURE = ServerRow(door=DoorSpec(auth="header", name="api-key", refuses_at_upgrade=True))
"""learn.microsoft.com, "Use the GPT Realtime API via WebSockets" and "Audio events reference"."""

_XAI = ServerRow(
    dialect=DialectName.GA,
    takes=_TALK | _ITEMS,
    session=frozenset(
        {
            "model",
            "instructions",
            "voice",
            "turn_detection.type",
            "turn_detection.threshold",
            "turn_detection.prefix_padding_ms",
            "turn_detection.silence_duration_ms",
            "turn_detection.idle_timeout_ms",
            "audio.input.format",
            "audio.input.transcription.language_hint",
            "audio.input.transcription.keyterms",
            "audio.output.format",
            "audio.output.speed",
            "reasoning.effort",
            "tools",
        }
    ),
    only={"turn_detection.type": ("server_vad", None)},
    homes={
        "voice": "audio.output.voice",
        "turn_detection": "audio.input.turn_detection",
        "audio.input.transcription.language_hint": "audio.input.transcription.language",
        "audio.input.transcription.keyterms": "audio.input.transcription.keywords",
    },
    answers_by_itself=True,
    shows=frozenset({"id", "instructions", "voice", "turn_detection", "audio", "tools", "model"}),
    leaves_out={
        "input_audio_buffer.speech_started": ("audio_start_ms",),
        "input_audio_buffer.speech_stopped": ("audio_end_ms",),
        "response.output_audio_transcript.delta": ("output_index", "content_index"),
        "response.output_audio_transcript.done": ("transcript", "output_index", "content_index"),
        "response.output_audio.done": ("output_index", "content_index"),
        "response.content_part.done": ("part",),
        "response.function_call_arguments.done": ("response_id", "item_id", "output_index"),
        "conversation.item.input_audio_transcription.completed": ("content_index", "usage"),
    },
    unsent=frozenset(
        {
            "conversation.item.done",
            "rate_limits.updated",
            "conversation.item.input_audio_transcription.delta",
        }
    ),
    ping_s=1.0,
    lifetime_s=60 * 60,
)
"""docs.x.ai, "Voice Agent API", as pipecat's event classes of 2026-08 have it, field by field. The
time between pings is ours: it is documented nowhere."""

_XAI_OLD = replace(_XAI, first="conversation")
"""The same as it began until 2026-06 (tau2-bench's client: older endpoints)."""

_INWORLD = ServerRow(
    dialect=DialectName.GA,
    sells_tokens=False,
    door=DoorSpec(auth="basic", query={"protocol": "realtime", "key": "?*"}),
    takes=_TALK | _ITEMS,
    session=frozenset(
        {
            "type",
            "model",
            "instructions",
            "output_modalities",
            "temperature",
            "max_output_tokens",
            "tools",
            "tool_choice",
            "truncation",
            "reasoning",
            "parallel_tool_calls",
            "audio.input.format",
            "audio.input.transcription",
            "audio.input.turn_detection",
            "audio.output",
        }
    ),
    homes={"temperature": ""},
    demands=frozenset({"model"}),
    unsent=frozenset({"rate_limits.updated"}),
)
"""docs.inworld.ai, "WebSocket" and "Realtime API (WebSocket)" (2026)."""

_QWEN = ServerRow(
    dialect=DialectName.BETA,
    sells_tokens=False,
    takes=_TALK | {"conversation.item.create"},
    session=frozenset(
        {
            "modalities",
            "voice",
            "input_audio_format",
            "output_audio_format",
            "input_audio_transcription.model",
            "instructions",
            "smooth_output",
            "turn_detection.type",
            "turn_detection.threshold",
            "turn_detection.silence_duration_ms",
            "turn_detection.idle_timeout_ms",
            "tools",
            "temperature",
            "max_tokens",
        }
    ),
    only={
        "input_audio_format": ("pcm",),
        "output_audio_format": ("pcm",),
        "turn_detection.type": ("server_vad", "semantic_vad"),
    },
    homes={"max_tokens": "max_response_output_tokens"},
    words={"input_audio_format": {"pcm": "pcm16"}, "output_audio_format": {"pcm": "pcm16"}},
    hears_hz=16_000,
    nests_tools=True,
    answers_by_itself=True,
    leaves_out={
        "input_audio_buffer.committed": ("previous_item_id",),
        "conversation.item.created": ("previous_item_id",),
        "conversation.item.input_audio_transcription.completed": ("usage",),
        "session.created": ("session.expires_at",),
        "session.updated": ("session.expires_at",),
    },
    unsent=frozenset({"rate_limits.updated", "conversation.item.input_audio_transcription.delta"}),
    renames={
        "response.done": {
            "response.usage.input_token_details": "response.usage.input_tokens_details",
            "response.usage.output_token_details": "response.usage.output_tokens_details",
        }
    },
    lifetime_s=120 * 60,
)
"""Alibaba Cloud Model Studio, "Client events" and "Server events" of Qwen-Omni-Realtime (last
updated 2026-10-23, and the Chinese pages as kept in Yuis1/dev_docs)."""

_VLLM_OMNI = ServerRow(
    dialect=DialectName.GA,
    sells_tokens=False,
    door=DoorSpec(query={"duplex": "[1o]*"}),
    takes=_TALK | _ITEMS | {"output_audio_buffer.clear"},
    session=frozenset(
        {
            "type",
            "model",
            "modalities",
            "output_modalities",
            "instructions",
            "voice",
            "audio.input.format",
            "audio.output.format",
            "turn_detection.type",
            "turn_detection.threshold",
            "turn_detection.prefix_padding_ms",
            "turn_detection.silence_duration_ms",
            "input_audio_transcription",
            "input_audio_noise_reduction",
            "tools",
            "tool_choice",
            "temperature",
            "max_response_output_tokens",
            "speed",
            "tracing",
        }
    ),
    only={"turn_detection.type": ("server_vad",)},
    demands=frozenset({"model"}),
    hears_hz=16_000,
    homes={
        "temperature": "",
        "voice": "audio.output.voice",
        "speed": "audio.output.speed",
        "turn_detection": "audio.input.turn_detection",
        "input_audio_transcription": "audio.input.transcription",
        "input_audio_noise_reduction": "audio.input.noise_reduction",
        "max_response_output_tokens": "max_output_tokens",
    },
    answers_by_itself=True,
    answers_audio_alone=True,
    users_alone=True,
    first="update",
    doubles={"conversation.item.added": "conversation.item.created"},
    leaves_out={
        "session.created": ("session.expires_at",),
        "session.updated": ("session.expires_at",),
    },
    unsent=frozenset({"conversation.item.input_audio_transcription.delta"}),
)
"""vllm-project/vllm-omni, its page "Realtime Duplex API" at 09c32f18 (2026-11)."""

_LOCALAI = ServerRow(
    dialect=DialectName.GA,
    sells_tokens=False,
    overlooks=frozenset({"conversation.item.truncate", "input_audio_buffer.clear"}),
    refuses={
        "conversation.item.delete": ("not_implemented", "Deleting items not implemented"),
        "input_audio_buffer.commit": (
            "not_implemented",
            "input_audio_buffer.commit in conjunction with VAD",
        ),
    },
    answers_by_itself=True,
    shows=frozenset(
        {
            "id",
            "object",
            "type",
            "model",
            "instructions",
            "tools",
            "tool_choice",
            "max_output_tokens",
            "output_modalities",
            "audio.input.turn_detection",
            "audio.input.transcription",
            "audio.output.voice",
        }
    ),
    leaves_out={
        "response.done": ("response.output", "response.usage"),
        "input_audio_buffer.committed": ("previous_item_id",),
        "conversation.item.added": ("previous_item_id",),
        "conversation.item.input_audio_transcription.completed": ("usage",),
    },
    unsent=frozenset(
        {
            "conversation.item.done",
            "rate_limits.updated",
            "conversation.item.input_audio_transcription.delta",
        }
    ),
    nameless_speech=True,
)
"""mudler/LocalAI, `core/http/endpoints/openai/realtime.go` at 00027e05 (2026-05)."""

PLAIN = ServerRow(any_model=False)
"""As its dialect has it."""

SERVERS: Mapping[str, ServerRow] = MappingProxyType(
    {
        "openai": PLAIN,
        "azure": _AZURE,
        "xai": _XAI,
        "xai-old": _XAI_OLD,
        "inworld": _INWORLD,
        "qwen": _QWEN,
        "vllm-omni": _VLLM_OMNI,
        "localai": _LOCALAI,
    }
)
