"""Reads a server's Retry-After header (RFC 9110 section 10.2.3) as a wait. Pure."""

import re
from datetime import UTC
from email.utils import parsedate_to_datetime

LONGEST_S = 24 * 3600
"""What asks for more is not believed."""

_SECONDS = re.compile(r"[0-9]{1,9}", re.ASCII)


def retry_after_ms(value: str | None, now_s: float) -> int | None:
    """Read the header, a number of seconds or an HTTP date.

    Args:
        value: as it came, if it did.
        now_s: Unix time, seconds.

    Returns:
        Milliseconds; None where it asks for nothing, or for nothing that makes sense.
    """
    text = (value or "").strip()
    wait_s = float(text) if _SECONDS.fullmatch(text) else _until_s(text) - now_s
    return round(wait_s * 1000) if 0 < wait_s <= LONGEST_S else None


def _until_s(date: str) -> float:
    try:
        moment = parsedate_to_datetime(date)
        # A date that names no zone is in GMT (RFC 9110 section 5.6.7).
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, TypeError, IndexError):
        return 0.0
