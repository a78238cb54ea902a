import asyncio
import json
import logging
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate
from typing import Any

import pytest
import structlog
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from bridge.clock import NS_PER_MS, NS_PER_S, ManualClock
from bridge.errors import UpstreamError
from bridge.session.access import Access
from bridge.session.token_wire import TOKEN_WIRES, Grant, decode_grant, lifetime_s
from bridge.session.tokens import (
    Credential,
    CredentialSource,
    DirectKey,
    FixedAccess,
    TokenProvider,
    TokenRequest,
)
from tests.support.waiting import wait_until

KEY = "sk-SENTINEL-key-0123456789"
TTL_S = 120
SOURCE = FixedAccess(Access(KEY))
SOON_S = 5.0
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ManualTime:
    """A clock, and sleepers that it wakes."""

    def __init__(self) -> None:
        self.clock = ManualClock(now_ns=7 * NS_PER_S)
        self.sleeping: dict[asyncio.Future[None], int] = {}

    async def sleep(self, delay_s: float) -> None:
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.sleeping[woken] = self.clock.now_ns() + round(delay_s * NS_PER_S)
        try:
            await woken
        finally:
            del self.sleeping[woken]

    def wait_ms(self) -> int:
        """How long the one sleeper will still sleep."""
        (due_ns,) = self.sleeping.values()
        return (due_ns - self.clock.now_ns()) // NS_PER_MS

    async def asleep(self) -> None:
        await wait_until(lambda: len(self.sleeping) == 1, message="nobody went to sleep")

    def advance_ms(self, ms: int) -> None:
        now_ns = self.clock.advance_ms(ms)
        for woken, due_ns in list(self.sleeping.items()):
            if due_ns <= now_ns and not woken.done():
                woken.set_result(None)

    async def pass_sleep(self) -> None:
        """Let the provider's present wait run out."""
        await self.asleep()
        self.advance_ms(self.wait_ms() + 1)


class Service:
    """A token service on loopback: answers are taken off a list, the last one stays."""

    def __init__(self, clock: ManualClock, dialect: str = "ga") -> None:
        self.clock = clock
        self.dialect = dialect
        self.answers: list[Answer] = [self.token]
        self.requests: list[dict[str, Any]] = []  # Any: JSON that a test looks at
        self.headers: list[dict[str, str]] = []
        self.active = self.most_active = 0
        self.ttl_s = TTL_S
        self.skew_s = 0
        self.url = ""

    async def token(self, request: web.Request) -> web.Response:
        now_s = self.clock.wall_ns() // NS_PER_S + self.skew_s
        secret = {"value": f"ek_SENTINEL_{len(self.requests)}", "expires_at": now_s + self.ttl_s}
        beta = {"id": "sess_1", "client_secret": secret}
        body = beta if self.dialect == "beta" else {**secret, "session": {"type": "realtime"}}
        return web.json_response(body, headers={"Date": formatdate(now_s, usegmt=True)})

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.active += 1
        self.most_active = max(self.active, self.most_active)
        self.requests.append(await request.json())
        self.headers.append(dict(request.headers))
        try:
            return await (self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])(
                request
            )
        finally:
            self.active -= 1


def status(code: int, retry_after: str | None = None) -> Answer:
    headers = {} if retry_after is None else {"Retry-After": retry_after}

    async def answer(request: web.Request) -> web.Response:
        # As the real service does: the text quotes the key.
        body = {"error": {"message": f"no: {KEY}"}}
        return web.json_response(body, status=code, headers=headers)

    return answer


def text(body: str) -> Answer:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=body)

    return answer


@asynccontextmanager
async def serving(service: Service) -> AsyncIterator[Service]:
    app = web.Application()
    path = "/v1/realtime/sessions" if service.dialect == "beta" else "/v1/realtime/client_secrets"
    app.router.add_post(path, service.handle)
    async with TestServer(app, host="127.0.0.1") as server:
        service.url = str(server.make_url(path))
        yield service


