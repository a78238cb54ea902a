"""Server events of the GA dialect where they are its own (`PROTOCOL.md` sections 3, 5 and 7)."""

from bridge.realtime import events as e
from bridge.realtime.items import PartKind
from bridge.realtime.session_config import AudioFormat, ResponseConfig
from bridge.simulator.mcp_events import McpEvent, write_mcp_event
from bridge.simulator.server_events import (
    TOKEN_LIMIT,
    SessionState,
    SharedEvent,
    Spelling,
    write_limit,
    write_outcome,
    write_placed,
    write_shared,
    write_usage,
)
from bridge.simulator.wire import WireObject

GA = Spelling(
    text="response.output_text",
    audio="response.output_audio",
    transcript="response.output_audio_transcript",
    parts={kind: kind.value for kind in PartKind},
    item={},
    hides_sizes=True,
    names_calls=True,
)
FORMATS: dict[AudioFormat, WireObject] = {
    AudioFormat.PCM_24KHZ: {"type": "audio/pcm", "rate": 24000},
    AudioFormat.PCMU: {"type": "audio/pcmu"},
    AudioFormat.PCMA: {"type": "audio/pcma"},
}


def write_event(event: e.ServerEvent, state: SessionState) -> list[WireObject]:
    """Write one event.

    Returns:
        The objects to send in order; ``response.done`` brings ``rate_limits.updated`` with it.

    Raises:
        AssertionError: an event that this simulator never makes.
    """
    if isinstance(event, SharedEvent):
        return [write_shared(event, GA)]
    if isinstance(event, McpEvent):
        return [write_mcp_event(event)]
    match event:
        case e.SessionCreated():
            return [{"type": "session.created", "session": state.session}]
        case e.SessionUpdated():
            return [{"type": "session.updated", "session": state.session}]
        case e.ItemAdded():
            return [write_placed("conversation.item.added", event, GA)]
        case e.ItemDone():
            return [write_placed("conversation.item.done", event, GA)]
        case e.InputTimedOut():
            return [_timed_out(event)]
        case e.ResponseCreated():
            return [{"type": "response.created", "response": _response(event, state)}]
        case e.ResponseDone():
            return [_response_done(event, state), _rate_limits(event.usage)]
        case _:
            raise AssertionError(f"the simulator makes no {type(event).__name__}")


def _timed_out(event: e.InputTimedOut) -> WireObject:
    return {
        "type": "input_audio_buffer.timeout_triggered",
        "item_id": event.item_id,
        "audio_start_ms": event.audio_start_ms,
        "audio_end_ms": event.audio_end_ms,
    }


def _response_done(event: e.ResponseDone, state: SessionState) -> WireObject:
    response = {**_response(event, state), **write_outcome(event, GA)}
    if event.usage is not None:
        response["usage"] = _usage(event.usage)
    return {"type": "response.done", "response": response}


def _response(event: e.ResponseCreated | e.ResponseDone, state: SessionState) -> WireObject:
    """Return a response object without an outcome."""
    asked = state.asked.get(event.response_id, ResponseConfig())
    session = state.session
    audio = session["audio"]
    output = audio["output"] if isinstance(audio, dict) else {}
    modalities = session["output_modalities"]
    if asked.output_audio is not None:
        modalities = ["audio"] if asked.output_audio else ["text"]
    given_format = FORMATS[asked.output_format] if asked.output_format else output["format"]
    return {
        "object": "realtime.response",
        "id": event.response_id,
        "status": "in_progress",
        "status_details": None,
        "output": [],
        "conversation_id": None if asked.out_of_band else state.identity.conversation_id,
        "output_modalities": modalities,
        "max_output_tokens": asked.max_output_tokens or session["max_output_tokens"],
        "audio": {"output": {"format": given_format, "voice": asked.voice or output["voice"]}},
        "usage": None,
        "metadata": dict(event.metadata) or None,
    }


def _usage(usage: e.Usage) -> WireObject:
    """Write the tokens of a response; GA counts images too."""
    written = write_usage(usage)
    details = written["input_token_details"]
    if isinstance(details, dict):
        cached = {**details["cached_tokens_details"], "image_tokens": usage.cached_image}
        written["input_token_details"] = {
            **details,
            "image_tokens": usage.input_image,
            "cached_tokens_details": cached,
        }
    return written


def _rate_limits(usage: e.Usage | None) -> WireObject:
    """Write the limits that follow a response; only tokens are seen on the GA wire."""
    used = usage.total if usage is not None else 0
    limits = [write_limit("tokens", TOKEN_LIMIT, used)]
    return {"type": "rate_limits.updated", "rate_limits": limits}
