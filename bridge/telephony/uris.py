"""SIP and telephone URIs, as text. Pure."""

import re
from urllib.parse import unquote

_SCHEMES = frozenset({"sip", "sips", "tel"})


def user_of(uri: str) -> str:
    """Return who a URI calls.

    Args:
        uri: ``sip:``, ``sips:`` or ``tel:`` (RFC 3261 section 19.1, RFC 3966), perhaps in ``<>``.

    Returns:
        The user part, unescaped, without password and parameters; the host where there is no user.
    """
    bare = uri.strip().strip("<>")
    scheme, colon, rest = bare.partition(":")
    if colon and scheme.lower() in _SCHEMES:
        bare = rest
    user, at, host = bare.rpartition("@")
    if at or scheme.lower() == "tel":
        return unquote((user if at else host).split(";", 1)[0].split(":", 1)[0])
    return re.sub(r"(:\d+)?([;?].*)?$", "", host)


def host_of_uri(uri: str) -> str:
    """Return the host of a SIP URI, perhaps in ``<>``, without its port."""
    bare = uri.strip().strip("<>").rpartition("@")[2]
    bare = re.sub(r"^sips?:", "", bare, flags=re.IGNORECASE)
    return re.sub(r"(:\d+)?([;?>].*)?$", "", bare).strip("[]")
