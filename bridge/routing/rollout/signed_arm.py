"""The test header, by which a holder of the rollouts' key chooses the arm of a call.

    X-Bridge-Arm: new;until=1795000000;signature=9f86d0...

The signature is HMAC-SHA256 over flag, arm and time, so that a header is good for one flag, and not
for ever: it is seen by every proxy on the way.
"""

import hashlib
import hmac

HEADER = "X-Bridge-Arm"


def sign_arm(secret: bytes, flag: str, arm: str, until_s: int) -> str:
    """Return the header's value, good until ``until_s`` (Unix time)."""
    return f"{arm};until={until_s};signature={_signature(secret, flag, arm, until_s)}"


def checked_arm(secret: bytes, flag: str, value: str, now_s: float) -> str | None:
    """Return the arm that a header asks for; None where it is not signed for this flag and now."""
    arm, _, rest = value.strip().partition(";")
    fields = dict(part.strip().partition("=")[::2] for part in rest.split(";"))
    until = fields.get("until", "")
    if not (until.isascii() and until.isdigit()) or int(until) < now_s:
        return None
    wanted = _signature(secret, flag, arm, int(until))
    given = fields.get("signature", "").encode()
    return arm if hmac.compare_digest(wanted.encode(), given) else None


def _signature(secret: bytes, flag: str, arm: str, until_s: int) -> str:
    signed = "\0".join(("bridge test arm", flag, arm, str(until_s)))
    return hmac.new(secret, signed.encode(), hashlib.sha256).hexdigest()
