"""The session of the Live dialect as its first frame has it (`PROTOCOL.md` section 11).

A Live session is two models: the voice, which hears and speaks, and the backend, to which it
delegates whatever needs thought or a tool. What GA asks of its one model goes to one of the two.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from bridge.realtime.confirmed import Paths, pick
from bridge.realtime.items import FunctionCall, FunctionCallOutput, Item, Message, Role
from bridge.realtime.session_config import (
    AudioFormat,
    FunctionTool,
    McpToolChoice,
    SessionConfig,
    SessionInfo,
)
from bridge.realtime.wire import (
    WireObject,
    at,
    default_to,
    given,
    if_readable,
    inside_if_any,
    nested,
    optional,
    optional_str,
    require_int,
    require_str,
)
from bridge.realtime.wire_settings import differences, encode_tool, explained, is_custom_voice

MAX_INPUT_ITEMS = 128
"""Messages of an earlier talk that a session takes (reference of ``session.input``)."""

MAX_INPUT_TOKENS = 8_000
"""It takes 8192 tokens of them, by a count that is not ours."""

MAX_APPEND_TOKENS = 450
"""An append takes 500 (reference of ``session.instructions.append``), likewise."""

FORMATS: Mapping[AudioFormat, WireObject] = {
    AudioFormat.PCM_24KHZ: {"type": "audio/pcm", "rate": 24000},
    AudioFormat.PCM_16KHZ: {"type": "audio/pcm", "rate": 16000},
    AudioFormat.PCMU: {"type": "audio/pcmu", "rate": 8000},
    AudioFormat.PCMA: {"type": "audio/pcma", "rate": 8000},
}
"""Of one session, both ways."""
_TOOL_CHOICES = frozenset({"auto", "none", "required"})

_BY_ITSELF = "Live hears, waits and stops by itself, and takes no setting for it"
_NO_BACKEND = "in Live a backend model does this: name it in `session.delegation.model`"
_NO_WORD = "Live has no word for it"

_WHY_NOT = {
    "turn_detection": _BY_ITSELF,
    "noise_reduction": _BY_ITSELF,
    "transcription": "Live writes down both sides by itself, and takes no model or language for it",
    "tools": _NO_BACKEND,
    "tool_choice": _NO_BACKEND,
    "parallel_tool_calls": _NO_BACKEND,
    "reasoning_effort": _NO_BACKEND,
    "max_output_tokens": f"{_NO_BACKEND}; it takes a number, and no `inf`",
    "truncation": "Live looks after its context by itself",
}
_NO_SERVERS = "Live's reference names no field of an MCP server"
_WITH_BACKEND = {
    "tools": _NO_SERVERS,
    "tool_choice": _NO_SERVERS,
    "max_output_tokens": "Live takes a number, and no `inf`",
}


def sayable_in_live(config: SessionConfig) -> SessionConfig:
    """Reduce the settings to what Live has a word for: its session object is a strict one."""
    kept = SessionConfig(
        instructions=config.instructions,
        voice=config.voice,
        input_format=config.output_format,
        output_format=config.output_format,
        backend=config.backend,
    )
    if config.backend is None:
        return kept
    limit = config.max_output_tokens
    return dataclasses.replace(
        kept,
        tools=tuple(tool for tool in config.tools if isinstance(tool, FunctionTool)),
        tool_choice=None if isinstance(config.tool_choice, McpToolChoice) else config.tool_choice,
        parallel_tool_calls=config.parallel_tool_calls,
        reasoning_effort=config.reasoning_effort,
        max_output_tokens=None if limit == "inf" else limit,
    )


def unsupported_fields(config: SessionConfig) -> Mapping[str, str]:
    """Name what :func:`sayable_in_live` drops, and why."""
    dropped = differences(config, sayable_in_live(config))
    why = _WHY_NOT if config.backend is None else _WHY_NOT | _WITH_BACKEND
    return explained(dropped, why, _NO_WORD)


def _tool_choice(choice: str | McpToolChoice | None) -> str | WireObject | None:
    if choice is None or isinstance(choice, McpToolChoice):
        return None
    if choice in _TOOL_CHOICES:
        return choice
    return {"type": "function", "name": choice}


def _delegation(config: SessionConfig) -> WireObject:
    backend = config.backend
    if backend is None:
        return {"type": "client"}
    effort = config.reasoning_effort
    return given(
        type="responses",
        acknowledgement_delay_ms=backend.acknowledgement_delay_ms,
        responses=given(
            model=backend.model,
            instructions=backend.instructions or config.instructions,
            service_tier=backend.service_tier,
            tools=[encode_tool(tool) for tool in config.tools] or None,
            tool_choice=_tool_choice(config.tool_choice),
            parallel_tool_calls=config.parallel_tool_calls,
            max_output_tokens=config.max_output_tokens,
            reasoning=None if effort is None else {"effort": effort},
        ),
    )


def encode_start(config: SessionConfig, model: str, talk: Sequence[Item] = ()) -> WireObject:
    """Spell ``session`` of session.start.

    Args:
        config: what is sayable of it.
        model: of the voice.
        talk: of an earlier session, oldest first.
    """
    voice = {"id": config.voice} if is_custom_voice(config.voice) else config.voice
    return given(
        model=model,
        instructions=config.instructions,
        audio=given(
            format=FORMATS[config.output_format],
            output=None if voice is None else {"voice": voice},
        ),
        delegation=_delegation(config),
        input=list(_history(talk)) or None,
    )


# The talk so far


def _history(talk: Sequence[Item]) -> Iterator[WireObject]:
    """Spell the latest of the talk that the session takes, as messages of one text each."""
    kept: list[WireObject] = []
    room = MAX_INPUT_TOKENS
    for item in reversed(talk):
        role, text = said_by(item)
        room -= tokens_of(text)
        if room < 0 or len(kept) == MAX_INPUT_ITEMS:
            break
        if text:
            kind = "output_text" if role == "assistant" else "input_text"
            part = {"type": kind, "text": text}
            kept.append({"type": "message", "role": role, "content": [part]})
    yield from reversed(kept)


def said_by(item: Item) -> tuple[str, str]:
    """Return an item of the talk as Live's role and text; a tool's are the developer's note."""
    match item:
        case Message():
            role = "developer" if item.role is Role.SYSTEM else item.role.value
            return role, " ".join(part.text for part in item.parts if part.text)
        case FunctionCall():
            return "developer", f"The tool {item.name} was called with {item.arguments}."
        case FunctionCallOutput():
            return "developer", f"It gave: {item.output}"
        case _:
            return "developer", ""


