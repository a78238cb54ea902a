"""Called numbers and the patterns that dialplans compare them with.

A number is normalised the same way on both sides: RFC 3966 section 3 visual separators go, a
leading ``+`` stays (``+4930`` and ``4930`` differ: write numbers as the trunk sends them). Names
are left as they are; RFC 3261 section 19.1.4 compares user parts with their case.
"""

import re
from urllib.parse import unquote

_NUMBER = re.compile(r"\+?[0-9*#\s().\-]*[0-9][0-9*#\s().\-]*")
_SEPARATORS = re.compile(r"[\s().\-]")
_SCHEME = re.compile(r"(?i)^(sips?|tel):")


def normalise_called(called: str) -> str:
    """Return the user part of what was dialled, a number without separators.

    Args:
        called: a SIP or tel URI, a name-addr (``"Support" <sip:...>``), or a bare user part.

    Returns:
        the user part; empty for a URI without one.
    """
    uri = called.strip()
    if "<" in uri:
        uri = uri.split("<", 1)[1].split(">", 1)[0]
    user, scheme_found = _SCHEME.subn("", uri)
    if "@" in user:
        user = user.rsplit("@", 1)[0]
    elif scheme_found and not uri.lower().startswith("tel:"):
        return ""
    # A user part may carry parameters (RFC 3966) and a password (RFC 3261 section 19.1.1).
    user = unquote(user.split(";", 1)[0].split(":", 1)[0])
    return _without_separators(user)


def normalise_pattern(pattern: str) -> str:
    """Return a pattern in the form that :func:`pattern_matches` takes.

    A ``*`` at the end is a wildcard; one at the start is the key of a star code (``*98``).

    Raises:
        ValueError: a ``*`` stands anywhere else, or there is a whole URI.
    """
    if "@" in pattern or _SCHEME.match(pattern):
        raise ValueError("should be the number or name alone, without 'sip:' and '@host'")
    body = pattern[:-1] if pattern.endswith("*") else pattern
    if "*" in body[1:]:
        raise ValueError("may have a '*' only at its end (any ending) or start (a star code)")
    return _without_separators(body) + pattern[len(body) :]


def pattern_matches(pattern: str, called: str) -> bool:
    """Say whether a normalised number meets a normalised pattern."""
    if pattern.endswith("*"):
        return called.startswith(pattern[:-1])
    return called == pattern


def covers(first: str, second: str) -> bool:
    """Say whether every number that meets ``second`` meets ``first`` (both normalised)."""
    if first.endswith("*"):
        return second.removesuffix("*").startswith(first[:-1])
    return first == second


def _without_separators(user: str) -> str:
    return _SEPARATORS.sub("", user) if _NUMBER.fullmatch(user) else user
