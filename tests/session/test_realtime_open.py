"""How a session opens, and every way in which it doesn't."""

import asyncio
import logging
import socket
import ssl
from http import HTTPStatus

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import InvalidURI
from websockets.http11 import Request, Response

from bridge.config.settings import SessionSettings
from bridge.errors import UpstreamError
from bridge.realtime.commands import CommitInput
from bridge.realtime.session_config import SessionConfig
from bridge.session import failures
from bridge.session.access import Access
from bridge.session.realtime import Endpoint
from tests.session.peer import (
    KEY,
    QUICK,
    SOON_S,
    Heard,
    Script,
    accept,
    error_event,
    make_session,
    receive,
    serving,
    session_event,
)

CONFIG = SessionConfig(instructions="Be kind.", temperature=0.8)


async def refusal(url: str, settings: SessionSettings = QUICK) -> UpstreamError:
    heard = Heard()
    session = make_session(url, heard, settings)
    with pytest.raises(UpstreamError) as caught:
        await session.open(CONFIG)
    with pytest.raises(UpstreamError) as not_open:
        session.send(CommitInput())
    assert not_open.value.code == "not_open"
    await session.aclose()
    assert heard.closed == []  # never opened, so never closed
    assert KEY not in str(caught.value) + caught.value.remedy
    assert "127.0.0.1:" in str(caught.value)
    assert caught.value.remedy
    return caught.value


async def refusal_by(script: Script, settings: SessionSettings = QUICK) -> UpstreamError:
    async with serving(script) as url:
        return await refusal(url, settings)


async def test_open_handshake_order() -> None:
    seen: dict[str, object] = {}

    async def script(peer: ServerConnection) -> None:
        assert peer.request is not None
        seen["path"] = peer.request.path
        seen["authorization"] = peer.request.headers["Authorization"]
        seen["beta"] = peer.request.headers.get("OpenAI-Beta")
        seen["extensions"] = peer.request.headers.get("Sec-WebSocket-Extensions")
        seen["update"] = await accept(peer)
        await peer.wait_closed()
        seen["close"] = (peer.close_code, peer.close_reason)

    heard = Heard()
    async with serving(script) as url:
        session = make_session(url, heard)
        info = await session.open(CONFIG)
        assert info.session_id == "sess_1"
        assert heard.kinds() == ["SessionCreated", "SessionUpdated"]
        await session.aclose()
        await session.aclose()
    assert heard.closed == [None]
    assert seen["path"] == "/v1/realtime?model=gpt-realtime-2.1"
    assert seen["authorization"] == f"Bearer {KEY}"
    assert seen["beta"] is None
    assert seen["extensions"] is None  # no compression offered, so none negotiated
    assert seen["close"] == (1000, "")
    update = seen["update"]
    assert isinstance(update, dict)
    assert update["event_id"] == "cmd_1"
    assert update["session"]["instructions"] == "Be kind."
    assert "temperature" not in update["session"]


async def test_open_without_key_sends_no_authorization() -> None:
    async def script(peer: ServerConnection) -> None:
        assert peer.request is not None
        assert "Authorization" not in peer.request.headers
        await accept(peer)
        await peer.wait_closed()

    async with serving(script) as url:
        session = make_session(url, Heard(), key=None)
        await session.open(CONFIG)
        await session.aclose()


async def test_open_key_refused() -> None:
    async def script(peer: ServerConnection) -> None:
        await peer.send(error_event("invalid_api_key"))
        await peer.close(3000, "invalid_request_error.invalid_api_key")

    error = await refusal_by(script)
    assert (error.code, error.close_code, error.retryable) == ("invalid_api_key", 3000, True)
    assert "api_key_env" in error.remedy


async def test_open_settings_refused_names_the_parameter() -> None:
    async def script(peer: ServerConnection) -> None:
        await peer.send(session_event("session.created"))
        await receive(peer)
        await peer.send(error_event("unknown_parameter", param="session.audio.input.pitch"))
        await peer.wait_closed()

    error = await refusal_by(script)
    assert (error.code, error.close_code, error.retryable) == ("unknown_parameter", None, False)
    assert "session.audio.input.pitch" in str(error)


async def test_open_error_code_that_is_no_label_is_not_shown() -> None:
    async def script(peer: ServerConnection) -> None:
        await peer.send(error_event(f"so sorry, {KEY} is wrong", param="ask +49 151 234"))
        await peer.wait_closed()

    error = await refusal_by(script)
    assert error.code == "api_error"
    assert "151" not in str(error)


@pytest.mark.parametrize(("code", "retryable"), [(1011, True), (4000, True)])
async def test_open_closed_before_session_created(code: int, retryable: bool) -> None:
    async def script(peer: ServerConnection) -> None:
        await peer.close(code)

    error = await refusal_by(script)
    assert (error.code, error.close_code, error.retryable) == ("closed", code, retryable)


