"""Response objects, their usage and the rate limits, as the server writes them.

`PROTOCOL.md` sections 3, 5 and 7.
"""

from bridge.realtime import events as e
from bridge.realtime.event_values import ResponseStatus, Usage
from bridge.realtime.session_config import ResponseConfig
from bridge.simulator.dialects import DialectTable
from bridge.simulator.server_items import write_item
from bridge.simulator.wire import DialectName, WireObject, WireState

_TOKEN_LIMIT = 1_000_000
_REQUEST_LIMIT = 5_000
_WINDOW_S = 60.0
_TOKENS_SET_ASIDE = 4_096
"""The beta sets aside what a response may take when it begins."""

# Of a failed response, as captured: the type of the error, and its text.
_FAILURES = {
    "rate_limit_exceeded": ("tokens", "Rate limit reached. Please try again later."),
    "insufficient_quota": ("insufficient_quota", "You exceeded your current quota."),
}
_FAILED = ("server_error", "The server had an error while processing your request.")


def write_created(
    event: e.ResponseCreated, dialect: DialectTable, state: WireState
) -> list[WireObject]:
    """Write that a response has begun; in the beta the limits come with it."""
    created: WireObject = {
        "type": "response.created",
        "response": _response(event, dialect, state),
    }
    if not dialect.limits_first:
        return [created]
    requests = _limit("requests", _REQUEST_LIMIT, 1)
    return [created, _rate_limits(requests, _limit("tokens", _TOKEN_LIMIT, _TOKENS_SET_ASIDE))]


def write_done(event: e.ResponseDone, dialect: DialectTable, state: WireState) -> list[WireObject]:
    """Write that a response has ended; in GA the limits follow it, of tokens alone."""
    response = {**_response(event, dialect, state), **_outcome(event, dialect)}
    if event.usage is not None:
        response["usage"] = _usage(event.usage, dialect)
    done: WireObject = {"type": "response.done", "response": response}
    if dialect.limits_first:
        return [done]
    used = event.usage.total if event.usage is not None else 0
    return [done, _rate_limits(_limit("tokens", _TOKEN_LIMIT, used))]


def _response(
    event: e.ResponseCreated | e.ResponseDone, dialect: DialectTable, state: WireState
) -> WireObject:
    """Return a response object without an outcome."""
    asked = state.asked.get(event.response_id, ResponseConfig())
    return {
        "object": "realtime.response",
        "id": event.response_id,
        "status": "in_progress",
        "status_details": None,
        "output": [],
        "conversation_id": None if asked.out_of_band else state.identity.conversation_id,
        **_settings(asked, dialect, state.session),
        "usage": None,
        "metadata": dict(event.metadata) or None,
    }


def _settings(asked: ResponseConfig, dialect: DialectTable, session: WireObject) -> WireObject:
    """Return what a response object says of its settings: its own, or else the session's."""
    places = dialect.places
    modalities = session[places.modalities]
    if asked.output_audio is not None:
        modalities = dialect.spoken if asked.output_audio else ["text"]
    limit = asked.max_output_tokens or session[places.limit]
    given = dialect.formats[asked.output_format] if asked.output_format else None
    if dialect.name is DialectName.GA:
        audio = session["audio"]
        output = audio["output"] if isinstance(audio, dict) else {}
        voiced = {"format": given or output["format"], "voice": asked.voice or output["voice"]}
        return {
            places.modalities: modalities,
            places.limit: limit,
            "audio": {"output": voiced},
        }
    temperature = asked.temperature if asked.temperature is not None else session["temperature"]
    return {
        places.modalities: modalities,
        places.voice: asked.voice or session[places.voice],
        places.output_format: given or session[places.output_format],
        "temperature": temperature,
        "max_output_tokens": limit,
    }


def _outcome(event: e.ResponseDone, dialect: DialectTable) -> WireObject:
    """Write what of a response object is known only at its end."""
    details: WireObject = {"type": event.status.value}
    if event.reason is not None:
        details["reason"] = event.reason
    if event.error_code is not None:
        kind, message = _FAILURES.get(event.error_code, _FAILED)
        details["error"] = {"type": kind, "code": event.error_code, "message": message}
    completed = event.status is ResponseStatus.COMPLETED
    return {
        "status": event.status.value,
        "status_details": None if completed else details,
        "output": [write_item(item, dialect) for item in event.output],
    }


def _usage(usage: Usage, dialect: DialectTable) -> WireObject:
    """Write the tokens of a response; GA counts images, too."""
    images, cached_images = (
        ({"image_tokens": usage.input_image}, {"image_tokens": usage.cached_image})
        if dialect.counts_images
        else ({}, {})
    )
    return {
        "total_tokens": usage.total,
        "input_tokens": usage.input_text + usage.input_audio + usage.input_image,
        "output_tokens": usage.output_text + usage.output_audio,
        "input_token_details": {
            "text_tokens": usage.input_text,
            "audio_tokens": usage.input_audio,
            "cached_tokens": usage.cached_text + usage.cached_audio + usage.cached_image,
            "cached_tokens_details": {
                "text_tokens": usage.cached_text,
                "audio_tokens": usage.cached_audio,
                **cached_images,
            },
            **images,
        },
        "output_token_details": {
            "text_tokens": usage.output_text,
            "audio_tokens": usage.output_audio,
        },
    }


def _rate_limits(*limits: WireObject) -> WireObject:
    return {"type": "rate_limits.updated", "rate_limits": list(limits)}


def _limit(name: str, limit: int, used: int) -> WireObject:
    return {
        "name": name,
        "limit": limit,
        "remaining": max(0, limit - used),
        "reset_seconds": round(_WINDOW_S * used / limit, 3),
    }
