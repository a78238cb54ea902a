"""Token endpoints of both generations: shapes, limits, real expiry, and what they open."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from openai.types.beta.realtime import SessionCreateResponse
from openai.types.realtime import ClientSecretCreateResponse

from bridge.clock import NS_PER_S, ManualClock
from bridge.simulator.server import SimulatorServer
from tests.realtime.official import DialectName
from tests.simulator.client import connected
from tests.simulator.conftest import paced
from tests.simulator.plain_http import Answer, http_url, request

pytestmark = [pytest.mark.speech, pytest.mark.asyncio(loop_scope="module")]

PATHS: dict[DialectName, str] = {
    "beta": "/v1/realtime/sessions",
    "ga": "/v1/realtime/client_secrets",
}
VALUE = "value"
INVALID_KEY = (3000, "invalid_request_error.invalid_api_key")


class Upstream:
    """A server whose time the test moves."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.server = SimulatorServer(paced(), clock=self.clock)
        self.url = ""

    @property
    def now_s(self) -> int:
        return self.clock.wall_ns() // NS_PER_S

    async def ask(self, dialect: DialectName, body: object = None, **options: Any) -> Answer:
        return await request(http_url(self.url, PATHS[dialect]), body, **options)

    async def token(self, dialect: DialectName, body: object = None) -> str:
        answer = await self.ask(dialect, body)
        assert answer.status == 200
        secret = answer.body if dialect == "ga" else answer.body["client_secret"]
        return str(secret[VALUE])


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def upstream() -> AsyncIterator[Upstream]:
    upstream = Upstream()
    upstream.url = await upstream.server.start()
    yield upstream
    await upstream.server.aclose()


async def test_ga_secret_is_official(upstream: Upstream) -> None:
    session = {"type": "realtime", "model": "gpt-realtime-2.1", "instructions": "Be kind."}
    answer = await upstream.ask("ga", {"session": session})
    secret = ClientSecretCreateResponse.model_validate(answer.body, strict=True)
    assert secret.value.startswith("ek_")
    assert secret.expires_at == upstream.now_s + 600
    assert secret.session.type == "realtime"
    assert secret.session.model == "gpt-realtime-2.1"
    assert secret.session.instructions == "Be kind."
    assert secret.session.id is not None
    assert not secret.model_extra
    assert not secret.session.model_extra


async def test_beta_secret_is_official(upstream: Upstream) -> None:
    asked = {"model": "gpt-4o-realtime-preview", "voice": "verse"}
    answer = await upstream.ask("beta", asked)
    session = SessionCreateResponse.model_validate(answer.body, strict=True)
    assert session.client_secret.value.startswith("ek_")
    assert session.client_secret.expires_at == upstream.now_s + 60
    assert session.voice == "verse"
    # Not in the type, and on the wire.
    assert (session.model_extra or {}).keys() == {
        "id",
        "object",
        "model",
        "expires_at",
        "input_audio_noise_reduction",
    }


@pytest.mark.parametrize("dialect", ["beta", "ga"])
async def test_token_opens_a_session_with_its_settings(
    upstream: Upstream, dialect: DialectName
) -> None:
    asked: dict[DialectName, dict[str, object]] = {
        "beta": {"instructions": "Be kind.", "model": "gpt-4o-realtime-preview"},
        "ga": {"session": {"type": "realtime", "instructions": "Be kind."}},
    }
    token = await upstream.token(dialect, asked[dialect])
    # Good for many connections, and with or without a model in the URL.
    for model in ("", None):
        async with connected(upstream.url, dialect=dialect, key=token, model=model) as client:
            session = (await client.until("session.created"))["session"]
            assert session["instructions"] == "Be kind."
    subprotocols = ["realtime", f"openai-insecure-api-key.{token}"]
    if dialect == "ga":
        async with connected(upstream.url, key=None, subprotocols=subprotocols) as client:
            await client.until("session.created")


