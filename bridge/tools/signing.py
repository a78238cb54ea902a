"""Signs webhook requests, so that their receiver can check the sender and the time.

``X-Bridge-Signature: t=<unix seconds>,v1=<hex>`` where hex is HMAC-SHA256 over ``<t>.<body>`` with
the dialplan's secret. A receiver recomputes it, compares in constant time, and refuses old times.
"""

import hashlib
import hmac

SIGNATURE_HEADER = "X-Bridge-Signature"
TOLERANCE_S = 300
"""Age of a signature that a receiver should still take."""


def sign(secret: str, body: bytes, unix_s: int) -> str:
    """Return the header's value."""
    return f"t={unix_s},v1={_mac(secret, body, unix_s)}"


def verify(secret: str, body: bytes, signature: str, now_s: int) -> bool:
    """Return whether a signature is good and not too old; what a receiver does."""
    parts = dict(part.partition("=")[::2] for part in signature.split(","))
    try:
        unix_s = int(parts.get("t", ""))
    except ValueError:
        return False
    fresh = abs(now_s - unix_s) <= TOLERANCE_S
    return fresh and hmac.compare_digest(parts.get("v1", ""), _mac(secret, body, unix_s))


def _mac(secret: str, body: bytes, unix_s: int) -> str:
    return hmac.new(secret.encode(), f"{unix_s}.".encode() + body, hashlib.sha256).hexdigest()
