"""Short-lived tokens for audio and control: for one user, one call, one kind, one use, 30 s.

    {claims as JSON, base64url}.{HMAC-SHA256 over them, base64url}

All nodes sign with one secret that Redis keeps, so one node's token is good at another. A token
travels in a URL (a browser's WebSocket can't send headers), where proxies may write it down: that
is why it is used up at its first use.
"""

import base64
import binascii
import enum
import hashlib
import hmac
import json
import secrets
from dataclasses import asdict, dataclass

from bridge.clock import NS_PER_MS, Clock
from bridge.store.once import OnceStore

LIFE_MS = 30_000


class CallTokenKind(enum.StrEnum):
    """The use that a token is good for."""

    LISTEN = "listen"
    LISTEN_PRIVATE = "listen_private"
    TALK = "talk"
    RELAY_LISTEN = "relay_listen"
    """From the node that has the browser to the one that has the call."""
    RELAY_LISTEN_PRIVATE = "relay_listen_private"
    RELAY_TALK = "relay_talk"
    RELAY_RECORDING = "relay_recording"
    """The same, for what is kept of a call that is over."""
    RELAY_PICTURE = "relay_picture"
    """The same, for a picture on its way to a call's agent."""


class TokenRefused(Exception):  # an answer, not a fault of ours
    """A token is good for nothing here.

    Attributes:
        reason: for the log and the audit; the sender learns no more than that it is refused.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Claims:
    """A token's content: its user, call, kind and end.

    Attributes:
        user: whom it is for.
        expires_ms: ms since the Unix epoch.
    """

    token_id: str
    user: str
    call_id: str
    kind: CallTokenKind
    expires_ms: int


class CallTokens:
    """Makes and takes tokens.

    Args:
        store: keeps the secret, and what was used.
        clock: wall time; the nodes' clocks agree to within seconds.
    """

    def __init__(self, store: OnceStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._key: bytes | None = None

    async def issue(self, user: str, call_id: str, kind: CallTokenKind | str) -> tuple[str, Claims]:
        """Return a new token and what it says.

        Raises:
            RedisUnavailableError: the secret is not known yet, and Redis is away.
        """
        claims = Claims(
            secrets.token_hex(16), user, call_id, CallTokenKind(kind), self._now_ms() + LIFE_MS
        )
        body = _encode(json.dumps(asdict(claims), ensure_ascii=False).encode())
        return f"{body}.{_encode(await self._sign(body))}", claims

    async def redeem(
        self, token: str, call_id: str, kind: CallTokenKind | str, *, user: str | None = None
    ) -> Claims:
        """Use a token up, and return what it says.

        Args:
            token: as it came.
            call_id: the call that it is shown for.
            kind: what it is shown for.
            user: who shows it; None where that is a node, which speaks for the user in the claims.

        Raises:
            TokenRefused: forged, too old, used before, or for something else.
            RedisUnavailableError: nobody can say whether it was used.
        """
        claims = await self._read(token)
        left_ms = claims.expires_ms - self._now_ms()
        if left_ms <= 0:
            raise TokenRefused("expired")
        if claims.call_id != call_id or claims.kind is not CallTokenKind(kind):
            raise TokenRefused("for something else")
        if user is not None and claims.user != user:
            raise TokenRefused("for somebody else")
        # The mark outlives a clock of another node that is slow by as much as a token lives.
        if not await self._store.first_use(claims.token_id, left_ms + LIFE_MS):
            raise TokenRefused("used before")
        return claims

    async def _read(self, token: str) -> Claims:
        body, _, signature = token.partition(".")
        if not hmac.compare_digest(_encode(await self._sign(body)).encode(), signature.encode()):
            raise TokenRefused("forged")
        try:
            found = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
            return Claims(**{**found, "kind": CallTokenKind(found["kind"])})
        except (binascii.Error, ValueError, TypeError, KeyError):  # of an older version of ours
            raise TokenRefused("unreadable") from None

    async def _sign(self, body: str) -> bytes:
        if self._key is None:
            self._key = (await self._store.secret(secrets.token_urlsafe(32))).encode()
        return hmac.digest(self._key, body.encode(), hashlib.sha256)

    def _now_ms(self) -> int:
        return self._clock.wall_ns() // NS_PER_MS


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
