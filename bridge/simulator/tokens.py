"""Issues short-lived tokens (``ek_...``), each with the session that it was made for.

A token bounds connecting, not the session, and is good for many connections (`PROTOCOL.md` section
1). Expired ones are forgotten.
"""

import secrets
from dataclasses import dataclass

from bridge.clock import NS_PER_S, Clock
from bridge.realtime.session_config import SessionKind
from bridge.simulator.wire import DialectName, WireObject

PREFIX = "ek_"


@dataclass(frozen=True, slots=True)
class Token:
    """A token, and the session that it was made for.

    Attributes:
        expires_at_s: Unix time, seconds.
        settings: as the client asked for them, checked; the session begins with them.
    """

    value: str
    expires_at_s: int
    dialect: DialectName
    kind: SessionKind
    model: str
    settings: WireObject


class TokenDesk:
    """Issues and finds the tokens of one server.

    Args:
        clock: its wall time decides.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tokens: dict[str, Token] = {}

    def issue(
        self,
        dialect: DialectName,
        kind: SessionKind,
        model: str,
        settings: WireObject,
        lifetime_s: int,
    ) -> Token:
        """Make a token."""
        self._forget_expired()
        value = PREFIX + secrets.token_hex(16)
        expires_at_s = self.now_s + lifetime_s
        token = Token(value, expires_at_s, dialect, kind, model, settings)
        self._tokens[value] = token
        return token

    def find(self, value: str) -> Token | None:
        """Return a token that is still good."""
        self._forget_expired()
        return self._tokens.get(value)

    @property
    def now_s(self) -> int:
        """The time, Unix seconds."""
        return self._clock.wall_ns() // NS_PER_S

    def _forget_expired(self) -> None:
        now_s = self.now_s
        self._tokens = {
            value: token for value, token in self._tokens.items() if token.expires_at_s > now_s
        }