class Rotations:
    """What the provider reported."""

    def __init__(self) -> None:
        self.seen: list[tuple[bool, str]] = []

    def __call__(self, ok: bool, reason: str) -> None:
        self.seen.append((ok, reason))

    async def count(self, number: int) -> None:
        await wait_until(lambda: len(self.seen) >= number, message="no rotation")


@pytest.fixture
def time() -> ManualTime:
    return ManualTime()


@pytest.fixture
def rotations() -> Rotations:
    return Rotations()


@pytest.fixture
async def service(time: ManualTime) -> AsyncIterator[Service]:
    async with serving(Service(time.clock)) as service:
        yield service


def make(
    service: Service,
    time: ManualTime,
    rotations: Rotations,
    *,
    request_timeout_s: float = SOON_S,
    wait_timeout_s: float = SOON_S,
) -> TokenProvider:
    return TokenProvider(
        TokenRequest(service.url, service.dialect, "gpt-realtime-2.1", SOURCE, TTL_S),
        clock=time.clock,
        on_rotated=rotations,
        request_timeout_s=request_timeout_s,
        wait_timeout_s=wait_timeout_s,
        sleep=time.sleep,
        jitter=lambda: 0.5,
    )


@pytest.fixture
async def provider(
    service: Service, time: ManualTime, rotations: Rotations
) -> AsyncIterator[TokenProvider]:
    provider = make(service, time, rotations)
    yield provider
    await provider.aclose()


async def refused(provider: TokenProvider, other_than: Credential | None = None) -> UpstreamError:
    with pytest.raises(UpstreamError) as raised:
        await provider.get(other_than=other_than)
    return raised.value


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        (
            "ga",
            {
                "expires_after": {"anchor": "created_at", "seconds": TTL_S},
                "session": {"type": "realtime", "model": "gpt-realtime-2.1"},
            },
        ),
        (
            "beta",
            {
                "model": "gpt-realtime-2.1",
                "client_secret": {"expires_after": {"anchor": "created_at", "seconds": TTL_S}},
            },
        ),
    ],
)
async def test_token_is_bought_with_the_key_in_each_dialect(
    dialect: str, body: object, time: ManualTime, rotations: Rotations
) -> None:
    async with (
        serving(Service(time.clock, dialect)) as service,
        make(service, time, rotations) as provider,
    ):
        credential = await provider.get()
    assert credential == Credential(
        Access(KEY).with_token("ek_SENTINEL_1"), time.clock.now_ns() + TTL_S * NS_PER_S
    )
    assert not credential.is_final
    assert service.requests == [body]
    assert service.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert ("OpenAI-Beta" in service.headers[0]) == (dialect == "beta")
    assert rotations.seen == [(True, "first")]


async def test_token_is_renewed_30_s_before_its_end(
    provider: TokenProvider, service: Service, time: ManualTime, rotations: Rotations
) -> None:
    await provider.open()
    first = await provider.get()
    await time.asleep()
    assert time.wait_ms() == (TTL_S - 30) * 1000
    time.advance_ms((TTL_S - 30) * 1000)
    await rotations.count(2)
    second = await provider.get()
    assert (first.value, second.value) == ("ek_SENTINEL_1", "ek_SENTINEL_2")
    assert rotations.seen == [(True, "first"), (True, "due")]


async def test_short_lived_token_is_renewed_at_half_its_life(
    provider: TokenProvider, service: Service, time: ManualTime
) -> None:
    service.ttl_s = 40
    await provider.open()
    await provider.get()
    await time.asleep()
    assert time.wait_ms() == 20_000


async def test_token_that_lives_longer_than_asked_is_not_kept_longer(
    provider: TokenProvider, service: Service, time: ManualTime
) -> None:
    service.ttl_s = 7200
    await provider.open()
    assert (await provider.get()).expires_ns == time.clock.now_ns() + TTL_S * NS_PER_S


