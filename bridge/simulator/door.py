"""Admits clients to the server in their dialect, and refuses the others as the service does.

Keys, dialects, models and close codes are those of `PROTOCOL.md` section 1. Faults that strike
before there is a session strike here.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from aiohttp import web

from bridge.realtime.event_values import ApiError
from bridge.realtime.session_config import SessionKind
from bridge.simulator.faults import Drop, Refuse, Stall
from bridge.simulator.outbox import cut
from bridge.simulator.refusal import refuse
from bridge.simulator.scenario import BetaSwitch, DoorSpec, Models
from bridge.simulator.tokens import Token, TokenDesk
from bridge.simulator.wire import DialectName

_CLOSE_INVALID_REQUEST = 4000
_CLOSE_INVALID_KEY = 3000
_KEY_SUBPROTOCOL = "openai-insecure-api-key."
_BETA_SUBPROTOCOL = "openai-beta.realtime-v1"
_TRANSCRIPTION = "transcription"
_REFUSALS: Mapping[int, tuple[str, str | None, str]] = {
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    403: ("invalid_request_error", "model_not_found", "You do not have access to this model."),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached. Please try again later."),
}
_SERVER_REFUSES = ("server_error", None, "The server had an error while processing your request.")


@dataclass(frozen=True, slots=True)
class Visitor:
    """A client that has been let in."""

    dialect: DialectName
    kind: SessionKind
    model: str
    token: Token | None = None


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a client is not let in; it is sent over the WebSocket, which then closes."""

    error: ApiError
    close_code: int


@dataclass(slots=True)
class Doorkeeper:
    """Admits and refuses clients; what is changed here holds from the next client on.

    Attributes:
        keys: patterns of API keys.
        spec: what is demanded of requests.
        dialect: that is spoken whatever the handshake asks for; None: what it asks for.
        any_model: models have names of their own.
    """

    keys: Sequence[str]
    models: Models
    beta: BetaSwitch
    tokens: TokenDesk
    spec: DoorSpec = field(default_factory=DoorSpec)
    dialect: DialectName | None = None
    any_model: bool = False

    def stop_handshake(self, request: web.Request) -> web.Response | str:
        """Look at the demands on a handshake; return its key or token, or the refusal.

        GPT-Live takes keys alone, and nothing in the query: its model comes in ``session.start``.
        """
        if dialect_of(request) is not DialectName.LIVE:
            return self.stop(request, takes_tokens=True)
        unasked = request.query.keys() - self.spec.query.keys() - {self.spec.name}
        if unasked:
            what = f"Unknown parameter: '{min(unasked)}'."
            return http_error(400, refuse("unknown_parameter", what, min(unasked)).error)
        return self.stop(request, takes_tokens=False)

    def stop(self, request: web.Request, *, takes_tokens: bool) -> web.Response | str:
        """Look at a request's demands; return its key or token, or the refusal (HTTP 401)."""
        spec = self.spec
        for given, demands in ((request.headers, spec.headers), (request.query, spec.query)):
            for name, pattern in demands.items():
                if not fnmatchcase(given.get(name, ""), pattern):
                    what = f"Access denied due to a missing or wrong {name}."
                    return http_error(401, ApiError("invalid_request_error", what))
        key = self._key_of(request)
        if key is None:
            return no_key()
        known = self.knows(key) or (takes_tokens and self.tokens.find(key) is not None)
        if known or (takes_tokens and not spec.refuses_at_upgrade):
            return key
        return http_error(401, refuse("invalid_api_key", "Incorrect API key provided.").error)

    def _key_of(self, request: web.Request) -> str | None:
        """Return the key from where keys come; a token comes as a bearer in any case."""
        bearer = bearer_of(request)
        if self.spec.auth == "bearer":
            return bearer
        if self.spec.auth == "basic":
            scheme, _, key = request.headers.get("Authorization", "").partition(" ")
            return key if scheme == "Basic" else None
        if bearer is not None and self.tokens.find(bearer) is not None:
            return bearer
        given = request.headers if self.spec.auth == "header" else request.query
        return given.get(self.spec.name)

    def knows(self, key: str) -> bool:
        """Return whether this is an API key, rather than a token."""
        return any(fnmatchcase(key, pattern) for pattern in self.keys)

    def admit(self, request: web.Request, key: str) -> Visitor | Objection:
        """Look at a handshake that brings a key or a token."""
        dialect = self.dialect or dialect_of(request)
        if dialect is DialectName.LIVE:
            return Visitor(dialect, SessionKind.REALTIME, "")
        if dialect is DialectName.BETA and self.beta == "disabled":
            return _invalid("beta_api_shape_disabled", beta_is_gone().message)
        token = None if self.knows(key) else self.tokens.find(key)
        if token is None and not self.knows(key):
            error = refuse("invalid_api_key", "Incorrect API key provided.").error
            return Objection(error, _CLOSE_INVALID_KEY)
        if token is not None and token.dialect is not dialect:
            # [?] Not in the captures; a client must not build on this code.
            what = "You cannot start a session of one API version with a token of the other."
            return _invalid("api_version_mismatch", what)
        return self._choose_session(request, dialect, token)

    def _choose_session(
        self, request: web.Request, dialect: DialectName, token: Token | None
    ) -> Visitor | Objection:
        transcribes = request.query.get("intent") == _TRANSCRIPTION
        kind = SessionKind.TRANSCRIPTION if transcribes else SessionKind.REALTIME
        if token is not None:
            kind = token.kind
        model = request.query.get(self.spec.model_parameter) or (
            token.model if token is not None else ""
        )
        if kind is SessionKind.TRANSCRIPTION:
            return Visitor(dialect, kind, model, token)
        if not model:
            return _invalid("missing_model", "You must provide a model parameter.")
        if not self.has_model(dialect, model):
            what = f"The model '{model}' does not exist or you do not have access to it."
            return _invalid("invalid_model", what)
        return Visitor(dialect, kind, model, token)

    def has_model(self, dialect: DialectName, model: str) -> bool:
        """Return whether a dialect has a model."""
        if self.any_model:
            return True
        patterns: Sequence[str] = getattr(self.models, dialect.value)
        return any(fnmatchcase(model, pattern) for pattern in patterns)


