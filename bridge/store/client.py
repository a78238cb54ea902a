"""One asyncio connection pool to Redis, by redis-py.

Replies come as the protocol gives them (RESP2: text, integers, None, lists), since redis-py's
reshaping differs between its versions. Nothing is retried here. Every failure becomes a
:class:`RedisUnavailableError` whose text never holds a password, a key or a value.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from hashlib import sha1
from typing import Self, cast

from bridge.config.settings import RedisSettings
from bridge.errors import InfrastructureError
from bridge.store.address import open_redis, read_address
from bridge.store.keys import Keys
from bridge.store.redis_py import MasterNotFoundError, redis_errors
from bridge.store.trouble import (
    TRANSIENT_CODE,
    Diagnosis,
    Trouble,
    diagnose,
    diagnose_sentinels,
    error_code,
)

Reply = str | int | None | list["Reply"]
Command = Sequence[str | int]

_STALE = frozenset({Trouble.REFUSING, Trouble.SILENT})
"""Troubles of a server that may be the wrong one by now: a master that was made a replica
(READONLY), is cut off from its replicas (NOREPLICAS), or hangs. Its connections are given up."""

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
    """A pool of connections to one Redis, or to whichever server is its master.

    Args:
        url: ``redis://``, ``rediss://``, either with ``+sentinel``, or ``unix://``
            (`bridge.store.address`).
        timeout_s: what one round trip may take, connecting and asking Sentinels included.

    Attributes:
        place: where it is, in words.

    Raises:
        ConfigError: the URL can't be read.
    """

    def __init__(self, url: str, *, timeout_s: float) -> None:
        self._address = read_address(url)
        self.place = self._address.says
        self._timeout_s = timeout_s
        self._answered = False
        self._opened = open_redis(self._address, timeout_s)
        self._redis = self._opened.client
        self._redis.response_callbacks.clear()

    @property
    def master(self) -> object:
        """Which server Sentinels named last: another value, and it was replaced."""
        return getattr(self._redis.connection_pool, "master_address", None)

    @property
    def fails_over(self) -> bool:
        """Whether there are Sentinels, which may replace the server."""
        return self._opened.sentinels is not None

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
        await self._opened.aclose()

    @asynccontextmanager
    async def _translated(self, timeout_s: float) -> AsyncIterator[None]:
        """Bound a round trip, and raise what redis-py does as a RedisUnavailableError."""
        try:
            async with asyncio.timeout(timeout_s):
                yield
        except (redis_errors.RedisError, OSError) as error:
            diagnosis = await self._diagnose(error)
            if diagnosis.trouble in _STALE:
                with suppress(redis_errors.RedisError, OSError):
                    await self._redis.connection_pool.disconnect(inuse_connections=False)
            raise RedisUnavailableError(self.place, diagnosis) from error
        self._answered = True

    async def _diagnose(self, error: Exception) -> Diagnosis:
        if isinstance(error, MasterNotFoundError) and self._opened.sentinels is not None:
            asked = [each.ping() for each in self._opened.sentinels.sentinels]
            answers = await asyncio.gather(*asked, return_exceptions=True)
            return diagnose_sentinels(answers, self._timeout_s)
        answered = self._answered
        return await diagnose(error, self._address, self._timeout_s, answered=answered)


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