@pytest.mark.parametrize("skew_s", [-600, 600])
async def test_services_clock_may_differ_from_ours(
    provider: TokenProvider, service: Service, time: ManualTime, skew_s: int
) -> None:
    service.skew_s = skew_s
    await provider.open()
    assert (await provider.get()).expires_ns == time.clock.now_ns() + TTL_S * NS_PER_S


async def test_fifty_waiters_share_one_request(
    provider: TokenProvider, service: Service, rotations: Rotations
) -> None:
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def slow(request: web.Request) -> web.Response:
        arrived.set()
        await go_on.wait()
        return await service.token(request)

    service.answers = [slow, service.token]
    await provider.open()
    waiters = [asyncio.create_task(provider.get()) for _ in range(50)]
    await asyncio.wait_for(arrived.wait(), SOON_S)
    go_on.set()
    values = {credential.value for credential in await asyncio.gather(*waiters)}
    assert values == {"ek_SENTINEL_1"}
    assert len(service.requests) == 1
    assert rotations.seen == [(True, "first")]


async def test_fifty_calls_whose_token_was_refused_share_one_new_one(
    provider: TokenProvider, service: Service, time: ManualTime, rotations: Rotations
) -> None:
    await provider.open()
    first = await provider.get()
    await time.asleep()
    waiters = [asyncio.create_task(provider.get(other_than=first)) for _ in range(50)]
    values = {credential.value for credential in await asyncio.gather(*waiters)}
    assert values == {"ek_SENTINEL_2"}
    assert (await provider.get(other_than=first)).value == "ek_SENTINEL_2"
    assert (len(service.requests), service.most_active) == (2, 1)
    assert rotations.seen == [(True, "first"), (True, "refused")]


async def test_waiters_sit_out_500s_until_it_works(
    provider: TokenProvider, service: Service, time: ManualTime, rotations: Rotations
) -> None:
    service.answers = [status(500), status(503), service.token]
    await provider.open()
    waiter = asyncio.create_task(provider.get())
    waits = []
    for count in (1, 2):
        await rotations.count(count)
        await time.asleep()
        waits.append(time.wait_ms())
        await time.pass_sleep()
    assert (await waiter).value == "ek_SENTINEL_3"
    assert waits == [375, 750]
    assert rotations.seen == [
        (False, "token_unavailable"),
        (False, "token_unavailable"),
        (True, "due"),
    ]


@pytest.mark.parametrize("code", [429, 503, 500, 408])
@pytest.mark.parametrize(
    ("retry_after", "wait_ms"),
    [
        ("3", 3_000),
        ("date", 4_000),
        ("0", 375),
        ("-5", 375),
        ("soon", 375),
        ("1e3", 375),
        ("86400", 300_000),
        ("99999999999", 375),
    ],
)
async def test_retry_after_of_the_token_service_is_kept(
    provider: TokenProvider,
    service: Service,
    time: ManualTime,
    rotations: Rotations,
    code: int,
    retry_after: str,
    wait_ms: int,
) -> None:
    in_4_s = formatdate(time.clock.wall_ns() / NS_PER_S + 4, usegmt=True)
    service.answers = [status(code, in_4_s if retry_after == "date" else retry_after)]
    await provider.open()
    await rotations.count(1)
    await time.asleep()
    assert abs(time.wait_ms() - wait_ms) <= (1_000 if retry_after == "date" else 0)  # whole seconds
    service.answers = [service.token]
    await time.pass_sleep()
    await rotations.count(2)
    assert (await provider.get()).value == "ek_SENTINEL_2"


