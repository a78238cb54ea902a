"""Credentials for Realtime connections: a long-lived key, or short-lived tokens bought with it.

One provider per arm and model, shared by its calls; all in the loop's thread. One task per provider
fetches, so there is never a second request under way; it renews the token ahead of its end, and a
renewal that fails leaves the old one in use until it ends. A key that is refused is read anew where
it is in a file. No secret is in a repr, a log line or an exception.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Protocol, Self
from urllib.parse import urlsplit

import structlog

from bridge.clock import NS_PER_MS, NS_PER_S, Clock
from bridge.errors import UpstreamError
from bridge.realtime.backoff import Backoff
from bridge.session.access import Access
from bridge.session.http import NO_DESCRIPTORS, TIMED_OUT, ask
from bridge.session.obstacles import Obstacle
from bridge.session.retry_after import retry_after_ms
from bridge.session.token_wire import TOKEN_WIRES, decode_grant, lifetime_s

log = structlog.get_logger(__name__)

RENEW_AHEAD_MS = 30_000
"""A token is renewed so long before its end; for one that lives less than twice that, at half of
its life (the beta service's own default is 60 s)."""

MAX_BODY_BYTES = 64 * 1024
"""Longest answer that is read; a session with its instructions is a few KiB."""

LONGEST_AWAY_MS = 300_000
"""A Retry-After holds back all calls of an arm, so that no more than five minutes are believed."""

_BACKOFF = Backoff(base_ms=500, limit_ms=30_000)


class AccessSource(Protocol):
    """The interface of what gives the present way to a service."""

    async def get(self, *, anew: bool = False) -> Access:
        """Return the way, read anew from its files if the last one was refused."""
        ...


class FixedAccess:
    """A way to a service that never changes.

    Args:
        access: it.
    """

    def __init__(self, access: Access) -> None:
        self._access = access

    async def get(self, *, anew: bool = False) -> Access:
        """Return it; there is no other."""
        return self._access


@dataclass(frozen=True, slots=True)
class Credential:
    """What a connection authenticates with, and the way that it takes.

    Attributes:
        access: with the key or token in it.
        expires_ns: monotonic end; None for a long-lived key.
    """

    access: Access = field(repr=False)
    expires_ns: int | None = None

    @property
    def value(self) -> str | None:
        """The key or token; None for a server without keys."""
        return self.access.key

    @property
    def is_final(self) -> bool:
        """Whether there can be no fresher one: a key that is in no file."""
        return self.expires_ns is None and not self.access.renews


class CredentialSource(Protocol):
    """Where connections get their credential."""

    async def open(self) -> None:
        """Start; credentials can be had from here on. Does not wait for the first one."""
        ...

    async def get(self, *, other_than: Credential | None = None) -> Credential:
        """Return a credential that is good now.

        Args:
            other_than: one that the service refused, or that is too old to be used again.

        Raises:
            UpstreamError: there is none to be had (codes ``token_*``).
        """
        ...

    async def aclose(self) -> None:
        """Stop; wait for what runs. Idempotent."""
        ...


class DirectKey:
    """A long-lived key that is used as it is, or none.

    Args:
        source: the way to the service, with the key.
    """

    def __init__(self, source: AccessSource) -> None:
        self._source = source

    async def open(self) -> None:
        """Do nothing."""

    async def get(self, *, other_than: Credential | None = None) -> Credential:
        """Return the key; the one that its file has now, if another was refused."""
        return Credential(await self._source.get(anew=other_than is not None))

    async def aclose(self) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """What tokens are asked of whom.

    Args:
        url: of the token service (`ArmSettings.token_endpoint`).
        dialect: ``ga`` or ``beta``.
        model: that the token is for.
        source: the way there, with the long-lived key.
        ttl_s: life asked for.
    """

    url: str
    dialect: str
    model: str
    source: AccessSource = field(repr=False)
    ttl_s: int = 120

    @property
    def host(self) -> str:
        """``host:port``, for messages."""
        parts = urlsplit(self.url)
        return f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


@dataclass(frozen=True, slots=True)
class _Token:
    """A token, and its monotonic end."""

    value: str = field(repr=False)
    expires_ns: int


class TokenProvider:
    """Short-lived tokens for one arm and model; open and close it with the gateway.

    Args:
        on_rotated: called after every attempt with (True, ``first`` | ``due`` | ``refused``) or
            (False, the failure's code): a metric.
        request_timeout_s: for one request, answer and all.
        wait_timeout_s: how long :meth:`get` waits where no good token is at hand.
        sleep: waits for seconds; a test's clock brings its own.
        jitter: gives a number in [0, 1).
    """

    def __init__(
        self,
        request: TokenRequest,
        *,
        clock: Clock,
        on_rotated: Callable[[bool, str], None],
        request_timeout_s: float = 5.0,
        wait_timeout_s: float = 5.0,
        backoff: Backoff = _BACKOFF,
        sleep: Callable[[float], Coroutine[object, object, None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._request = request
        self._wire = TOKEN_WIRES[request.dialect]
        self._clock = clock
        self._on_rotated = on_rotated
        self._timeout_s = request_timeout_s
        self._wait_timeout_s = wait_timeout_s
        self._backoff = backoff
        self._sleep = sleep
        self._jitter = jitter
        self._token: _Token | None = None
        self._error: UpstreamError | None = None
        self._failures = 0
        self._retry_ns = 0
        self._wanted = asyncio.Event()
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Start to fetch and renew; :meth:`get` waits for the first token."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="token-rotation")

    async def aclose(self) -> None:
        """Stop, and wait for the task's end. Idempotent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            self._task = None
        self._token = None
        self._error = self._failure("the token provider is closed", "token_closed")
        self._wake()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def get(self, *, other_than: Credential | None = None) -> Credential:
        """Return a token that is good now; any number may wait for one request.

        Args:
            other_than: a token that was refused or is too old: gives another one, at once if it was
                replaced meanwhile.

        Raises:
            UpstreamError: the service refuses (at once, not retryable), wants to be left alone for
                longer than a caller here waits (at once), or no token came in time. It says how
                long nobody asks again, if the service said so.
        """
        try:
            async with asyncio.timeout(self._wait_timeout_s):
                while True:
                    token = self._good()
                    if token is not None and (not other_than or token.value != other_than.value):
                        # What goes beside the token may have been renewed, or refused.
                        access = await self._request.source.get(anew=other_than is not None)
                        return Credential(access.with_token(token.value), token.expires_ns)
                    if self._error is not None and not self._is_hopeful(self._error):
                        raise self._copy(self._error)
                    news = self._news
                    self._wanted.set()
                    await news.wait()
        except TimeoutError:
            error = self._error
        if error is not None:
            raise self._copy(error)
        what = f"no token came within {self._wait_timeout_s:g} s"
        raise self._failure(what, "token_timeout", retryable=True)

    def _is_hopeful(self, error: UpstreamError) -> bool:
        """Return whether a token may come while somebody waits here."""
        return error.retryable and self._away_ms() < self._wait_timeout_s * 1000

    def _away_ms(self) -> int:
        """Return how much longer the service wants to be left alone."""
        return max(self._retry_ns - self._clock.now_ns(), 0) // NS_PER_MS

    def _good(self) -> _Token | None:
        held = self._token
        return held if held is not None and held.expires_ns > self._clock.now_ns() else None

    async def _run(self) -> None:
        reason = "first"
        while True:
            wait_ms = self._settle(await self._attempt(), reason)
            # A failure's wait stands against all who want a token: no stampede on a service
            # that is down, and none with a key that is refused.
            reason = await self._wait(wait_ms, early=self._error is None)

    def _settle(self, result: _Token | UpstreamError, reason: str) -> int:
        """Take an attempt's result; return how long to wait for the next one, milliseconds."""
        if isinstance(result, UpstreamError):
            self._error = result
            self._failures += 1
            # Not the first, short wait: that one is for blips, and here a token is at hand mostly.
            wait_ms = self._backoff.wait_ms(self._failures + 1, self._jitter())
            away_ms = min(result.retry_after_ms or 0, LONGEST_AWAY_MS)
            self._retry_ns = self._clock.now_ns() + away_ms * NS_PER_MS
            wait_ms = max(wait_ms, away_ms)
            log.warning(
                "token.rotation_failed",
                host=self._request.host,
                code=result.code,
                failures=self._failures,
                has_token=self._good() is not None,
                retry_after_ms=result.retry_after_ms,
            )
        else:
            self._retry_ns = 0
            self._error, self._failures, self._token = None, 0, result
            wait_ms = self._renewal_ms(result)
        # Whoever asked meanwhile asked for this result; who is not content asks again.
        self._wanted.clear()
        self._wake()
        try:
            self._on_rotated(self._error is None, self._error.code if self._error else reason)
        except Exception as error:  # noqa: BLE001 - calls must get tokens though a metric fails
            log.error("token.callback_failed", error=type(error).__name__)
        return wait_ms

    def _renewal_ms(self, token: _Token) -> int:
        life_ms = max(token.expires_ns - self._clock.now_ns(), 0) // NS_PER_MS
        return max(life_ms - RENEW_AHEAD_MS, life_ms // 2)

    async def _wait(self, wait_ms: int, *, early: bool) -> str:
        """Wait; return why it is over. With ``early``, somebody who wants a token ends it."""
        if not early:
            await self._sleep(wait_ms / 1000)
            return "due"
        sleeping = asyncio.create_task(self._sleep(wait_ms / 1000), name="token-renewal-wait")
        wanting = asyncio.create_task(self._wanted.wait(), name="token-demand-wait")
        try:
            await asyncio.wait({sleeping, wanting}, return_when=asyncio.FIRST_COMPLETED)
            return "due" if sleeping.done() else "refused"
        finally:
            sleeping.cancel()
            wanting.cancel()
            await asyncio.gather(sleeping, wanting, return_exceptions=True)

    def _wake(self) -> None:
        """Wake all who wait; those who come later wait for the next news."""
        self._news.set()
        self._news = asyncio.Event()

    async def _attempt(self) -> _Token | UpstreamError:
        """Fetch one token; with a key that is refused once more, if its file has another by now."""
        try:
            access = await self._request.source.get()
            result = await self._fetch(access)
            if isinstance(result, UpstreamError) and result.code == "token_refused":
                renewed = await self._request.source.get(anew=True)
                if renewed != access:
                    return await self._fetch(renewed)
        except Exception as error:  # noqa: BLE001 - task root: it must go on, or calls wait for nothing
            log.error("token.rotation_broken", error=type(error).__name__)
            return self._failure("our own failure", "token_internal", retryable=True)
        return result

    async def _fetch(self, access: Access) -> _Token | UpstreamError:
        request, asked_ns = self._request, self._clock.now_ns()
        answer = await ask(
            "POST",
            request.url,
            access,
            timeout_s=self._timeout_s,
            most_bytes=MAX_BODY_BYTES,
            headers=self._wire.headers,
            json=self._wire.body(request.model, request.ttl_s),
        )
        if isinstance(answer, Obstacle):
            return self._obstructed(answer)
        if answer.status not in (200, 201):
            refusal = self._refusal(answer.status, access)
            now_s = self._clock.wall_ns() / NS_PER_S
            refusal.retry_after_ms = retry_after_ms(answer.headers.get("Retry-After"), now_s)
            return refusal
        grant = decode_grant(self._wire, answer.body)
        if grant is None:
            return self._failure("no token in its answer", "token_malformed", retryable=True)
        life_s = min(
            lifetime_s(grant, answer.headers.get("Date"), self._clock.wall_ns()), request.ttl_s
        )
        if life_s <= 0:
            return self._failure("its token has ended already", "token_malformed", retryable=True)
        # From the asking on: the answer may have been under way for long.
        return _Token(grant.value, asked_ns + round(life_s * NS_PER_S))

    def _obstructed(self, found: Obstacle) -> UpstreamError:
        codes = {TIMED_OUT: "token_timeout", NO_DESCRIPTORS: NO_DESCRIPTORS}
        code = codes.get(found.code, "token_unavailable")
        return self._failure(found.what, code, remedy=found.remedy, retryable=True)

    def _refusal(self, status: int, access: Access) -> UpstreamError:
        what = f"HTTP {status}"
        if status in (401, 403):
            remedy = f"check the key that {access.key_setting} names"
            return self._failure(what, "token_refused", remedy=remedy)
        if status == 429:
            return self._failure(what, "token_limited", retryable=True)
        if status == 408 or status >= 500:
            return self._failure(what, "token_unavailable", retryable=True)
        return self._failure(
            what, "token_rejected", remedy="check the arm's token_url, model and dialect"
        )

    def _failure(
        self, what: str, code: str, *, remedy: str = "", retryable: bool = False
    ) -> UpstreamError:
        return UpstreamError(
            f"the token service of {self._request.host}: {what}",
            code=code,
            remedy=remedy or "check the token service, or set credentials: direct",
            retryable=retryable,
        )

    def _copy(self, error: UpstreamError) -> UpstreamError:
        """Make an exception that one waiter can raise: a shared one would chain tracebacks."""
        copy = UpstreamError(
            error.what, code=error.code, remedy=error.remedy, retryable=error.retryable
        )
        copy.retry_after_ms = self._away_ms() or None
        return copy