@pytest.mark.parametrize("dialect", ["beta", "ga"])
async def test_token_is_refused_once_it_has_expired_and_its_session_lives(
    upstream: Upstream, dialect: DialectName
) -> None:
    expires_after = {"expires_after": {"anchor": "created_at", "seconds": 10}}
    body = {"client_secret": expires_after} if dialect == "beta" else expires_after
    token = await upstream.token(dialect, body)
    upstream.clock.advance_ms(9_999)
    async with connected(upstream.url, dialect=dialect, key=token) as client:
        await client.until("session.created")
        upstream.clock.advance_ms(1)
        async with connected(upstream.url, dialect=dialect, key=token) as late:
            assert await late.closed() == INVALID_KEY
            assert late.events[0]["error"]["code"] == "invalid_api_key"
        assert (await client.update(instructions="alive"))["type"] == "session.updated"


@pytest.mark.parametrize(
    ("dialect", "body", "param"),
    [
        ("ga", {"expires_after": {"anchor": "created_at", "seconds": 9}}, "expires_after.seconds"),
        ("ga", {"expires_after": {"seconds": 7201}}, "expires_after.seconds"),
        ("ga", {"expires_after": {"anchor": "now"}}, "expires_after.anchor"),
        ("ga", {"session": {"instructions": "x"}}, "session.type"),
        ("ga", {"session": {"type": "realtime", "temperature": 1}}, "session.temperature"),
        ("ga", {"session": {"type": "realtime", "model": "gpt-live-1"}}, "session.model"),
        ("ga", {"ttl": 60}, "ttl"),
        ("beta", {"client_secret": {"expires_after": {"seconds": 7201}}}, None),
        ("beta", {"type": "realtime"}, "type"),
        ("beta", {"voice": "marin"}, "voice"),
    ],
)
async def test_bad_request_is_400(
    upstream: Upstream, dialect: DialectName, body: object, param: str | None
) -> None:
    answer = await upstream.ask(dialect, body)
    assert answer.status == 400
    assert answer.body["error"]["type"] == "invalid_request_error"
    assert param is None or answer.body["error"]["param"] == param


async def test_only_a_key_makes_tokens(upstream: Upstream) -> None:
    token = await upstream.token("ga")
    for key, code in ((None, None), ("sk-wrong", "invalid_api_key"), (token, "invalid_api_key")):
        answer = await upstream.ask("ga", key=key)
        assert (answer.status, answer.body["error"]["code"]) == (401, code)


async def test_token_of_the_other_generation_opens_nothing(upstream: Upstream) -> None:
    token = await upstream.token("ga")
    async with connected(upstream.url, dialect="beta", key=token) as client:
        closed = await client.closed()
    assert closed == (4000, "invalid_request_error.api_version_mismatch")


async def test_ga_transcription_token_opens_a_session_that_only_listens(upstream: Upstream) -> None:
    token = await upstream.token("ga", {"session": {"type": "transcription"}})
    async with connected(upstream.url, key=token, model=None) as client:
        session = (await client.until("session.created"))["session"]
        assert session["object"] == "realtime.transcription_session"
        assert "output" not in session["audio"]
        await client.send("response.create")
        assert (await client.error())["param"] == "type"
        await client.send("session.update", session={"type": "realtime"})
        error = await client.error()
        assert (error["code"], error["param"]) == ("invalid_value", "session.type")
        whisper = {"input": {"transcription": {"model": "gpt-4o-transcribe"}}}
        session = {"type": "transcription", "audio": whisper}
        await client.send("session.update", session=session)
        updated = await client.until("session.updated")
        assert updated["session"]["audio"]["input"]["transcription"]["model"] == "gpt-4o-transcribe"


async def test_disabled_beta_makes_no_tokens() -> None:
    server = SimulatorServer(paced(), beta="disabled")
    url = await server.start()
    answer = await request(http_url(url, PATHS["beta"]))
    assert (answer.status, answer.body["error"]["code"]) == (400, "beta_api_shape_disabled")
    await server.aclose()
