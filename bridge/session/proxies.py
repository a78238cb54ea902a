"""The proxies that connections to an arm's services go through, as settings or environment say."""

import base64
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import quote, unquote, urlsplit

from bridge.errors import ConfigError
from bridge.sip.addresses import host_and_port

_HTTP_PORT = 80


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy that connections go through by CONNECT (RFC 9110 section 9.3.6).

    Attributes:
        address: ``host:port``, an IPv6 host in brackets.
        credentials: ``name:password``; never shown.
    """

    address: str
    credentials: str | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """The URL, without the credentials."""
        return f"http://{self.address}"

    @property
    def secret_url(self) -> str:
        """The URL with the credentials in it: never to be shown."""
        name, _, password = (self.credentials or "").partition(":")
        known = "" if self.credentials is None else f"{quote(name, '')}:{quote(password, '')}@"
        return f"http://{known}{self.address}"

    @property
    def headers(self) -> dict[str, str]:
        """What the proxy is sent of its own (RFC 7617)."""
        if self.credentials is None:
            return {}
        return {"Proxy-Authorization": f"Basic {self._basic}"}

    @property
    def secrets(self) -> tuple[str, ...]:
        """The credentials in each form that they go in."""
        if self.credentials is None:
            return ()
        return (self.credentials, self.credentials.partition(":")[2], self._basic)

    @property
    def _basic(self) -> str:
        return base64.b64encode((self.credentials or "").encode()).decode()


@dataclass(frozen=True, slots=True)
class Proxies:
    """Chooses the proxy of a URL; without any, connections are direct.

    Attributes:
        secure: of wss:// and https://; ``plain``: of ws:// and http://.
        direct: hosts without a proxy, as NO_PROXY lists them.
        spares_loopback: this machine's own addresses are without one: no proxy reaches them.
    """

    secure: Proxy | None = None
    plain: Proxy | None = None
    direct: str = ""
    spares_loopback: bool = False

    @classmethod
    def explicit(cls, url: str, credentials: str | None) -> Self:
        """Make those of an arm that names its proxy, a good URL."""
        proxy = _parse(url, credentials)
        return cls(proxy, proxy)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """Make those that HTTPS_PROXY, HTTP_PROXY and NO_PROXY name, in either case.

        Raises:
            ConfigError: one is no HTTP proxy; its value is not repeated: it may hold a password.
        """
        named: list[Proxy | None] = []
        for variable in ("HTTPS_PROXY", "HTTP_PROXY"):
            value = _either_case(environ, variable)
            if not value:
                named.append(None)
                continue
            try:
                named.append(_parse(value, None))
            except ValueError:
                raise ConfigError(
                    f"the environment variable {variable} names no proxy like http://HOST:PORT",
                    remedy="correct it, or set the arm's proxy: http://HOST:PORT, or none",
                ) from None
        secure, plain = named
        return cls(secure, plain, _either_case(environ, "NO_PROXY"), spares_loopback=True)

    def of(self, url: str) -> Proxy | None:
        """Return the proxy for a URL; None for a direct connection."""
        parts = urlsplit(url)
        is_secure = parts.scheme in ("wss", "https")
        host = parts.hostname or ""
        if self.spares_loopback and _is_loopback(host):
            return None
        port = parts.port or (443 if is_secure else _HTTP_PORT)
        if _is_listed(host, port, self.direct):
            return None
        return self.secure if is_secure else self.plain

    @property
    def secrets(self) -> tuple[str, ...]:
        """The credentials of both, in each form that they go in."""
        return tuple(each for proxy in (self.secure, self.plain) if proxy for each in proxy.secrets)


DIRECT = Proxies()


def _is_listed(host: str, port: int, direct: str) -> bool:
    """Return whether NO_PROXY lists a host: itself, a domain of it, with or without the port."""
    for each in direct.lower().split(","):
        listed = each.strip().removeprefix("*")
        if not listed and "*" in each:
            return True
        domain = "." + listed.removeprefix(".")
        if listed and f".{host}:{port}".endswith((domain, f"{domain}:{port}")):
            return True
    return False


def _either_case(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name.lower()) or environ.get(name) or ""


def _parse(value: str, credentials: str | None) -> Proxy:
    parts = urlsplit(value if "://" in value else f"http://{value}")
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError("no HTTP proxy")
    if parts.username is not None:
        credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return Proxy(host_and_port(parts.hostname, parts.port or _HTTP_PORT), credentials)


def _is_loopback(host: str) -> bool:
    if host in ("", "localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
