"""Server events of the beta dialect where they are its own (`PROTOCOL.md` sections 3, 5 and 7).

There is no event for a finished item, and none for an idle caller; the limits come with
``response.created``.
"""

from bridge.realtime import events as e
from bridge.realtime.items import PartKind
from bridge.realtime.session_config import AudioFormat, ResponseConfig, SessionKind
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

BETA = Spelling(
    text="response.text",
    audio="response.audio",
    transcript="response.audio_transcript",
    parts={
        PartKind.INPUT_TEXT: "input_text",
        PartKind.INPUT_AUDIO: "input_audio",
        PartKind.OUTPUT_TEXT: "text",
        PartKind.OUTPUT_AUDIO: "audio",
    },
    item={"object": "realtime.item"},
    hides_sizes=False,
    names_calls=False,
)
FORMATS = {
    AudioFormat.PCM_24KHZ: "pcm16",
    AudioFormat.PCMU: "g711_ulaw",
    AudioFormat.PCMA: "g711_alaw",
}
_REQUEST_LIMIT = 5_000
# What a response may take is set aside when it begins.
_TOKENS_SET_ASIDE = 4_096
_SESSION_EVENTS = {
    SessionKind.REALTIME: "session",
    SessionKind.TRANSCRIPTION: "transcription_session",
}


def write_event(event: e.ServerEvent, state: SessionState) -> list[WireObject]:
    """Write one event.

    Returns:
        The objects to send in order; ``response.created`` brings ``rate_limits.updated`` with it.

    Raises:
        AssertionError: an event that this simulator never makes.
    """
    if isinstance(event, SharedEvent):
        return [write_shared(event, BETA)]
    session = _SESSION_EVENTS[state.identity.kind]
    match event:
        case e.SessionCreated():
            return [{"type": f"{session}.created", "session": state.session}]
        case e.SessionUpdated():
            return [{"type": f"{session}.updated", "session": state.session}]
        case e.ItemAdded():
            return [write_placed("conversation.item.created", event, BETA)]
        case e.ItemDone():
            return []
        case e.ResponseCreated():
            created: WireObject = {"type": "response.created", "response": _response(event, state)}
            return [created, _rate_limits()]
        case e.ResponseDone():
            return [_response_done(event, state)]
        case _:
            raise AssertionError(f"the simulator makes no {type(event).__name__} in the beta")


def _response_done(event: e.ResponseDone, state: SessionState) -> WireObject:
    response = {**_response(event, state), **write_outcome(event, BETA)}
    if event.usage is not None:
        response["usage"] = write_usage(event.usage)
    return {"type": "response.done", "response": response}


def _response(event: e.ResponseCreated | e.ResponseDone, state: SessionState) -> WireObject:
    """Return a response object without an outcome."""
    asked = state.asked.get(event.response_id, ResponseConfig())
    session = state.session
    modalities = session["modalities"]
    if asked.output_audio is not None:
        modalities = ["text", "audio"] if asked.output_audio else ["text"]
    given_format = FORMATS[asked.output_format] if asked.output_format else None
    temperature = asked.temperature if asked.temperature is not None else session["temperature"]
    return {
        "object": "realtime.response",
        "id": event.response_id,
        "status": "in_progress",
        "status_details": None,
        "output": [],
        "conversation_id": None if asked.out_of_band else state.identity.conversation_id,
        "modalities": modalities,
        "voice": asked.voice or session["voice"],
        "output_audio_format": given_format or session["output_audio_format"],
        "temperature": temperature,
        "max_output_tokens": asked.max_output_tokens or session["max_response_output_tokens"],
        "usage": None,
        "metadata": dict(event.metadata) or None,
    }


def _rate_limits() -> WireObject:
    limits = [
        write_limit("requests", _REQUEST_LIMIT, 1),
        write_limit("tokens", TOKEN_LIMIT, _TOKENS_SET_ASIDE),
    ]
    return {"type": "rate_limits.updated", "rate_limits": limits}
