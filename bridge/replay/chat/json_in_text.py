"""Finds the JSON object in what a text model wrote: alone, in a fence, or among words. Pure."""

import json

_DECODER = json.JSONDecoder()
_TRIED = 20
"""Braces that may begin it: each costs up to the whole text."""


def find_object(text: str) -> dict[str, object] | None:
    """Return the first JSON object of a text; None where there is none."""
    at = -1
    for _ in range(_TRIED):
        at = text.find("{", at + 1)
        if at < 0:
            break
        try:
            found, _ = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, dict):
            return found
    return None