async def test_call_is_not_kept_waiting_for_a_service_that_wants_to_be_left_alone_for_longer(
    provider: TokenProvider, service: Service, time: ManualTime, rotations: Rotations
) -> None:
    service.answers = [status(429, "60"), service.token]
    await provider.open()
    await rotations.count(1)
    async with asyncio.timeout(SOON_S / 5):
        error = await refused(provider)
    assert (error.code, error.retryable, error.retry_after_ms) == ("token_limited", True, 60_000)
    await time.asleep()
    time.clock.advance_ms(59_000)
    assert (await asyncio.wait_for(_soon(provider, time), SOON_S)).value == "ek_SENTINEL_2"


async def _soon(provider: TokenProvider, time: ManualTime) -> Credential:
    """Ask within a second of the end of the service's wish, and wait that second."""
    waiter = asyncio.create_task(provider.get())
    await time.pass_sleep()
    return await waiter


async def test_what_the_token_service_asked_for_is_told_to_who_waited_in_vain(
    service: Service, time: ManualTime, rotations: Rotations
) -> None:
    service.answers = [status(503, "2")]
    async with make(service, time, rotations, wait_timeout_s=2.5) as provider:
        await rotations.count(1)
        time.clock.advance_ms(500)
        error = await refused(provider)
    assert (error.code, error.retry_after_ms) == ("token_unavailable", 1_500)


async def test_renewal_that_is_put_off_leaves_the_token_in_use(
    provider: TokenProvider, service: Service, time: ManualTime, rotations: Rotations
) -> None:
    service.answers = [service.token, status(429, "60")]
    await provider.open()
    first = await provider.get()
    await time.pass_sleep()
    await rotations.count(2)
    assert await provider.get() == first


async def test_success_ends_the_growth_of_the_waits(
    provider: TokenProvider, service: Service, time: ManualTime, rotations: Rotations
) -> None:
    service.answers = [status(500), status(500), service.token, status(500)]
    await provider.open()
    for count in (1, 2, 3):
        await rotations.count(count)
        await time.pass_sleep()
    await rotations.count(4)
    await time.asleep()
    assert time.wait_ms() == 375


