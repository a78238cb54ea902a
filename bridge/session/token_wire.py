"""The token services of both dialects on the wire (`PROTOCOL.md` section 1). Pure.

GA: `POST /v1/realtime/client_secrets`, the token at `.value`. Beta: `POST /v1/realtime/sessions`,
the token at `.client_secret.value`.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from types import MappingProxyType

from bridge.clock import NS_PER_S
from bridge.realtime.dialect import WireEvent


@dataclass(frozen=True, slots=True)
class Grant:
    """A token as the service gave it.

    Attributes:
        expires_at_s: Unix time by the service's clock.
    """

    value: str = field(repr=False)
    expires_at_s: float


@dataclass(frozen=True, slots=True)
class TokenWire:
    """How one dialect asks for a token.

    Attributes:
        headers: beside Authorization.
        body: of the request, from model and token life in seconds.
        secret: finds the object that holds `value` and `expires_at`.
    """

    headers: Mapping[str, str]
    body: Callable[[str, int], WireEvent]
    secret: Callable[[WireEvent], object]


def _ga_body(model: str, ttl_s: int) -> WireEvent:
    return {
        "expires_after": {"anchor": "created_at", "seconds": ttl_s},
        "session": {"type": "realtime", "model": model},
    }


def _beta_body(model: str, ttl_s: int) -> WireEvent:
    expires_after = {"anchor": "created_at", "seconds": ttl_s}
    return {"model": model, "client_secret": {"expires_after": expires_after}}


TOKEN_WIRES: Mapping[str, TokenWire] = MappingProxyType(
    {
        "ga": TokenWire({}, _ga_body, lambda reply: reply),
        "beta": TokenWire(
            {"OpenAI-Beta": "realtime=v1"}, _beta_body, lambda reply: reply.get("client_secret")
        ),
    }
)
"""By the dialect's name."""


def _is_header_safe(secret: str) -> bool:
    return bool(secret) and secret.isascii() and secret.isprintable() and " " not in secret


def decode_grant(wire: TokenWire, body: bytes) -> Grant | None:
    """Read the service's answer; None if it is not what the dialect promises."""
    try:
        reply = json.loads(body)
    except (ValueError, RecursionError):
        return None
    secret = wire.secret(reply) if isinstance(reply, dict) else None
    if not isinstance(secret, dict):
        return None
    value, expires_at = secret.get("value"), secret.get("expires_at")
    if not isinstance(value, str) or not _is_header_safe(value):
        return None
    if isinstance(expires_at, bool) or not isinstance(expires_at, int | float):
        return None
    # NaN and numbers beyond any calendar.
    return Grant(value, expires_at) if 0 < expires_at < 1e11 else None


def lifetime_s(grant: Grant, date_header: str | None, wall_ns: int) -> float:
    """Return how long a token is good from the time of the answer, in seconds.

    The service's own clock, from its Date header (RFC 9110 section 6.6.1), is what `expires_at` is
    measured by; ours may be minutes off, so it is only taken where there is no such header.
    """
    return grant.expires_at_s - (_unix_s(date_header) or wall_ns / NS_PER_S)


def _unix_s(date_header: str | None) -> float | None:
    if date_header is None:
        return None
    try:
        moment: datetime = parsedate_to_datetime(date_header)
        return moment.timestamp()
    except (ValueError, OverflowError):
        return None
