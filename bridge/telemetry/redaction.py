"""What a log line must not show: personal fields, and phone numbers anywhere.

Personal data (transcripts, prompts, numbers, digits, tool arguments) is logged only in fields named
``pii.*`` or inside a mapping called ``pii``. Phone numbers are masked in every text, so a careless
message or a library's exception shows no more than a number's last two digits.
"""

import re
from collections.abc import Mapping

REDACTED = "[redacted]"

_PII = "pii"

_NUMBERS = re.compile(
    r"""
      (?<![\w+]) \+ [0-9] (?: [ ().-]{0,2} [0-9] ){6,14} (?![0-9])   # E.164 with its plus
    | (?<= sip:) \+? [0-9]{5,20} (?= [@;>]) | (?<= sips:) \+? [0-9]{5,20} (?= [@;>])
    | (?<= tel:) \+? [0-9] (?: [().-]? [0-9] ){4,19}
    | (?<! [\w.:/-]) [0-9]{10,15} (?! [\w.:/-])                      # a bare number
    """,
    re.VERBOSE,
)
"""Bare digits count from 10 (national numbers) to 15 (E.164's longest), standing alone: nanosecond
clocks are longer, and parts of ids, dates, addresses and decimals have neighbours."""


def redact(fields: Mapping[str, object]) -> dict[str, object]:
    """Return a log line's fields without personal data."""
    return {key: _redact_field(key, value) for key, value in fields.items()}


def mask_numbers(text: str) -> str:
    """Return ``text`` with every phone number as ``***`` and its last two digits."""
    return _NUMBERS.sub(lambda found: f"***{found[0][-2:]}", text)


def _redact_field(key: str, value: object) -> object:
    if key == _PII and isinstance(value, Mapping):
        return dict.fromkeys(value, REDACTED)
    if key == _PII or key.startswith(f"{_PII}."):
        return REDACTED
    return _redact_value(value)


def _redact_value(value: object) -> object:
    match value:
        case str():
            return mask_numbers(value)
        case Mapping():
            return {key: _redact_field(str(key), inner) for key, inner in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_redact_value(inner) for inner in value]
        case None | bool() | int() | float():
            return value
        case _:
            # Any object is written by its text in the end, and an exception's may hold a number.
            return mask_numbers(str(value))
