"""Where a node is to be found: its name, and its addresses for phones and browsers."""

import re
import socket
from dataclasses import dataclass

from bridge.config.settings import Settings


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a started gateway is to be found."""

    sip: str
    http: str
    node: str
    max_calls: int
    admin_link: str | None = None
    """Makes the console's first admin, once, within the hour; None where there is one."""


def node_name(sip_port: int) -> str:
    """Make up the name of a node that was given none."""
    host = re.sub(r"[^a-z0-9_-]", "-", socket.gethostname().lower()).strip("-_")
    return f"{host or 'node'}-{sip_port}"


def http_url(settings: Settings, port: int) -> str:
    """Return where the HTTP server is heard."""
    scheme = "https" if settings.console.tls else "http"
    return f"{scheme}://{settings.http.host}:{port}"


def browser_url(settings: Settings, heard_at: str) -> str:
    """Return where a browser finds the console; ``heard_at`` is where the server is heard."""
    # 0.0.0.0 is where we hear, not what a browser asks for.
    return settings.console.public_url or heard_at.replace("//0.0.0.0:", "//127.0.0.1:")


def sip_address(settings: Settings, port: int) -> str:
    """Return where phones reach us; 0.0.0.0 is where we hear, and no address."""
    host = settings.sip.public_address or settings.sip.host
    return "" if host == "0.0.0.0" else f"{host}:{port}"
