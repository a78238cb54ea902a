"""Recognises requests that come from the console's own pages (RFC 6454; Fetch, ``Origin``)."""

from starlette.requests import HTTPConnection

from bridge.config.console import ConsoleSettings


def own_origin(connection: HTTPConnection, settings: ConsoleSettings) -> str:
    """Return the origin that browsers see: scheme, host, port."""
    if settings.public_url is not None:
        return settings.public_url.rstrip("/").lower()
    scheme = {"ws": "http", "wss": "https"}.get(connection.url.scheme, connection.url.scheme)
    return f"{scheme}://{connection.headers.get('host', '')}".lower()


def is_foreign(connection: HTTPConnection, settings: ConsoleSettings) -> bool:
    """Return whether a page of another origin made this request; no ``Origin`` is no page."""
    origin = connection.headers.get("origin")
    return origin is not None and origin.lower() != own_origin(connection, settings)


def is_from_our_page(connection: HTTPConnection, settings: ConsoleSettings) -> bool:
    """Return whether a page of ours made this request: a browser always says so where it must."""
    return "origin" in connection.headers and not is_foreign(connection, settings)
