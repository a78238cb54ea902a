"""The draw: a caller's sticky place among weighted arms.

Weighted rendezvous hashing (Thaler and Ravishankar 1998, weighted by -w / ln u): each arm draws a
number for the caller, independent of the other arms, and the best score wins. An arm whose weight
grows while no other's does keeps every caller that it had: 5% to 10% keeps the first 5%, with any
number of arms.
"""

import hashlib
import hmac
import math
from collections.abc import Mapping

_BYTES = 7
"""56 bits: a float's 53 are filled, and a draw of exactly 0 or 1 is kept out by half a step."""


_LOGGED_CHARS = 16


def targeting_key(secret: bytes, caller: str, call_id: str) -> str:
    """Return the key that a call is drawn by, from which nobody learns the caller's number.

    Args:
        secret: the same on every node.
        caller: E.164 number, normalised; empty where it is withheld.
        call_id: the INVITE's Call-ID, taken for withheld numbers.
    """
    subject = f"caller:{caller}" if caller else f"call:{call_id}"
    return hmac.new(secret, subject.encode(), hashlib.sha256).hexdigest()


def logged_caller(key: str) -> str:
    """Return as much of a caller's key as the log of calls has: enough to distinguish callers."""
    return key[:_LOGGED_CHARS]


def draw(key: str, flag: str, salt: str, arm: str) -> float:
    """Return an arm's number for a caller: uniform in (0, 1), the same at every call."""
    digest = hashlib.sha256("\0".join((flag, salt, arm, key)).encode()).digest()
    return (int.from_bytes(digest[:_BYTES]) + 0.5) / (1 << (8 * _BYTES))


def choose(key: str, flag: str, salt: str, weights: Mapping[str, int]) -> str | None:
    """Return the arm that a caller's draw gives, None where no arm has weight.

    Args:
        weights: relative; an arm wins with the chance of its weight over their sum.
    """
    best: tuple[float, str] | None = None
    for arm, weight in weights.items():
        if weight <= 0:
            continue
        score = weight / -math.log(draw(key, flag, salt, arm))
        if best is None or score > best[0]:
            best = (score, arm)
    return None if best is None else best[1]