async def meet(
    faults: Iterable[Refuse | Drop | Stall], request: web.Request
) -> web.Response | None:
    """Let faults strike a request that has no answer yet.

    Returns:
        The answer, if there is to be no other one.
    """
    for fault in faults:
        match fault:
            case Stall(ms=ms):
                await asyncio.sleep(ms / 1000)
            case Drop(abruptly=abruptly):
                cut(request.transport, abruptly=abruptly)
                return web.Response()
            case Refuse(status=status, retry_after_s=retry_after_s):
                kind, code, message = _REFUSALS.get(status, _SERVER_REFUSES)
                headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
                return http_error(status, ApiError(kind, message, code), headers)
    return None


def http_error(
    status: int, error: ApiError, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Write an error as the HTTP side of the API does."""
    body = {
        "message": error.message,
        "type": error.type,
        "param": error.param,
        "code": error.code,
    }
    return web.json_response({"error": body}, status=status, headers=headers)


def no_key() -> web.Response:
    """Answer a request without any key."""
    what = "Missing bearer or basic authentication in header"
    return http_error(401, ApiError("invalid_request_error", what))


def beta_is_gone() -> ApiError:
    """Return the service's own error for the removed beta dialect."""
    what = "The Realtime Beta API is no longer supported. Please use /v1/realtime for the GA API."
    return refuse("beta_api_shape_disabled", what).error


def bearer_of(request: web.Request) -> str | None:
    """Return the key from the header, or from the subprotocols that browsers use."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and key.strip():
        return key.strip()
    offered = _subprotocols(request)
    return next(
        (
            each.removeprefix(_KEY_SUBPROTOCOL)
            for each in offered
            if each.startswith(_KEY_SUBPROTOCOL)
        ),
        None,
    )


def live_path(path: str) -> str:
    """Return where GPT-Live is, beside the Realtime API's ``path``."""
    return path.removesuffix("/realtime") + "/live/sessions"


def dialect_of(request: web.Request) -> DialectName:
    """Return the dialect that a handshake asks for: by its path or header, never by the model."""
    if request.path.endswith(live_path("")):
        return DialectName.LIVE
    header = request.headers.get("OpenAI-Beta", "")
    beta = "realtime=v1" in header or _BETA_SUBPROTOCOL in _subprotocols(request)
    return DialectName.BETA if beta else DialectName.GA


def _invalid(code: str, message: str) -> Objection:
    return Objection(refuse(code, message).error, _CLOSE_INVALID_REQUEST)


def _subprotocols(request: web.Request) -> list[str]:
    return [each.strip() for each in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
