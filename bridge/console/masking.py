"""Numbers as people without a reason to know them see them: their last two digits."""

import re
from collections.abc import Mapping
from typing import Any

from bridge.routing.numbers import normalise_called, shown_number
from bridge.sip.text import cut
from bridge.telemetry.redaction import mask_numbers

_SHOWN = 2
_SHOWN_CHARS = 40
_TEXTS = ("diversion", "history_info", "user_to_user")
_DIGITS = re.compile(r"[0-9](?:[ ().-]{0,2}[0-9]){4,}")
WITHHELD = "withheld"


def mask_caller(uri: str, *, whole: bool = False) -> str:
    """Return who a SIP or tel URI names: digits as ``***`` and the last two.

    Args:
        whole: the line's own number, which is nobody's secret, as it is.
    """
    user = normalise_called(uri) if whole else shown_number(uri)
    if not user:
        return WITHHELD
    digits = sum(each.isdigit() for each in user)
    if whole or digits < 5:
        return cut(user, _SHOWN_CHARS)
    return f"***{user[-_SHOWN:]}"


def mask_origin(record: Mapping[str, Any]) -> dict[str, object]:  # Any: JSON of the record
    """Return a record's origin (:class:`bridge.routing.origin.Origin`) with its numbers masked.

    What an application wrote may hold a number in any form: of its digits only the last two stay.
    """
    asserted = str(record.get("asserted", ""))
    headers = record.get("headers") or {}
    return {
        "asserted": mask_caller(asserted) if asserted else "",
        **{name: _mask_digits(str(record.get(name, ""))) for name in _TEXTS},
        "headers": {name: _mask_digits(str(value)) for name, value in headers.items()},
    }


def _mask_digits(text: str) -> str:
    return _DIGITS.sub(lambda found: f"***{found[0][-_SHOWN:]}", text)


def mask_within(value: object) -> object:
    """Return JSON with every number of a phone in its texts masked, however deep."""
    match value:
        case str():
            return mask_numbers(value)
        case dict():
            return {name: mask_within(inner) for name, inner in value.items()}
        case list():
            return [mask_within(inner) for inner in value]
        case _:
            return value
