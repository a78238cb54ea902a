"""Reads the URL of a Redis, and opens what it names: a server, or the master that Sentinels know.

    redis://[user[:password]@]host[:6379][/0]             rediss:// by TLS
    redis+sentinel://...@host[:26379],host,host/master[/0]    rediss+sentinel://: they too by TLS
    unix:///path

Options behind ``?``: `password_file` and `username_file` hold the credentials, and are read at
each connection, so a new password is a new file; `sentinel_username` and `sentinel_password_file`
are for the Sentinels; the rest is redis-py's (`ssl_ca_certs`, `ssl_certfile`, `ssl_keyfile`). A
certificate's name is always checked, unless `ssl_check_hostname=false` says otherwise.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from bridge.errors import ConfigError
from bridge.store.redis_py import (
    ConnectionPool,
    CredentialProvider,
    NoBackoff,
    Redis,
    Retry,
    Sentinel,
    redis_errors,
)

_PORT, _SENTINEL_PORT = 6379, 26379
_DATABASE = re.compile(r"/?\d*", re.ASCII)
_MASTER = re.compile(r"/([\w.-]+)(/\d+)?", re.ASCII)  # what Sentinel takes for a name
_BEHIND = "+sentinel"
_SIGNING_IN = ("username", "password", "credential_provider")
_OURS = ("username_file", "password_file", "sentinel_username", "sentinel_password_file")


class UnreadableCredentialError(redis_errors.AuthenticationError):
    """A file with a user's name or password can't be read; its text says which and why."""


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """Where a Redis is, and how it is spoken to.

    Attributes:
        scheme: ``redis``, ``rediss`` or ``unix``.
        places: host and port of the server, or of each Sentinel; none of a socket's.
        master: its name with the Sentinels; empty without them.
        database: its number as written.
        says: the place in words, without secrets.
        url: of one server, for redis-py; secret. Behind Sentinels its host is nobody's.
        own: those options that are not redis-py's.
    """

    scheme: str
    places: tuple[tuple[str, int], ...]
    master: str
    database: str
    says: str
    url: str = field(repr=False)
    own: Mapping[str, str] = field(repr=False)

    @property
    def tls(self) -> bool:
        """Whether it is spoken to by TLS."""
        return self.scheme == "rediss"


class _Files(CredentialProvider):
    """Gives credentials from files, as they are when a connection is made."""

    def __init__(self, user: str, user_file: str | None, password_file: str) -> None:
        self._user, self._user_file, self._password_file = user, user_file, password_file

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        user = self._user if self._user_file is None else _read(self._user_file)
        password = _read(self._password_file)
        return (user, password) if user else (password,)


def _read(file: str) -> str:
    try:
        text = Path(file).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "no UTF-8 text"
        raise UnreadableCredentialError(f"{file}: {why.lower()}") from None
    if not text:
        raise UnreadableCredentialError(f"{file}: empty")
    return text


def read_address(url: str) -> RedisAddress:
    """Read a URL.

    Raises:
        ConfigError: it can't be read; its text is not repeated, for it may hold a password.
    """
    try:
        return _read_address(url)
    except ValueError:
        raise bad_url() from None


def bad_url() -> ConfigError:
    """Return the error of a URL that can't be read."""
    return ConfigError(
        "the URL of Redis can't be read",
        remedy="write BRIDGE_REDIS_URL (redis.url) as redis://[user:password@]host:port/0, a number"
        " at its end, rediss:// for TLS, redis+sentinel://host:port,host:port/MASTER/0 (by TLS"
        " rediss+sentinel://), or unix:///path",
    )


def _read_address(url: str) -> RedisAddress:
    parts = urlsplit(url)
    scheme = parts.scheme.removesuffix(_BEHIND)
    options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    own = {name: options.pop(name) for name in _OURS if name in options}
    if "username_file" in own and "password_file" not in own:
        raise ValueError("a user without a password")
    who, at, hosts = parts.netloc.rpartition("@")
    match = None
    if scheme != parts.scheme:
        if scheme == "unix" or (match := _MASTER.fullmatch(parts.path)) is None:
            raise ValueError("no master")
        places = tuple(_place(host, _SENTINEL_PORT) for host in hosts.split(","))
        database, hosts = (match[2] or "")[1:], "sentinel"
    elif scheme == "unix":
        places, database = (), ""
    else:
        places, database = (_place(hosts, _PORT),), parts.path.strip("/")
        if not _DATABASE.fullmatch(parts.path):
            raise ValueError("no number")  # redis-py would take database 0
    path = parts.path if scheme == "unix" else f"/{database}"
    one = f"{scheme}://{who}{at}{hosts}{path}" + (f"?{urlencode(options)}" if options else "")
    master = match[1] if match else ""
    return RedisAddress(
        scheme, places, master, database, _says(places, master, path), one, MappingProxyType(own)
    )


