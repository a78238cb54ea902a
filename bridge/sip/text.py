"""The characters of a SIP message: read from bytes, and fit for people and programs.

SIP is UTF-8 (RFC 3261 section 7), and old PBXs write ISO-8859-1. A header that is no UTF-8 is read
as that: each byte is a letter there, so that a name keeps its umlauts and no call is refused for
them. Replacement characters would lose them.
"""

import unicodedata

_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories of what is not a sign: controls (C0, C1), formats (bidirectional overrides and
isolates, zero-width characters), surrogates, and separators of lines and paragraphs."""

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_CUT = "\N{HORIZONTAL ELLIPSIS}"


def decode(octets: bytes) -> str:
    """Return the text of bytes: UTF-8, or else ISO-8859-1."""
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return octets.decode("iso-8859-1")


def clean(text: str) -> str:
    """Return a text of PJSIP's as people and programs may read it: decoded anew, and plain.

    Its binding decodes UTF-8 with ``surrogateescape``, which loses nothing of other bytes and gives
    texts that nobody can write.
    """
    return plain(decode(text.encode("utf-8", "surrogateescape")))


def is_plain(character: str) -> bool:
    """Return whether a character is a sign or a space: no control, no change of direction."""
    return unicodedata.category(character) not in _INVISIBLE


def plain(text: str) -> str:
    """Return a text on one line without invisible characters.

    White space and controls between words become one space; formats go; half a surrogate pair
    becomes U+FFFD.
    """
    return " ".join("".join(map(_plain, text)).split())


def cut(text: str, most: int) -> str:
    """Return a text's beginning, ``most`` characters long with the mark that says it was cut."""
    return text if len(text) <= most else text[: most - len(_CUT)] + _CUT


def _plain(character: str) -> str:
    match unicodedata.category(character):
        case "Cc" | "Zl" | "Zp":
            return " "
        case "Cf":
            return ""
        case "Cs":
            return _REPLACEMENT
        case _:
            return character