def tokens_of(text: str) -> int:
    """Estimate the tokens of a text: four letters each of ASCII, one of any other script."""
    ascii_letters = sum(letter.isascii() for letter in text)
    return -(-ascii_letters // 4) + len(text) - ascii_letters


def within_tokens(text: str, limit: int) -> str:
    """Cut a text at the end of a word so that it has no more tokens, by that estimate."""
    if tokens_of(text) <= limit:
        return text
    end, left = 0, limit * 4
    while left >= (cost := 1 if text[end].isascii() else 4):
        left -= cost
        end += 1
    head = text[:end]
    return head[: head.rfind(" ")] if " " in head else head


# What the service confirms


def _read_format(obj: WireObject) -> AudioFormat | None:
    return next((ours for ours, wire in FORMATS.items() if wire == wire | obj), None)


def _read_voice(obj: WireObject, key: str) -> str | None:
    if isinstance(obj.get(key), dict):
        return nested(lambda voice: require_str(voice, "id"))(obj, key)
    return optional_str(obj, key)


_session_id = default_to("", require_str)
_expires_at_s = if_readable(require_int)
_format = inside_if_any("audio", at("format", optional(nested(_read_format))))
_voice_name = inside_if_any("audio", inside_if_any("output", at("voice", _read_voice)))

_RESPONSES = ("delegation", "responses")
PATHS: Paths = {
    "output_format": ("audio", "format"),
    "voice": ("audio", "output", "voice"),
    "tools": (*_RESPONSES, "tools"),
    "max_output_tokens": (*_RESPONSES, "max_output_tokens"),
    "reasoning": (*_RESPONSES, "reasoning"),
    "parallel_tool_calls": (*_RESPONSES, "parallel_tool_calls"),
}
"""Where what is compared stands in Live's session object."""


def read_session(obj: WireObject) -> SessionInfo:
    """Read the few settings of ``session`` that the bridge wants back."""
    wire_format = _format(obj, "format")
    return SessionInfo(
        session_id=_session_id(obj, "id"),
        model=optional_str(obj, "model"),
        expires_at_s=_expires_at_s(obj, "expires_at"),
        voice=_voice_name(obj, "voice"),
        input_format=wire_format,
        output_format=wire_format,
        settings=pick(obj, PATHS),
    )
