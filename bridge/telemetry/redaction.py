"""Masks secrets, personal fields and phone numbers in log lines.

Keys and tokens are masked in every text, also where personal data may be shown: no line of ours
holds one, but a library's exception may hold a header or a URL.

Personal data (transcripts, prompts, numbers, digits, tool arguments) is logged only in fields named
``pii.*`` or inside a mapping called ``pii``. Phone numbers are masked in every text, so a careless
message or a library's exception shows no more than a number's last two digits.
"""

import re
from collections.abc import Callable, Mapping

REDACTED = "[redacted]"
SECRET = "[secret]"

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


_SECRETS = re.compile(
    r"""
      (?<! [\w-]) (?: sk- | ek_ ) [\w-]{8,}                           # keys, short-lived tokens
    | (?<= Bearer [ ]) [^\s'",;]{8,}                                  # RFC 6750 section 2.1
    | (?<= :// ) [^\s/?#@]* : [^\s/?#@]+ (?= @)                       # RFC 3986 section 3.2.1
    | (?<= Authorization:[ ]Digest[ ] ) [^\r\n]+                       # RFC 3261 section 22
    | (?<= api-key ) ['"]? \s* [:=] \s* ['"]? [^\s'",;&]+             # Azure: header, query
    """,
    re.VERBOSE | re.IGNORECASE,
)


def mask_secrets(text: str) -> str:
    """Return ``text`` with every key, token and password that looks like one masked."""
    return _SECRETS.sub(SECRET, text)


def without_secrets(fields: Mapping[str, object]) -> dict[str, object]:
    """Return a log line's fields with secrets masked, and nothing else."""
    return {key: _in_texts(value, mask_secrets) for key, value in fields.items()}


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
    if isinstance(value, Mapping):
        return {str(name): _redact_field(str(name), inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redact_field("", inner) for inner in value]
    return _in_texts(value, mask_numbers)


def _in_texts(value: object, mask: Callable[[str], str]) -> object:
    match value:
        case str():
            return mask(value)
        case Mapping():
            return {str(key): _in_texts(inner, mask) for key, inner in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_in_texts(inner, mask) for inner in value]
        case None | bool() | int() | float():
            return value
        case _:
            # Any object is written by its text in the end, and an exception's may hold anything.
            return mask(str(value))