def _place(text: str, port: int) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    return parts.hostname or "localhost", parts.port or port


def _says(places: tuple[tuple[str, int], ...], master: str, path: str) -> str:
    listed = ", ".join(f"{host}:{port}" for host, port in places)
    return f"{master} (Sentinels {listed})" if master else listed or unquote(path)


class _Sentinels(Sentinel):
    """Sentinels of which none is lost while several askers look for the master at once.

    redis-py puts the Sentinel that answered first in its list, by its place in the list; where
    another asker has changed the list meanwhile, one Sentinel stands in it twice and one never
    again, its connections open (redis-py 8.1, `asyncio/sentinel.py`).
    """

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        known = tuple(self.sentinels)
        try:
            found: tuple[str, int] = await super().discover_master(service_name)
        finally:
            self.sentinels = list(dict.fromkeys((*self.sentinels, *known)))
        return found


@dataclass(frozen=True, slots=True)
class OpenedRedis:
    """A client, and the Sentinels that it asks, if any."""

    client: Redis
    sentinels: Sentinel | None

    async def aclose(self) -> None:
        """Close all connections."""
        await self.client.aclose()
        if self.sentinels is not None:
            await self.sentinels.aclose()


def open_redis(address: RedisAddress, timeout_s: float) -> OpenedRedis:
    """Return a client of a Redis, which connects once it is asked something.

    Args:
        timeout_s: what connecting may take. Each Sentinel has an equal part of it, so that one
            whose machine is gone leaves time to ask the next.

    Raises:
        ConfigError: redis-py does not take the URL.
    """
    common: dict[str, Any] = {  # redis-py's own type
        "decode_responses": True,
        "encoding_errors": "replace",
        "protocol": 2,
        "socket_timeout": None,
        "socket_connect_timeout": timeout_s,
        "retry": Retry(NoBackoff(), 0),
    }
    if address.tls:
        common["ssl_check_hostname"] = True
    try:
        pool = ConnectionPool.from_url(address.url, **common)
        options = pool.connection_kwargs
        if (file := address.own.get("password_file")) is not None:
            user = str(options.pop("username", None) or "")
            options.pop("password", None)
            provider = _Files(user, address.own.get("username_file"), file)
            options["credential_provider"] = provider
        # Objects to options it doesn't know; redis-py leaves it without types.
        pool.make_connection()  # type: ignore[no-untyped-call]
        if not address.master:
            return OpenedRedis(Redis.from_pool(pool), None)
        return _behind_sentinels(address, options, common, timeout_s)
    except (TypeError, ValueError, redis_errors.RedisError):
        raise bad_url() from None  # its text may hold the URL, and so the password


def _behind_sentinels(
    address: RedisAddress, options: Mapping[str, Any], common: Iterable[str], timeout_s: float
) -> OpenedRedis:
    # What redis-py adds of its own is another pool's.
    named = {*common, *dict(parse_qsl(urlsplit(address.url).query)), *_SIGNING_IN, "db"}
    ours = {name: value for name, value in options.items() if name in named}
    if address.tls:
        ours["ssl"] = True
    theirs = {name: value for name, value in ours.items() if name not in (*_SIGNING_IN, "db")}
    share_s = timeout_s / (len(address.places) + 1)
    asking: dict[str, Any] = {
        **theirs,
        "socket_timeout": share_s,
        "socket_connect_timeout": share_s,
    }
    if (file := address.own.get("sentinel_password_file")) is not None:
        user = address.own.get("sentinel_username", "")
        asking["credential_provider"] = _Files(user, None, file)
    # redis-py leaves it without types.
    sentinels = _Sentinels(address.places, sentinel_kwargs=asking)  # type: ignore[no-untyped-call]
    return OpenedRedis(sentinels.master_for(address.master, **ours), sentinels)
