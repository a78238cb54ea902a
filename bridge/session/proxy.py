"""Decides whether a connection may go through the environment's proxy. Pure."""

import ipaddress


def may_use_proxy(host: str | None) -> bool:
    """Return False for this machine's own addresses: no proxy can reach our loopback."""
    if host is None or host == "localhost":
        return False
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return True