async def test_key_does_not_follow_a_redirect(
    service: Service, time: ManualTime, rotations: Rotations
) -> None:
    other = Service(time.clock)

    async def elsewhere(request: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": other.url})

    service.answers = [elsewhere]
    async with serving(other), make(service, time, rotations) as provider:
        assert (await refused(provider)).code == "token_rejected"
    assert other.requests == []


@pytest.mark.parametrize("code", [401, 403])
async def test_refused_key_is_told_at_once_and_not_asked_again_by_every_call(
    provider: TokenProvider, service: Service, time: ManualTime, rotations: Rotations, code: int
) -> None:
    service.answers = [status(code)]
    await provider.open()
    errors = [await refused(provider) for _ in range(20)]
    assert {(error.code, error.retryable) for error in errors} == {("token_refused", False)}
    assert str(errors[0]).endswith(
        f": HTTP {code}; check the key that api_key_env or api_key_file names"
    )
    assert len(service.requests) == 1
    service.answers = [service.token]
    await time.pass_sleep()
    await rotations.count(2)
    assert (await provider.get()).value == "ek_SENTINEL_2"


async def test_renewal_that_fails_leaves_the_token_in_use_until_its_end(
    provider: TokenProvider, service: Service, time: ManualTime, rotations: Rotations
) -> None:
    service.answers = [service.token, status(401)]
    await provider.open()
    first = await provider.get()
    await time.pass_sleep()
    await rotations.count(2)
    assert rotations.seen[1] == (False, "token_refused")
    assert await provider.get() == first
    await time.asleep()
    time.clock.advance_ms(30_000)
    assert (await refused(provider)).code == "token_refused"


async def test_slow_service_is_given_up_in_time(
    service: Service, time: ManualTime, rotations: Rotations
) -> None:
    hang = asyncio.Event()

    async def never(request: web.Request) -> web.Response:
        await hang.wait()
        return web.Response()

    service.answers = [never, service.token]
    async with make(service, time, rotations, request_timeout_s=0.05) as provider:
        await rotations.count(1)
        assert rotations.seen == [(False, "token_timeout")]
        await time.pass_sleep()
        assert (await provider.get()).value == "ek_SENTINEL_2"
        hang.set()


async def test_wait_for_a_token_is_bounded_and_tells_the_last_failure(
    service: Service, time: ManualTime, rotations: Rotations
) -> None:
    service.answers = [status(500)]
    async with make(service, time, rotations, wait_timeout_s=0.1) as provider:
        error = await refused(provider)
    assert (error.code, error.retryable) == ("token_unavailable", True)


@pytest.mark.parametrize(
    ("answer", "code", "retryable"),
    [
        (status(429), "token_limited", True),
        (status(404), "token_rejected", False),
        (status(302), "token_rejected", False),
        (text("<html>"), "token_malformed", True),
        (text(json.dumps({"value": "ek_SENTINEL x", "expires_at": 9e9})), "token_malformed", True),
        (text(json.dumps({"value": "ek_SENTINEL", "expires_at": 1})), "token_malformed", True),
        (text("x" * 200_000), "token_malformed", True),
    ],
)
async def test_answers_that_are_no_token(
    service: Service,
    time: ManualTime,
    rotations: Rotations,
    answer: Answer,
    code: str,
    retryable: bool,
) -> None:
    service.answers = [answer]
    async with make(service, time, rotations, wait_timeout_s=0.1) as provider:
        error = await refused(provider)
    assert (error.code, error.retryable) == (code, retryable)


async def test_closing_ends_the_request_and_all_who_wait(
    service: Service, time: ManualTime, rotations: Rotations
) -> None:
    hang = asyncio.Event()

    async def never(request: web.Request) -> web.Response:
        await hang.wait()
        return web.Response()

    service.answers = [never]
    provider = make(service, time, rotations)
    await provider.open()
    waiter = asyncio.create_task(refused(provider))
    await wait_until(lambda: service.active == 1)
    await provider.aclose()
    assert (await waiter).code == "token_closed"
    assert (await refused(provider)).code == "token_closed"
    await provider.aclose()
    hang.set()


async def test_metric_that_fails_does_not_stop_the_tokens(
    service: Service, time: ManualTime
) -> None:
    def broken(ok: bool, reason: str) -> None:
        raise RuntimeError(reason)

    provider = make(service, time, Rotations())
    provider._on_rotated = broken
    async with provider:
        first = await provider.get()
        assert (await provider.get(other_than=first)).value == "ek_SENTINEL_2"


class Renewed:
    """A key that is another one once it is read anew, and a header beside it."""

    def __init__(self) -> None:
        self.access = Access("sk-old", headers={"X-Tenant": "t"}, renews=True)

    async def get(self, *, anew: bool = False) -> Access:
        if anew:
            self.access = Access("sk-new", headers={"X-Tenant": "t"}, renews=True)
        return self.access


async def test_a_refused_key_is_read_anew_and_tried_at_once(
    service: Service, time: ManualTime, rotations: Rotations
) -> None:
    service.answers = [status(401), service.token]
    request = TokenRequest(service.url, service.dialect, "m", Renewed(), TTL_S)
    async with TokenProvider(request, clock=time.clock, on_rotated=rotations) as provider:
        credential = await provider.get()
    sent = [headers["Authorization"] for headers in service.headers]
    assert sent == ["Bearer sk-old", "Bearer sk-new"]
    assert [headers["X-Tenant"] for headers in service.headers] == ["t", "t"]
    assert rotations.seen == [(True, "first")]
    # What goes beside the token comes from the same place.
    assert credential.access.request_headers == {
        "X-Tenant": "t",
        "Authorization": "Bearer ek_SENTINEL_2",
    }


async def test_a_key_in_a_file_may_be_fresher_next_time() -> None:
    source = DirectKey(Renewed())
    first = await source.get()
    assert (first.value, first.is_final) == ("sk-old", False)
    assert (await source.get(other_than=first)).value == "sk-new"


async def test_direct_key_has_the_same_interface() -> None:
    source: CredentialSource = DirectKey(SOURCE)
    await source.open()
    credential = await source.get()
    assert (credential.value, credential.is_final) == (KEY, True)
    assert await source.get(other_than=credential) == credential
    await source.aclose()
    assert (await DirectKey(FixedAccess(Access())).get()).value is None


def everything_about(error: BaseException) -> str:
    """The whole chain, with the locals of every frame, as a debugging log would show it."""
    shown = traceback.TracebackException.from_exception(error, capture_locals=True, compact=False)
    parts = ["".join(shown.format()), repr(error), repr(error.args), repr(vars(error))]
    chained = (error.__cause__, error.__context__)
    return "\n".join([*parts, *(everything_about(each) for each in chained if each is not None)])


async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer with what is no HTTP: aiohttp's error for it carries the request's headers."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 2x0 what\r\n\r\n")
    await writer.drain()
    writer.close()


