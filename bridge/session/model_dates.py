"""Fetches the days on which models end from their service: `GET /v1/models`, `shutdown_date`.

A calendar day (YYYY-MM-DD), or null where none has been announced (developers.openai.com,
"Deprecations" and "List models", 2026-11). Other servers leave the field out.
"""

import json
from collections.abc import Mapping
from datetime import date
from urllib.parse import urlsplit

import aiohttp

from bridge.errors import UpstreamError
from bridge.session.http import http_session, read_body

MAX_BODY_BYTES = 256 * 1024
"""Longest answer that is read: some hundred models are 30 KB, and reading more holds the loop."""

_TIMEOUT = aiohttp.ClientTimeout(total=10.0)


async def shutdown_dates(url: str, key: str) -> Mapping[str, date]:
    """Return the first day without each model that has one.

    Args:
        url: of the list of models.
        key: long-lived key.

    Raises:
        UpstreamError: there is no list to be had (codes ``models_*``).
    """
    # aiohttp's own errors hold the request's headers, so they must not be the context of ours.
    code, dates = await _ask(url, key)
    if dates is None:
        raise UpstreamError(
            f"{urlsplit(url).netloc} does not say when its models end ({code})",
            code=code,
            remedy="the dates in bridge/config/models.yaml are used instead",
        )
    return dates


async def _ask(url: str, key: str) -> tuple[str, Mapping[str, date] | None]:
    headers = {"Authorization": f"Bearer {key}"}
    try:
        async with (
            http_session(url, _TIMEOUT) as http,
            # The key must not follow to where somebody else points.
            http.get(url, headers=headers, allow_redirects=False) as response,
        ):
            if response.status != 200:
                return f"models_http_{response.status}", None
            body = await read_body(response, MAX_BODY_BYTES)
    except TimeoutError:
        return "models_timeout", None
    except (aiohttp.ClientError, OSError):
        return "models_unavailable", None
    return "models_malformed", decode_dates(body)


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
