"""One asyncio connection pool to Redis; everything of redis-py that the project touches.

Replies come as the protocol gives them (RESP2: text, integers, None, lists), since redis-py's
reshaping differs between its versions. Nothing is retried here. Every failure becomes a
:class:`RedisUnavailableError` whose text never holds a password, a key or a value.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha1
from typing import Self, cast
from urllib.parse import unquote, urlsplit

from redis import exceptions as redis_errors
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from bridge.config.settings import RedisSettings
from bridge.errors import ConfigError, InfrastructureError
from bridge.store.keys import Keys
from bridge.store.trouble import TRANSIENT_CODE, Diagnosis, Trouble, diagnose, error_code

Reply = str | int | None | list["Reply"]
Command = Sequence[str | int]

_DEFAULT_PORT = 6379
_DATABASE = re.compile(r"/?\d*", re.ASCII)

_TRANSIENT = (
    redis_errors.ReadOnlyError,
    redis_errors.OutOfMemoryError,
    redis_errors.ClusterDownError,
    redis_errors.TryAgainError,
    redis_errors.NoPermissionError,
)


class RedisUnavailableError(InfrastructureError):
    """Redis can't be reached, or can't take commands now.

    Attributes:
        trouble: why.
    """

    def __init__(self, place: str, diagnosis: Diagnosis) -> None:
        what = f"Redis at {place} {diagnosis.says}"
        super().__init__(what, remedy=diagnosis.remedy, retryable=True)
        self.trouble = diagnosis.trouble


@dataclass(frozen=True, slots=True)
class CommandRefused:
    """Redis answered one command of several with an error that trying again won't cure.

    Attributes:
        code: first word of the answer, such as ``WRONGTYPE``; ``NOSCRIPT`` where Redis does not
            know the script.
        duplicate: a stream entry was there already.
    """

    code: str
    duplicate: bool


class Script:
    """A Lua script, known to Redis by its SHA-1 once it has seen the text.

    Args:
        text: of the script.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = sha1(text.encode(), usedforsecurity=False).hexdigest()


class RedisLink:
    """A pool of connections to one Redis.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``.
        timeout_s: what one round trip may take, connecting included.

    Raises:
        ConfigError: the URL can't be read.
    """

    def __init__(self, url: str, *, timeout_s: float) -> None:
        self.place = _describe(url)
        self._url = url
        self._timeout_s = timeout_s
        self._answered = False
        try:
            self._redis = Redis.from_url(
                url,
                decode_responses=True,
                encoding_errors="replace",
                protocol=2,
                socket_timeout=None,
                socket_connect_timeout=timeout_s,
                retry=Retry(NoBackoff(), 0),
            )
            # Objects to options it doesn't know; redis-py leaves it without types.
            self._redis.connection_pool.make_connection()  # type: ignore[no-untyped-call]
        except (TypeError, ValueError, redis_errors.RedisError):
            raise _bad_url() from None  # its text may hold the URL, and so the password
        self._redis.response_callbacks.clear()

    async def ask(self, command: Command, *, patience_s: float = 0.0) -> Reply:
        """Send one command and return its reply.

        Args:
            command: its words.
            patience_s: how much longer than usual the reply may take (blocking reads).

        Raises:
            RedisUnavailableError: there was no reply, or it was an error.
        """
        async with self._translated(self._timeout_s + patience_s):
            # redis-py leaves execute_command without types.
            reply: Reply = await self._redis.execute_command(*command)  # type: ignore[no-untyped-call]
        return reply

    async def ask_all(self, commands: Sequence[Command]) -> list[Reply | CommandRefused]:
        """Send commands in one round trip (no transaction) and return their replies in order.

        Raises:
            RedisUnavailableError: some commands may have been applied, none need have been.
        """
        async with self._translated(self._timeout_s):
            pipeline = self._redis.pipeline(transaction=False)
            for command in commands:
                pipeline.execute_command(*command)
            replies = await pipeline.execute(raise_on_error=False)
            return [_settle(reply) for reply in replies]

    async def run(
        self, script: Script, keys: Sequence[str], arguments: Sequence[str | int]
    ) -> Reply:
        """Run a script, which changes all that it changes or nothing; return its reply.

        Raises:
            RedisUnavailableError: there was no reply, or it was an error.
        """
        words = (len(keys), *keys, *arguments)
        [reply] = await self.ask_all([("EVALSHA", script.sha, *words)])
        if not isinstance(reply, CommandRefused):
            return reply
        if reply.code == "NOSCRIPT":
            return await self.ask(("EVAL", script.text, *words))
        refused = Diagnosis(Trouble.REFUSING, f"refused a script ({reply.code})")
        raise RedisUnavailableError(self.place, refused)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    @asynccontextmanager
    async def _translated(self, timeout_s: float) -> AsyncIterator[None]:
        """Bound a round trip, and raise what redis-py does as a RedisUnavailableError."""
        try:
            async with asyncio.timeout(timeout_s):
                yield
        except (redis_errors.RedisError, OSError) as error:
            answered = self._answered
            diagnosis = await diagnose(error, self._url, timeout_s, answered=answered)
            raise RedisUnavailableError(self.place, diagnosis) from error
        self._answered = True


class RedisStore:
    """Base of what reads and writes some of the keys.

    Every method raises RedisUnavailableError (an InfrastructureError) while Redis is away.

    Args:
        link: to Redis; closed by whoever made it.
        keys: names.
    """

    def __init__(self, link: RedisLink, keys: Keys) -> None:
        self._link = link
        self._keys = keys


class OwnRedisStore(RedisStore):
    """Base of such a store with connections of its own. Use ``async with``, or :meth:`aclose`.

    Args:
        settings: prefix and timeout.
        url: the Redis.

    Raises:
        ConfigError: ``url`` can't be read.
    """

    def __init__(self, settings: RedisSettings, url: str) -> None:
        link = RedisLink(url, timeout_s=settings.connect_timeout_s)
        super().__init__(link, Keys(settings.prefix))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Disconnect."""
        await self._link.aclose()


def _settle(reply: object) -> Reply | CommandRefused:
    """Return a reply, or the refusal of one command; raise an error that concerns them all."""
    if not isinstance(reply, Exception):
        # What redis-py parsed from RESP2 with decode_responses can be nothing else.
        return cast(Reply, reply)
    transient = isinstance(reply, _TRANSIENT) or TRANSIENT_CODE.search(str(reply))
    if transient or not isinstance(reply, redis_errors.ResponseError):
        raise reply
    # Redis has no code for a stream entry that is not newer than the last one.
    return CommandRefused(error_code(reply), duplicate="equal or smaller" in str(reply))


def _describe(url: str) -> str:
    """Return `host:port` or the socket's path: never user, password or query."""
    try:
        parts = urlsplit(url)
        place = f"{parts.hostname or 'localhost'}:{parts.port or _DEFAULT_PORT}"
    except ValueError:
        raise _bad_url() from None
    if parts.scheme != "unix" and not _DATABASE.fullmatch(parts.path):
        raise _bad_url()  # redis-py would take database 0
    return unquote(parts.path) if parts.scheme == "unix" else place


def _bad_url() -> ConfigError:
    return ConfigError(
        "the URL of Redis can't be read",
        remedy="write BRIDGE_REDIS_URL (redis.url) as redis://[user:password@]host:port/0, a number"
        " at its end, rediss:// for TLS, or unix:///path",
    )
