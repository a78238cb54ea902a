"""Checks webhooks' signatures as a receiver does, by the documented recipe alone."""

import hashlib
import hmac

HEADER = "X-Bridge-Signature"
TOLERANCE_S = 300


def is_signed(secret: str, body: bytes, header: str, now_s: int) -> bool:
    """Return whether ``t=<unix seconds>,v1=<hex>`` is this secret's for a body, and not too old."""
    stamp, _, mac = header.partition(",v1=")
    said_s = stamp.removeprefix("t=")
    if abs(now_s - int(said_s)) > TOLERANCE_S:
        return False
    signed = said_s.encode() + b"." + body
    return hmac.compare_digest(hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest(), mac)
