"""The second factor of local users: one-time codes of an authenticator app (TOTP, RFC 6238).

Six digits, SHA-1, 30 s: what every such app takes. A code is good once (RFC 6238 section 5.2), and
one step early or late (section 6). Beside it there are recovery codes, each good once.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hmac import compare_digest

import pyotp
import segno

from bridge.clock import NS_PER_S, Clock
from bridge.console.access.secrets import new_token
from bridge.errors import BridgeError
from bridge.store.digests import digest
from bridge.store.once import OnceStore
from bridge.store.pending import PendingStore
from bridge.store.users import User

ISSUER = "telephony-bridge"
"""What the app shows above the user's name."""

STEP_S = 30
_DRIFT_STEPS = 1
_CODE_LIFE_MS = (2 * _DRIFT_STEPS + 1) * STEP_S * 1000
_ENROLMENT_LIFE_S = 600
_RECOVERY_CODES = 8
_RECOVERY_BYTES = 10
"""80 bits: nobody guesses one, so a plain SHA-256 of it may be kept."""


class SecondFactorNeededError(BridgeError):
    """Name and password are right, and the user's code is missing."""


class EnrolmentNeededError(BridgeError):
    """Name and password are right, and the settings want a second factor that the user lacks.

    Attributes:
        enrolment: for the user's app, to be confirmed with its first code.
    """

    def __init__(self, enrolment: "Enrolment") -> None:
        super().__init__("this console wants a second factor", remedy="set one up now")
        self.enrolment = enrolment


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A secret that a user's app is given, and that its first code confirms.

    Attributes:
        token: names the enrolment, for ten minutes.
        secret: base32, for apps that can't see the picture.
        uri: ``otpauth://``; picture: a QR code of it, an SVG as a data URI.
    """

    token: str
    secret: str
    uri: str
    picture: str


class SecondFactors:
    """Checks codes, and gives secrets to new apps.

    Args:
        once: a code is good once, on all nodes together.
        pending: enrolments that no code has confirmed yet.
        clock: wall time.
    """

    def __init__(self, once: OnceStore, pending: PendingStore, clock: Clock) -> None:
        self._once = once
        self._pending = pending
        self._clock = clock

    async def begin(self, name: str) -> Enrolment:
        """Return a new secret for a user's app; it counts for nothing before it is confirmed."""
        token, secret = new_token(), pyotp.random_base32()
        await self._pending.put(token, {"user": name, "secret": secret}, _ENROLMENT_LIFE_S)
        uri = pyotp.TOTP(secret, interval=STEP_S).provisioning_uri(name=name, issuer_name=ISSUER)
        return Enrolment(token, secret, uri, segno.make(uri).svg_data_uri(scale=4, border=4))

    async def confirm(self, token: str, name: str, code: str) -> str | None:
        """Return the secret of a user's enrolment whose first code this is; None for a wrong one.

        The enrolment is used up by the right code.
        """
        waiting = await self._pending.look(token)
        if waiting is None or waiting["user"] != name:
            return None
        if not await self._is_code(name, waiting["secret"], code):
            return None
        taken = await self._pending.take(token)
        return None if taken is None else taken["secret"]

    async def check(self, user: User, code: str) -> bool:
        """Return whether a code is of the user's app, and was not used before."""
        return await self._is_code(user.name, user.totp_secret, code)

    async def _is_code(self, name: str, secret: str, code: str) -> bool:
        given = "".join(code.split())
        step = self._clock.wall_ns() // NS_PER_S // STEP_S
        totp = pyotp.TOTP(secret, interval=STEP_S)
        steps = range(step - _DRIFT_STEPS, step + _DRIFT_STEPS + 1)
        right = [each for each in steps if _same(totp.at(_start_of(each)), given)]
        return bool(right) and await self._once.first_use(
            digest(f"totp {name} {secret} {right[0]}"), _CODE_LIFE_MS
        )


def new_recovery_codes() -> tuple[str, ...]:
    """Return codes for a user without the app at hand, in groups of four letters and digits."""
    return tuple(_grouped(secrets.token_hex(_RECOVERY_BYTES)) for _ in range(_RECOVERY_CODES))


def kept_of(codes: Sequence[str]) -> tuple[str, ...]:
    """Return what is kept of recovery codes: their SHA-256."""
    return tuple(digest(_plain(each)) for each in codes)


def recovery_of(user: User, code: str) -> str | None:
    """Return the kept digest of a user's recovery code; None where it is none of them."""
    given = digest(_plain(code))
    return next((kept for kept in user.recovery if compare_digest(kept, given)), None)


def _start_of(step: int) -> datetime:
    # An aware time: pyotp counts naive ones in the machine's own zone.
    return datetime.fromtimestamp(step * STEP_S, UTC)


def _same(right: str, given: str) -> bool:
    return compare_digest(right.encode(), given.encode())


def _grouped(text: str) -> str:
    return "-".join(text[at : at + 4] for at in range(0, len(text), 4))


def _plain(code: str) -> str:
    return "".join(each for each in code.lower() if each.isalnum())
