"""Makes random secrets."""

import secrets


def new_token() -> str:
    """Return 256 random bits, fit for a URL and a cookie."""
    return secrets.token_urlsafe(32)
