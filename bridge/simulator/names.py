"""Makes the ids of the server's sessions, items and events, such as ``item_3f...``."""

import secrets


def new_name(kind: str) -> str:
    """Return a new ``<kind>_<20 characters>``, as in ``item_3f...``; 32 characters at most."""
    return f"{kind}_{secrets.token_hex(10)}"