@pytest.mark.parametrize(
    "case", ["refused key", "server error", "malformed", "garbage", "no server", "timeout"]
)
async def test_secrets_show_nowhere(
    case: str,
    service: Service,
    time: ManualTime,
    rotations: Rotations,
    caplog: pytest.LogCaptureFixture,
) -> None:
    hang = asyncio.Event()

    async def never(request: web.Request) -> web.Response:
        await hang.wait()
        return web.Response()

    caplog.set_level(logging.DEBUG)
    answers = {"refused key": status(401), "server error": status(500), "timeout": never}
    service.answers = [answers.get(case, text('{"value": "ek_SENTINEL"}'))]
    async with await asyncio.start_server(garbage, "127.0.0.1", 0) as raw:
        ports = {"garbage": raw.sockets[0].getsockname()[1], "no server": unused_port()}
        if case in ports:
            service.url = f"http://127.0.0.1:{ports[case]}/v1/realtime/client_secrets"
        provider = make(service, time, rotations, request_timeout_s=0.2, wait_timeout_s=0.4)
        with structlog.testing.capture_logs() as logs:
            async with provider:
                error = await refused(provider)
        hang.set()
    shown = [everything_about(error), repr(logs), caplog.text, repr(rotations.seen)]
    shown += [repr(provider), repr(provider._request), repr(provider._error)]
    assert logs
    assert "SENTINEL" not in "\n".join(shown)


async def test_secrets_show_in_no_repr_of_what_works(
    provider: TokenProvider, service: Service
) -> None:
    await provider.open()
    credential = await provider.get()
    assert credential.value == "ek_SENTINEL_1"
    grant = Grant("ek_SENTINEL", 1.0)
    shown = [repr(each) for each in (credential, provider, provider._request, grant)]
    shown += [repr(DirectKey(SOURCE)), repr(Credential(Access(KEY)))]
    assert "SENTINEL" not in "".join(shown)


@pytest.mark.parametrize("dialect", ["ga", "beta"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"\xff",
        b'{"client_secret": 1}',
        b'{"value": 1, "expires_at": 2}',
        b'{"value": "a", "expires_at": true}',
        b'{"value": "a", "expires_at": NaN}',
        b"[" * 9999,
    ],
)
def test_any_answer_is_a_token_or_none(dialect: str, body: bytes) -> None:
    assert decode_grant(TOKEN_WIRES[dialect], body) is None


@pytest.mark.parametrize("header", [None, "nonsense", "Mon, 99 Abc 2026 00:00:00 GMT", ""])
def test_our_own_clock_serves_where_the_service_tells_no_time(header: str | None) -> None:
    assert lifetime_s(Grant("a", 1_100.0), header, 1_000 * NS_PER_S) == 100
