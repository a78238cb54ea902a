"""Credentials for Realtime connections: a long-lived key, or short-lived tokens bought with it.

One provider per arm and model, shared by its calls; all in the loop's thread. One task per provider
fetches, so there is never a second request under way; it renews the token ahead of its end, and a
renewal that fails leaves the old one in use until it ends. The key never leaves this module but in
the Authorization header of the token request; no secret is in a repr, a log line or an exception.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Protocol, Self
from urllib.parse import urlsplit

import aiohttp
import structlog

from bridge.clock import NS_PER_MS, NS_PER_S, Clock
from bridge.descriptors import out_of_descriptors
from bridge.errors import ConfigError, UpstreamError
from bridge.realtime.backoff import Backoff
from bridge.session.http import http_session, read_body
from bridge.session.retry_after import retry_after_ms
from bridge.session.token_wire import TOKEN_WIRES, decode_grant, is_header_safe, lifetime_s

log = structlog.get_logger(__name__)

RENEW_AHEAD_MS = 30_000
"""A token is renewed so long before its end; for one that lives less than twice that, at half of
its life (the beta service's own default is 60 s)."""

MAX_BODY_BYTES = 64 * 1024
"""Longest answer that is read; a session with its instructions is a few KiB."""

LONGEST_AWAY_MS = 300_000
"""A Retry-After holds back all calls of an arm, so that no more than five minutes are believed."""

_MORE_FILES = "raise the limit of open files (LimitNOFILE, ulimit -n)"
_BACKOFF = Backoff(base_ms=500, limit_ms=30_000)


@dataclass(frozen=True, slots=True)
class Credential:
    """What a connection authenticates with.

    Attributes:
        value: bearer; None for a server without keys.
        expires_ns: monotonic end; None for a long-lived key.
    """

    value: str | None = field(repr=False)
    expires_ns: int | None = None

    @property
    def is_long_lived(self) -> bool:
        """Whether there can be no fresher one."""
        return self.expires_ns is None


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
        key: bearer; None for a server without keys.
    """

    def __init__(self, key: str | None) -> None:
        self._credential = Credential(key)

    async def open(self) -> None:
        """Do nothing."""

    async def get(self, *, other_than: Credential | None = None) -> Credential:
        """Return the key; there is no other."""
        return self._credential

    async def aclose(self) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """What tokens are asked of whom.

    Args:
        url: of the token service (`ArmSettings.token_endpoint`).
        dialect: ``ga`` or ``beta``.
        model: that the token is for.
        key: long-lived key; never shown.
        ttl_s: life asked for.

    Raises:
        ConfigError: the key can't stand in an HTTP header.
    """

    url: str
    dialect: str
    model: str
    key: str = field(repr=False)
    ttl_s: int = 120

    def __post_init__(self) -> None:
        if not is_header_safe(self.key):
            raise ConfigError(
                f"the API key for {self.host} is empty or holds blanks or line ends",
                remedy="the variable or file must hold the key alone",
            )

    @property
    def host(self) -> str:
        """``host:port``, for messages."""
        parts = urlsplit(self.url)
        return f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


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
        self._timeout = aiohttp.ClientTimeout(total=request_timeout_s)
        self._wait_timeout_s = wait_timeout_s
        self._backoff = backoff
        self._sleep = sleep
        self._jitter = jitter
        self._credential: Credential | None = None
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
        self._credential = None
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
                    credential = self._good()
                    if credential is not None and credential is not other_than:
                        return credential
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

    def _good(self) -> Credential | None:
        held = self._credential
        if held is None or held.expires_ns is None or held.expires_ns > self._clock.now_ns():
            return held
        return None

    async def _run(self) -> None:
        reason = "first"
        async with http_session(self._request.url, self._timeout) as http:
            while True:
                wait_ms = self._settle(await self._attempt(http), reason)
                # A failure's wait stands against all who want a token: no stampede on a service
                # that is down, and none with a key that is refused.
                reason = await self._wait(wait_ms, early=self._error is None)

    def _settle(self, result: Credential | UpstreamError, reason: str) -> int:
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
            self._error, self._failures, self._credential = None, 0, result
            wait_ms = self._renewal_ms(result)
        # Whoever asked meanwhile asked for this result; who is not content asks again.
        self._wanted.clear()
        self._wake()
        try:
            self._on_rotated(self._error is None, self._error.code if self._error else reason)
        except Exception as error:  # noqa: BLE001 - calls must get tokens though a metric fails
            log.error("token.callback_failed", error=type(error).__name__)
        return wait_ms

    def _renewal_ms(self, credential: Credential) -> int:
        if credential.expires_ns is None:
            raise ValueError("a token has an end")
        life_ms = max(credential.expires_ns - self._clock.now_ns(), 0) // NS_PER_MS
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

    async def _attempt(self, http: aiohttp.ClientSession) -> Credential | UpstreamError:
        """Fetch one token. Errors are returned, for they must not carry aiohttp's own, which hold
        the request's headers, as their context.
        """
        asked_ns = self._clock.now_ns()
        try:
            status, headers, body = await self._post(http)
        except TimeoutError:
            return self._failure(
                f"no answer within {self._timeout.total:g} s", "token_timeout", retryable=True
            )
        except (aiohttp.ClientError, OSError) as error:
            if out_of_descriptors(error):
                what = "this process has no file descriptor left"
                return self._failure(what, "no_descriptors", remedy=_MORE_FILES, retryable=True)
            return self._failure("no connection", "token_unavailable", retryable=True)
        except Exception as error:  # noqa: BLE001 - task root: it must go on, or calls wait for nothing
            log.error("token.rotation_broken", error=type(error).__name__)
            return self._failure("our own failure", "token_internal", retryable=True)
        if status not in (200, 201):
            refusal = self._refusal(status)
            now_s = self._clock.wall_ns() / NS_PER_S
            refusal.retry_after_ms = retry_after_ms(headers.get("Retry-After"), now_s)
            return refusal
        grant = decode_grant(self._wire, body)
        if grant is None:
            return self._failure("no token in its answer", "token_malformed", retryable=True)
        life_s = min(
            lifetime_s(grant, headers.get("Date"), self._clock.wall_ns()), self._request.ttl_s
        )
        if life_s <= 0:
            return self._failure("its token has ended already", "token_malformed", retryable=True)
        # From the asking on: the answer may have been under way for long.
        return Credential(grant.value, asked_ns + round(life_s * NS_PER_S))

    async def _post(self, http: aiohttp.ClientSession) -> tuple[int, Mapping[str, str], bytes]:
        request = self._request
        async with http.post(
            request.url,
            json=self._wire.body(request.model, request.ttl_s),
            headers={**self._wire.headers, "Authorization": f"Bearer {request.key}"},
            # The key must not follow to where somebody else points.
            allow_redirects=False,
        ) as response:
            body = await read_body(response, MAX_BODY_BYTES)
            return response.status, response.headers, body

    def _refusal(self, status: int) -> UpstreamError:
        what = f"HTTP {status}"
        if status in (401, 403):
            return self._failure(what, "token_refused", remedy="check the arm's key")
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
