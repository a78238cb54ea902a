"""Every failure of a Realtime session in one table: layer, fault owner, cure.

Pure. Sources: `PROTOCOL.md` sections 1 and 7, RFC 6455 section 7.4.1, `NEEDS.md` section 4 "What to
separate". The words are those of :class:`UpstreamError.code` (``http_401``, ``timeout``, an API
code), ``close_<code>`` where a connection was closed, and the API's own error codes. What the table
lacks falls to :data:`DEFAULTS`, which are written down beside it.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from bridge.errors import BridgeError, ConfigError, Fault, ProtocolError, UpstreamError
from bridge.realtime.event_values import ApiError, ResponseStatus
from bridge.realtime.events import ResponseDone


class Layer(enum.StrEnum):
    """Where it failed (`NEEDS.md` section 4); a metric label."""

    CONNECTION = "connection"
    PROTOCOL = "protocol"
    MODEL = "model"
    TOOL = "tool"
    HOST = "host"
    """This process or its machine; it says nothing of the arm."""


class Cure(enum.StrEnum):
    """What can help."""

    NOTHING = "nothing"
    """The session stands and goes on; nothing is to be done."""
    RETRY_RESPONSE = "retry_response"
    """The session stands; the response is asked for again."""
    RECONNECT = "reconnect"
    """The transport failed: connect again and give the conversation back."""
    RENEW = "renew"
    """The session itself is bad: new token, new session, a short summary."""
    GIVE_UP = "give_up"
    """The same again would fail the same way."""


class Place(enum.StrEnum):
    """Where the error came from; the same code can mean different things."""

    LOSS = "loss"
    """A session could not be had, or is gone."""
    ERROR_EVENT = "error_event"
    """An ``error`` event in an open session, which mostly stays open."""
    RESPONSE = "response"
    """A ``response.done`` with status failed."""
    TOOL = "tool"
    """A tool of ours, or an MCP tool."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table.

    Attributes:
        permanent: no call on this arm can work until a person acts: stop the arm
            (`NEEDS.md` section 4, hard gate).
        blames_key: the credential was refused; with one that could not be fresher this is
            permanent (:func:`classify`).
        wait_ms: least wait before trying again.
    """

    layer: Layer
    fault: Fault
    cure: Cure
    permanent: bool = False
    blames_key: bool = False
    wait_ms: int = 0


@dataclass(frozen=True, slots=True)
class Failure:
    """A classified failure.

    Attributes:
        code: label fit for a metric: an enum-like word, never free text.
    """

    code: str
    layer: Layer
    fault: Fault
    cure: Cure
    permanent: bool
    wait_ms: int = 0

    @property
    def retryable(self) -> bool:
        """Whether trying again can help."""
        return self.cure in (Cure.RETRY_RESPONSE, Cure.RECONNECT, Cure.RENEW)


_BLIP = Row(Layer.CONNECTION, Fault.PROVIDER, Cure.RECONNECT)
_NO_DESCRIPTORS = Row(Layer.HOST, Fault.BRIDGE, Cure.RECONNECT, wait_ms=1_000)
_OUR_LIMIT = Row(Layer.HOST, Fault.CONFIG, Cure.RECONNECT, wait_ms=1_000)
_OUR_NETWORK = Row(Layer.CONNECTION, Fault.BRIDGE, Cure.RECONNECT)
_BUSY = Row(Layer.CONNECTION, Fault.PROVIDER, Cure.RECONNECT, wait_ms=1_000)
_WRONG_URL = Row(Layer.CONNECTION, Fault.CONFIG, Cure.GIVE_UP, permanent=True)
_REFUSED_KEY = Row(Layer.CONNECTION, Fault.CONFIG, Cure.RENEW, blames_key=True)
_DEAD_KEY = Row(Layer.CONNECTION, Fault.CONFIG, Cure.GIVE_UP, permanent=True)
_NO_MODEL = Row(Layer.MODEL, Fault.CONFIG, Cure.GIVE_UP, permanent=True)
_NO_QUOTA = Row(Layer.MODEL, Fault.CONFIG, Cure.GIVE_UP, permanent=True)
_OVER_LIMIT = Row(Layer.MODEL, Fault.PROVIDER, Cure.RETRY_RESPONSE, wait_ms=1_000)
_OUR_FRAME = Row(Layer.PROTOCOL, Fault.BRIDGE, Cure.RENEW)
_OUR_BUG = Row(Layer.PROTOCOL, Fault.BRIDGE, Cure.RENEW)
# The dialplan's or the arm's settings: the same update would be refused again, but another
# dialplan's may pass.
_BAD_SETTINGS = Row(Layer.PROTOCOL, Fault.CONFIG, Cure.GIVE_UP)
_OBJECTION = Row(Layer.PROTOCOL, Fault.BRIDGE, Cure.NOTHING)
_HARMLESS = Row(Layer.PROTOCOL, Fault.NONE, Cure.NOTHING)

_ENDING: Mapping[str, Row] = {
    "beta_api_shape_disabled": Row(Layer.PROTOCOL, Fault.CONFIG, Cure.GIVE_UP, permanent=True),
    "invalid_api_key": _REFUSED_KEY,
    "missing_model": _NO_MODEL,
    "invalid_model": _NO_MODEL,
    "model_not_found": _NO_MODEL,
    "insufficient_quota": _NO_QUOTA,
    "session_expired": Row(Layer.PROTOCOL, Fault.PROVIDER, Cure.RENEW),
}
"""API codes that end a session wherever they come (`PROTOCOL.md` section 7)."""

_LOSS: Mapping[str, Row] = {
    **_ENDING,
    # No connection (words of `bridge/session/failures.py`).
    "timeout": _BLIP,
    "refused": _BLIP,
    "unreachable": _BLIP,
    "handshake": _BLIP,
    "stalled": _BLIP,
    "stuck": _BLIP,
    "dns": _OUR_NETWORK,
    "no_descriptors": _NO_DESCRIPTORS,
    "tls": _WRONG_URL,
    "bad_url": _WRONG_URL,
    "proxy_unreachable": _OUR_NETWORK,
    "proxy_failed": _OUR_NETWORK,
    "proxy_refused": _WRONG_URL,
    "proxy_auth": _REFUSED_KEY,
    # The service took our settings for others; it would again.
    "session_differs": Row(Layer.PROTOCOL, Fault.PROVIDER, Cure.GIVE_UP),
    "given_up": Row(Layer.CONNECTION, Fault.NONE, Cure.NOTHING),
    "not_open": Row(Layer.CONNECTION, Fault.BRIDGE, Cure.NOTHING),
    "internal": _OUR_BUG,
    "config_error": _WRONG_URL,
    "broken_order": Row(Layer.PROTOCOL, Fault.PROVIDER, Cure.RENEW),
    # The service said why it ended the session (`PROTOCOL.md` section 11).
    "session_closed_expired": Row(Layer.PROTOCOL, Fault.PROVIDER, Cure.RENEW),
    "session_closed_connection_lost": _BLIP,
    "session_closed_remote_hangup": _BLIP,
    "session_closed_other": Row(Layer.PROTOCOL, Fault.PROVIDER, Cure.RENEW),
    # Somebody else has ended it, or its words were refused: the same talk would be again.
    "session_closed_close_requested": Row(Layer.PROTOCOL, Fault.PROVIDER, Cure.RENEW),
    "session_closed_content": Row(Layer.MODEL, Fault.PROVIDER, Cure.GIVE_UP),
    # The upgrade was answered with an HTTP status.
    "http_400": _WRONG_URL,
    "http_401": _REFUSED_KEY,
    "http_403": _REFUSED_KEY,
    "http_404": _WRONG_URL,
    "http_408": _BLIP,
    "http_410": _NO_MODEL,
    "http_426": _WRONG_URL,
    "http_429": _BUSY,
    # The token endpoint (words of `bridge/session/tokens.py`).
    "token_refused": _DEAD_KEY,
    "token_rejected": Row(Layer.PROTOCOL, Fault.CONFIG, Cure.GIVE_UP, permanent=True),
    "token_limited": _BUSY,
    "token_unavailable": _BLIP,
    "token_timeout": _BLIP,
    "token_internal": Row(Layer.CONNECTION, Fault.BRIDGE, Cure.RECONNECT),
    "token_closed": Row(Layer.CONNECTION, Fault.NONE, Cure.NOTHING),
    "token_malformed": Row(Layer.PROTOCOL, Fault.PROVIDER, Cure.RECONNECT),
    # Our opening was answered with an error event.
    "unknown_parameter": _BAD_SETTINGS,
    "missing_required_parameter": _BAD_SETTINGS,
    "invalid_value": _BAD_SETTINGS,
    "invalid_event": _OUR_FRAME,
    "invalid_json": _OUR_FRAME,
    "server_error": _BLIP,
    "rate_limit_exceeded": _BUSY,
    # The peer closed. 1001, 1005, 1006, 1011-1013 and 1015 are the ones on which the official SDK
    # reconnects; the 60-minute limit may come as 1001, too.
    "close_1000": Row(Layer.CONNECTION, Fault.PROVIDER, Cure.RENEW),
    "close_1001": _BLIP,
    "close_1002": _OUR_FRAME,
    "close_1003": _OUR_FRAME,
    "close_1005": _BLIP,
    "close_1006": _BLIP,
    "close_1007": _OUR_FRAME,
    "close_1008": _REFUSED_KEY,
    "close_1009": _OUR_FRAME,
    "close_1011": _BLIP,
    "close_1012": _BLIP,
    "close_1013": _BUSY,
    "close_1014": _BLIP,
    "close_1015": _BLIP,
    "close_3000": _REFUSED_KEY,
    # The agent of an arm by SIP (words of `bridge/engine/handoff/`, and SIP statuses).
    "no_answer": Row(Layer.CONNECTION, Fault.PROVIDER, Cure.GIVE_UP),
    "trunk_full": _OUR_LIMIT,
    "trunk_too_fast": _OUR_LIMIT,
    "too_many_hops": Row(Layer.HOST, Fault.CONFIG, Cure.GIVE_UP),
    "agent_left": _BLIP,
    "agent_lost": Row(Layer.CONNECTION, Fault.PROVIDER, Cure.GIVE_UP),
    "sip_401": _DEAD_KEY,
    "sip_407": _DEAD_KEY,
    "sip_403": _DEAD_KEY,
    "sip_408": _BLIP,
    "sip_480": _BUSY,
    "sip_486": _BUSY,
    "sip_600": _BUSY,
    "sip_603": Row(Layer.CONNECTION, Fault.PROVIDER, Cure.GIVE_UP),
    # The service's own errors; one that no new session can help names itself in its reason.
    "close_4000": Row(Layer.PROTOCOL, Fault.PROVIDER, Cure.RENEW),
}

_ERROR_EVENT: Mapping[str, Row] = {
    **_ENDING,
    "response_cancel_not_active": _HARMLESS,
    "conversation_already_has_active_response": _HARMLESS,
    "audio_unintelligible": Row(Layer.MODEL, Fault.CALLER, Cure.NOTHING),
    "rate_limit_exceeded": _OVER_LIMIT,
    # The response that it hits is missed by its own timer, or ends as failed.
    "server_error": Row(Layer.MODEL, Fault.PROVIDER, Cure.NOTHING),
    "unknown_parameter": _OBJECTION,
    "missing_required_parameter": _OBJECTION,
    "invalid_value": _OBJECTION,
    "invalid_event": _OBJECTION,
    "invalid_json": _OBJECTION,
    "input_audio_buffer_commit_empty": _OBJECTION,
    "cannot_update_voice": _OBJECTION,
    "item_create_duplicate_item_id": _OBJECTION,
    "item_retrieve_invalid_item_id": _OBJECTION,
    "item_delete_invalid_item_id": _OBJECTION,
    "item_truncate_invalid_item_id": _OBJECTION,
}

_SILENT = Row(Layer.MODEL, Fault.PROVIDER, Cure.RETRY_RESPONSE)

_RESPONSE: Mapping[str, Row] = {
    # It ended well, and there was nothing to hear (our words).
    "no_audio": _SILENT,
    "cancelled_by_service": _SILENT,
    "incomplete": _SILENT,
    "incomplete_max_output_tokens": _SILENT,
    "incomplete_content_filter": _SILENT,
    "undecodable_audio": Row(Layer.PROTOCOL, Fault.PROVIDER, Cure.RETRY_RESPONSE),
    "rate_limit_exceeded": _OVER_LIMIT,
    "insufficient_quota": _NO_QUOTA,
    "server_error": Row(Layer.MODEL, Fault.PROVIDER, Cure.RETRY_RESPONSE),
    "session_expired": _ENDING["session_expired"],
}

_TOOL_FAILED = Row(Layer.TOOL, Fault.TOOL, Cure.NOTHING)
_TOOL_MADE_UP = Row(Layer.TOOL, Fault.PROVIDER, Cure.NOTHING)
_TOOL_SETTINGS = Row(Layer.TOOL, Fault.CONFIG, Cure.NOTHING)
_TOOL: Mapping[str, Row] = {
    # Never run again by itself: a payment may have gone through. The model is notified and decides.
    "timeout": _TOOL_FAILED,
    "deadline": _TOOL_FAILED,
    "unreachable": _TOOL_FAILED,
    "too_large": _TOOL_FAILED,
    "not_text": _TOOL_FAILED,
    # An MCP server's (`PROTOCOL.md` section 6, `mcp_call.error.type`); the last: it lists no tools.
    "mcp_failed": _TOOL_FAILED,
    "protocol_error": _TOOL_FAILED,
    "tool_execution_error": _TOOL_FAILED,
    "http_error": _TOOL_FAILED,
    "mcp_not_listed": _TOOL_FAILED,
    # The model called what it was not offered.
    "unknown": _TOOL_MADE_UP,
    "bad_arguments": _TOOL_MADE_UP,
    # The dialplan names a tool that it gives no way to, or lets nobody use.
    "not_here": _TOOL_SETTINGS,
    "private_address": _TOOL_SETTINGS,
    "not_approved": _TOOL_SETTINGS,
    "not_taken": Row(Layer.TOOL, Fault.CARRIER, Cure.NOTHING),
    "internal": Row(Layer.TOOL, Fault.BRIDGE, Cure.NOTHING),
    "no_descriptors": Row(Layer.TOOL, Fault.BRIDGE, Cure.NOTHING),
    # The caller went on speaking, or hung up: nobody waits for the output any more.
    "cancelled": Row(Layer.TOOL, Fault.NONE, Cure.NOTHING),
}

TABLE: Mapping[tuple[Place, str], Row] = MappingProxyType(
    {
        (place, code): row
        for place, rows in (
            (Place.LOSS, _LOSS),
            (Place.ERROR_EVENT, _ERROR_EVENT),
            (Place.RESPONSE, _RESPONSE),
            (Place.TOOL, _TOOL),
        )
        for code, row in rows.items()
    }
)

DEFAULTS: Mapping[Place, Row] = MappingProxyType(
    {
        # A wrong guess costs an attempt or two of a bounded budget; giving up would cost the call.
        Place.LOSS: Row(Layer.CONNECTION, Fault.PROVIDER, Cure.RENEW),
        # `PROTOCOL.md` section 10: every error that is not known to end the session is not fatal.
        Place.ERROR_EVENT: Row(Layer.PROTOCOL, Fault.PROVIDER, Cure.NOTHING),
        Place.RESPONSE: Row(Layer.MODEL, Fault.PROVIDER, Cure.RETRY_RESPONSE),
        Place.TOOL: _TOOL_FAILED,
    }
)
"""What a code means that the table lacks."""

_STATUS_DEFAULTS: Mapping[str, Row] = {
    # A redirect or any other 4xx is an answer to what the arm's settings made us ask.
    "3": _WRONG_URL,
    "4": _WRONG_URL,
    "5": _BLIP,
}
"""What a status of HTTP or SIP means that the table lacks, by its first digit."""


def classify(error: BridgeError, *, key_is_fresh: bool = False) -> Failure:
    """Classify what `bridge/session/` raised or reported about a session that is gone.

    Args:
        error: an UpstreamError by its code (``closed`` by its close code); a ProtocolError that
            made the session unusable counts as ``broken_order`` (a single malformed event does
            not: the session passes over it); a ConfigError as ``config_error``; anything else is
            our own failure (``internal``).
        key_is_fresh: the credential in use could not be fresher: a long-lived key, or a token
            fetched for this very attempt. A refusal of it is then permanent.
    """
    match error:
        case UpstreamError():
            closed = error.close_code is not None and error.code == "closed"
            code = f"close_{error.close_code}" if closed else error.code
        case ProtocolError():
            code = "broken_order"
        case ConfigError():
            code = "config_error"
        case _:
            code = "internal"
    row = _look_up(Place.LOSS, code)
    if row.blames_key and key_is_fresh:
        row = _DEAD_KEY
    failure = _failure(code, row)
    asked_ms = error.retry_after_ms if isinstance(error, UpstreamError) else None
    return replace(failure, wait_ms=max(failure.wait_ms, asked_ms or 0))


def code_of_end(reason: str) -> str:
    """Return the code of a session that its service has ended, by the reason that it gives."""
    code = f"session_closed_{reason}"
    return code if (Place.LOSS, code) in TABLE else "session_closed_other"


def classify_event(error: ApiError) -> Failure:
    """Classify an ``error`` event of an open session, by its code, else its type."""
    code = error.code or error.type
    return _failure(code, _look_up(Place.ERROR_EVENT, code))


def classify_response(
    done: ResponseDone, *, heard: bool = True, garbled: bool = False
) -> Failure | None:
    """Classify how a response ended; None where it did not fail.

    Args:
        done: its end.
        heard: some of it came to be heard, or nothing of it was to be.
        garbled: most of its audio could not be decoded.
    """
    if done.status is ResponseStatus.FAILED:
        code = done.error_code or "response_failed"
    elif garbled:
        code = "undecodable_audio"
    elif heard:
        return None
    else:
        code = _silent_code(done)
    return _failure(code, _look_up(Place.RESPONSE, code))


def _silent_code(done: ResponseDone) -> str:
    match done.status:
        case ResponseStatus.CANCELLED:
            return "cancelled_by_service"
        case ResponseStatus.INCOMPLETE:
            code = f"incomplete_{done.reason}"
            return code if (Place.RESPONSE, code) in TABLE else "incomplete"
        case _:
            return "no_audio"


def classify_tool(result: str) -> Failure | None:
    """Classify how a tool ended, by its result; None where it gave its output (``ok``).

    A result that is nobody's fault (``cancelled``) is no failure of the tool.
    """
    if result == "ok":
        return None
    return _failure(result, _look_up(Place.TOOL, result))


def _look_up(place: Place, code: str) -> Row:
    row = TABLE.get((place, code))
    kind, _, status = code.partition("_")
    if row is None and place is Place.LOSS and kind in ("http", "sip"):
        row = _STATUS_DEFAULTS.get(status[:1])
    return row or DEFAULTS[place]


def _failure(code: str, row: Row) -> Failure:
    return Failure(code, row.layer, row.fault, row.cure, row.permanent, row.wait_ms)
