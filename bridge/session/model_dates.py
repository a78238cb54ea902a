"""Fetches the days on which models end from their service: `GET /v1/models`, `shutdown_date`.

A calendar day (YYYY-MM-DD), or null where none has been announced (developers.openai.com,
"Deprecations" and "List models", 2026-11). Other servers leave the field out.
"""

import json
from collections.abc import Mapping
from datetime import date
from urllib.parse import urlsplit

from bridge.errors import UpstreamError
from bridge.session.access import Access
from bridge.session.http import TIMED_OUT, ask
from bridge.session.obstacles import Obstacle

MAX_BODY_BYTES = 256 * 1024
"""Longest answer that is read: some hundred models are 30 KB, and reading more holds the loop."""

_TIMEOUT_S = 10.0


async def shutdown_dates(url: str, access: Access) -> Mapping[str, date]:
    """Return the first day without each model that has one.

    Args:
        url: of the list of models.
        access: the way there, with the long-lived key.

    Raises:
        UpstreamError: there is no list to be had (codes ``models_*``).
    """
    code, why, dates = await _ask(url, access)
    if dates is None:
        raise UpstreamError(
            f"{urlsplit(url).netloc} does not say when its models end ({why})",
            code=code,
            remedy="the dates in bridge/config/models.yaml are used instead",
        )
    return dates


async def _ask(url: str, access: Access) -> tuple[str, str, Mapping[str, date] | None]:
    """Return a code, its words, and the dates if there are any."""
    answer = await ask("GET", url, access, timeout_s=_TIMEOUT_S, most_bytes=MAX_BODY_BYTES)
    if isinstance(answer, Obstacle):
        code = "models_timeout" if answer.code == TIMED_OUT else "models_unavailable"
        return code, answer.what, None
    if answer.status != 200:
        return f"models_http_{answer.status}", f"HTTP {answer.status}", None
    return "models_malformed", "no list of models", decode_dates(answer.body)


def decode_dates(body: bytes) -> Mapping[str, date] | None:
    """Read a list of models; None if it is none. A date that is none counts as not announced."""
    try:
        listed = json.loads(body)["data"]
        pairs = [(each["id"], each.get("shutdown_date")) for each in listed]
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
        return None
    return {str(name): day for name, text in pairs if (day := _day(text)) is not None}


def _day(text: object) -> date | None:
    try:
        return date.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