@pytest.mark.parametrize(
    ("status", "retryable"),
    [(401, True), (403, True), (404, False), (429, True), (503, True)],
)
async def test_open_http_status(status: int, retryable: bool) -> None:
    def refuse(peer: ServerConnection, request: Request) -> Response:
        return peer.respond(HTTPStatus(status), "no\n")

    async def never(peer: ServerConnection) -> None:
        raise AssertionError("the upgrade was refused")

    async with serve(never, "127.0.0.1", 0, process_request=refuse) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        error = await refusal(f"ws://127.0.0.1:{port}/v1/realtime")
    assert (error.code, error.retryable) == (f"http_{status}", retryable)


async def test_open_refused_port() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))  # bound, not listening: nobody else can take it meanwhile
        error = await refusal(f"ws://127.0.0.1:{probe.getsockname()[1]}/v1/realtime")
    assert (error.code, error.retryable) == ("refused", True)


async def test_open_not_a_websocket_server() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"220 mail.example ESMTP\r\n")
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        error = await refusal(f"ws://127.0.0.1:{port}/v1/realtime")
    assert error.code == "handshake"


async def test_open_tls_to_a_server_without_it() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        error = await refusal(f"wss://127.0.0.1:{port}/v1/realtime")
    assert (error.code, error.retryable) == ("tls", False)


@pytest.mark.parametrize(
    ("error", "code", "retryable"),
    [
        (socket.gaierror(-2, "Name or service not known"), "dns", True),
        (ssl.SSLCertVerificationError("self-signed certificate"), "tls", False),
        (OSError(113, "No route to host"), "unreachable", True),
        (InvalidURI("http://x", "scheme isn't ws or wss"), "bad_url", False),
    ],
)
def test_failures_that_need_no_server(error: Exception, code: str, retryable: bool) -> None:
    told = failures.not_connected(error, failures.Destination("api.example.com:443"), now_s=0)
    assert (told.code, told.retryable) == (code, retryable)
    assert "api.example.com:443" in str(told)
    assert told.remedy


@pytest.mark.parametrize("created", [False, True])
async def test_open_silent_server_times_out(created: bool) -> None:
    async def script(peer: ServerConnection) -> None:
        if created:
            await peer.send(session_event("session.created"))
        await peer.wait_closed()

    error = await refusal_by(script, SessionSettings(open_timeout_s=0.2))
    assert (error.code, error.retryable) == ("timeout", True)
    assert ("session.updated" if created else "session.created") in str(error)


async def test_open_server_that_never_answers_the_upgrade_times_out() -> None:
    gone = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()  # until we give up
        writer.close()
        gone.set()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        error = await refusal(
            f"ws://127.0.0.1:{port}/v1/realtime", SessionSettings(open_timeout_s=0.2)
        )
        await asyncio.wait_for(gone.wait(), SOON_S)
    assert error.code == "timeout"


async def test_open_cancelled_leaves_nothing() -> None:
    reached = asyncio.Event()

    async def script(peer: ServerConnection) -> None:
        reached.set()
        await peer.wait_closed()

    async with serving(script) as url:
        session = make_session(url, Heard())
        opening = asyncio.create_task(session.open(CONFIG))
        await asyncio.wait_for(reached.wait(), SOON_S)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        await session.aclose()


async def test_aclose_while_opening_ends_open() -> None:
    reached = asyncio.Event()

    async def script(peer: ServerConnection) -> None:
        reached.set()
        await peer.wait_closed()

    async with serving(script) as url:
        heard = Heard()
        session = make_session(url, heard)
        opening = asyncio.create_task(session.open(CONFIG))
        await asyncio.wait_for(reached.wait(), SOON_S)
        await session.aclose()
        with pytest.raises(UpstreamError) as caught:
            await opening
        assert caught.value.code == "given_up"
        assert heard.closed == []


async def test_aclose_before_open() -> None:
    session = make_session("ws://127.0.0.1:1/", Heard())
    await session.aclose()
    with pytest.raises(RuntimeError):
        await session.open(CONFIG)


async def test_logs_at_debug_show_neither_key_nor_payload(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def script(peer: ServerConnection) -> None:
        await accept(peer)
        await peer.wait_closed()

    # The server of this test logs for itself; the bridge does so under its own name.
    logging.getLogger("websockets.server").setLevel(logging.WARNING)
    caplog.set_level(logging.DEBUG)
    async with serving(script) as url:
        session = make_session(url, Heard())
        await session.open(CONFIG)
        await session.aclose()
    assert KEY not in caplog.text
    assert "Be kind" not in caplog.text


def test_endpoint_hides_its_key() -> None:
    endpoint = Endpoint("wss://api.example.com/v1/realtime?tenant=7", "gpt realtime", Access(KEY))
    assert KEY not in repr(endpoint)
    assert endpoint.host == "api.example.com:443"
    assert endpoint.address == "wss://api.example.com/v1/realtime?tenant=7&model=gpt+realtime"
