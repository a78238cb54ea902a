"""The flavours that an arm may name: a row for each server that speaks a dialect in its own way.

Each row cites what it was written from, with its day; nobody has called any of these servers from
here. `PROTOCOL.md` section 12 lists what that leaves open.
"""

from collections.abc import Mapping
from types import MappingProxyType

from bridge.realtime.commands import ClearInput, DeleteItem, RetrieveItem, TruncateItem
from bridge.realtime.events import ConversationCreated, SessionCreated
from bridge.realtime.flavour import PLAIN, Flavour
from bridge.realtime.session_config import AudioFormat

_ANY_PCM = tuple(each for each in AudioFormat if each.is_pcm)
_AS_SPECIFIED = (AudioFormat.PCM_24KHZ, AudioFormat.PCMU, AudioFormat.PCMA)
"""What OpenAI's specification has in either dialect: PCM at 24 kHz alone, and G.711."""

_UNDOCUMENTED = "its documentation has no such field"
_UNREAD = "it takes no notice of it"
_BY_ITSELF = "it answers each of the caller's turns, and stops its answers, by itself"
_REMEMBERS = "it goes on believing that the caller heard all of an answer that was cut off"
_STAYS = "what was said stays in its memory"
_NO_TOKENS = "its documentation has no client secrets of this dialect"

_NO_SWITCH = {
    "turn_detection.create_response": _BY_ITSELF,
    "turn_detection.interrupt_response": _BY_ITSELF,
}

AZURE = Flavour("azure", dialects=("ga", "beta"), hears=_AS_SPECIFIED, says=_AS_SPECIFIED)
"""Azure OpenAI: as OpenAI, but for the key's header (set by the arm's default ``auth``) and the
names of models, which are those of the resource's deployments, in transcription, too
(learn.microsoft.com, "Audio events reference", 2026, which follows OpenAI's specification, audio
included; "Use the GPT Realtime API via WebSockets", 2026)."""

XAI = Flavour(
    "xai",
    dialects=("ga",),
    opens_with=(SessionCreated, ConversationCreated),
    session_s=60 * 60,
    lacks={
        **dict.fromkeys(
            (
                "max_output_tokens",
                "tool_choice",
                "parallel_tool_calls",
                "noise_reduction",
                "noise_reduction_strength",
                "temperature",
                "tracing",
                "truncation",
                "include",
                "prompt",
                "transcription.prompt",
                "transcription.languages",
                "transcription.delay",
            ),
            _UNDOCUMENTED,
        ),
        "transcription.model": "its own model transcribes; to name one changes its events",
        **_NO_SWITCH,
    },
    no_semantic_vad="it has server_vad alone",
    answers_by_itself=_BY_ITSELF,
    homes={
        "type": None,
        "output_modalities": None,
        "audio.output.voice": "voice",
        "audio.input.turn_detection": "turn_detection",
        "audio.input.transcription.model": None,
        "audio.input.transcription.language": "audio.input.transcription.language_hint",
        "audio.input.transcription.keywords": "audio.input.transcription.keyterms",
    },
    quiet=frozenset({"ping", "conversation.item.input_audio_transcription.updated"}),
    hollow={
        "response.output_audio_transcript.done": "transcript",
        "response.content_part.done": "part",
        "response.function_call_arguments.delta": "response_id",
        "response.function_call_arguments.done": "response_id",
    },
)
"""xAI's Voice Agent API (docs.x.ai, "Voice Agent API", 2026; pipecat's and LiveKit's clients of
2026-08 and tau2-bench's of 2026-05, the first two with changes by xAI itself). Older endpoints
begin with ``conversation.created``; an hour a session."""

INWORLD = Flavour(
    "inworld",
    dialects=("ga",),
    hears=(AudioFormat.PCM_24KHZ,),
    says=(AudioFormat.PCM_24KHZ,),
    fresh_parameter="key",
    no_tokens="its session tokens are made in a way of its own",
    names_model=True,
    takes=frozenset({"temperature"}),
    lacks=dict.fromkeys(
        ("noise_reduction", "noise_reduction_strength", "tracing", "include", "prompt"),
        _UNDOCUMENTED,
    ),
)
"""Inworld's Realtime API (docs.inworld.ai, "WebSocket", "OpenAI migration" and "Realtime API
(WebSocket)", 2026; pipecat's client of 2026-06). The model is named in the session; a session has a
``key`` that the client makes up. Session tokens: docs.inworld.ai, "Authentication overview",
2026. G.711 is in pipecat's types and was seen to be answered in PCM
(tau2-bench's client)."""

QWEN = Flavour(
    "qwen",
    dialects=("beta",),
    hears=(AudioFormat.PCM_16KHZ,),
    says=(AudioFormat.PCM_24KHZ,),
    names_itself=False,
    session_s=120 * 60,
    lacks={
        **dict.fromkeys(
            (
                "tool_choice",
                "noise_reduction",
                "speed",
                "tracing",
                "transcription.language",
                "transcription.prompt",
                "turn_detection.prefix_padding_ms",
                "turn_detection.eagerness",
            ),
            _UNDOCUMENTED,
        ),
        **_NO_SWITCH,
    },
    answers_by_itself=_BY_ITSELF,
    homes={"max_response_output_tokens": "max_tokens"},
    words={
        "input_audio_format": {"pcm16": "pcm"},
        "output_audio_format": {"pcm16": "pcm"},
    },
    nests_tools=True,
    no_tokens=_NO_TOKENS,
    not_taken={TruncateItem: _REMEMBERS, DeleteItem: _STAYS, RetrieveItem: "nothing is retrieved"},
    moved={
        "response.done": {
            "response.usage.input_tokens_details": "response.usage.input_token_details",
            "response.usage.output_tokens_details": "response.usage.output_token_details",
        }
    },
)
"""Qwen-Omni-Realtime of Alibaba Cloud Model Studio ("Client events" and "Server events", last
updated 2026-10-23; "Qwen-Omni-Realtime", 2026-06-12): the beta's shape without the beta's header,
16 kHz in, 24 kHz out, 120 minutes a session, nothing of items but their creation."""

VLLM_OMNI = Flavour(
    "vllm-omni",
    dialects=("ga",),
    names_model=True,
    hears=(AudioFormat.PCM_16KHZ,),
    says=(AudioFormat.PCM_24KHZ,),
    opens_by_update=True,
    takes=frozenset({"temperature"}),
    lacks={
        **dict.fromkeys(
            (
                "parallel_tool_calls",
                "reasoning_effort",
                "truncation",
                "include",
                "prompt",
                "transcription.prompt",
                "transcription.languages",
                "transcription.keywords",
                "transcription.delay",
                "turn_detection.idle_timeout_ms",
            ),
            _UNDOCUMENTED,
        ),
        **_NO_SWITCH,
    },
    no_semantic_vad="it has server_vad alone",
    answers_by_itself=_BY_ITSELF,
    answers_audio_alone="it makes an answer of the caller's audio alone",
    homes={
        "audio.output.voice": "voice",
        "audio.output.speed": "speed",
        "audio.input.turn_detection": "turn_detection",
        "audio.input.transcription": "input_audio_transcription",
        "audio.input.noise_reduction": "input_audio_noise_reduction",
        "max_output_tokens": "max_response_output_tokens",
    },
    user_items_alone=True,
    no_tokens=_NO_TOKENS,
    quiet=frozenset(
        {
            "conversation.item.created",  # conversation.item.added comes, too
            "response.listen",
            "response.speak",
            "overlap.decision",
            "turn.event",
            "playback.acknowledged",
            "session.heartbeat_ack",
        }
    ),
)
"""vLLM-Omni's "Realtime Duplex API" (the project's page of that name, commit 09c32f18, 2026-11): no
session before the first update, both spellings of an item at once, turn detection of its own,
16 kHz in, 24 kHz out."""

LOCALAI = Flavour(
    "localai",
    dialects=("ga",),
    hears=_ANY_PCM,
    says=_ANY_PCM,
    lacks={
        **dict.fromkeys(
            (
                "noise_reduction",
                "noise_reduction_strength",
                "speed",
                "parallel_tool_calls",
                "reasoning_effort",
                "truncation",
                "tracing",
                "include",
                "prompt",
                "turn_detection.idle_timeout_ms",
            ),
            _UNREAD,
        ),
        **_NO_SWITCH,
    },
    answers_by_itself=_BY_ITSELF,
    no_tokens=_NO_TOKENS,
    not_taken={
        TruncateItem: "an answer that was cut off is not in its memory at all",
        DeleteItem: _STAYS,
        ClearInput: "audio that was sent stays in its buffer",
    },
)
"""LocalAI (its `core/http/endpoints/openai/realtime.go`, commit 00027e05, 2026-05; localai.io,
"Realtime API"): a pipeline of recogniser, model and voice behind GA's events."""

FLAVOURS: Mapping[str, Flavour] = MappingProxyType(
    {each.name: each for each in (PLAIN, AZURE, XAI, INWORLD, QWEN, VLLM_OMNI, LOCALAI)}
)
