"""No key, token or password is written anywhere, whatever goes right or wrong.

A real gateway takes calls that succeed, lose their session, have a key that is refused, an
endpoint that isn't there, and one that repeats all that it was sent; then everything that it wrote
is searched for the secrets, and for parts of them: error messages of the real service quote some of
a key.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from bridge.config.models import load_models
from bridge.store.client import RedisLink
from bridge.store.local import LocalRedis, start_local_redis
from tests.realtime.official import DialectName
from tests.support.gateways import (
    PLAIN_AGENT,
    CallsInRedis,
    Gateway,
    serving,
    write_dialplan,
    write_settings,
)
from tests.support.processes import Running, run_to_end, running
from tests.support.relay import Relay, relaying
from tests.support.rtp_caller import RtpCaller
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.sip, pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(120)]

GOOD_KEY = "sk-sim-Zebra0451_Quagga7788-Okapi2029"
WRONG_KEY = "sk-live-Gnu5150_Tapir3141-Dugong8086"
GONE_KEY = "sk-live-Lemur6502_Civet6809-Serval4004"
ECHO_KEY = "Puma4242_Ocelot1331"
HEADER_SECRET = "Caracal2468_Serow1357"
ADMIN_SECRET = "Axolotl6581-Manatee8580"
PASSWORD = "Narwhal2901"
PART = re.compile(r"[A-Z][a-z]+\d{4}")
KEYS = {
    "GOOD_KEY": GOOD_KEY,
    "WRONG_KEY": WRONG_KEY,
    "GONE_KEY": GONE_KEY,
    "ECHO_KEY": ECHO_KEY,
    "HEADER_SECRET": HEADER_SECRET,
}

NOBODY = "ws://127.0.0.1:9"
"""The discard port, where nobody listens."""

GONE = {"url": f"{NOBODY}/v1/realtime?api-key={GONE_KEY}", "api_key_env": "GONE_KEY"}

AGENT = {**PLAIN_AGENT, "greeting": "Hello there."}


@pytest.fixture(scope="module")
def simulate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server that has an admin secret, and takes keys of one kind only."""
    directory = tmp_path_factory.mktemp("simulator")
    with running(
        *("simulate", "--json"), directory=directory, SIMULATOR_ADMIN_SECRET=ADMIN_SECRET
    ) as process:
        yield process


@asynccontextmanager
async def echoing() -> AsyncIterator[str]:
    """Serve sessions that begin well, and repeat key and header wherever they can; give the URL.

    Their first connection is refused so, the others have the caller's session, and then end so.
    """
    came = 0

    async def echo(socket: ServerConnection) -> None:
        nonlocal came
        came += 1
        request = socket.request
        assert request is not None
        key = request.path.partition("api-key=")[2].partition("&")[0]
        secret = request.headers["X-Gateway-Key"]
        if came > 1:
            session = {"id": secret, "object": "realtime.session", "model": key}
            for kind in ("session.created", "session.updated"):
                await socket.send(event(kind, session=session))
        error = {"type": secret, "code": key, "param": secret, "message": str(request.headers)}
        for fields in (error, {**error, "code": None}, {"type": key, "message": request.path}):
            await socket.send(event("error", error=fields))
        await socket.send(event(key, echo=secret))
        await socket.send(json.dumps({"type": secret}))
        await socket.close(4000, secret)

    def event(kind: str, **fields: object) -> str:
        return json.dumps({"type": kind, "event_id": "event_1", **fields})

    async with serve(echo, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"ws://127.0.0.1:{port}/v1/realtime"
    assert came > 1


def arms(
    url: str, relayed: str, echo: str, dialect: DialectName, credentials: str
) -> dict[str, Any]:
    """Return an arm for each way in which a call goes."""
    same = {
        "dialect": dialect,
        "model": load_models().newest(dialect),
        "credentials": credentials,
    }
    tokens = f"{url.replace('ws://', 'http://')}{_TOKEN_PATHS[dialect]}"
    return {
        "good": {**same, "url": relayed, "api_key_env": "GOOD_KEY", "token_url": tokens},
        "wrong": {**same, "url": url, "api_key_env": "WRONG_KEY"},
        "gone": {**same, **GONE},
        "echo": {
            **same,
            "credentials": "direct",
            "url": echo,
            "api_key_env": "ECHO_KEY",
            "auth": "query",
            "headers": {"X-Gateway-Key": {"env": "HEADER_SECRET"}},
        },
    }


_TOKEN_PATHS: dict[DialectName, str] = {"beta": "/sessions", "ga": "/client_secrets"}


@pytest.mark.parametrize("log_format", ["json", "console"])
@pytest.mark.parametrize("credentials", ["direct", "token"])
@pytest.mark.parametrize("dialect", ["beta", "ga"])
async def test_nothing_that_a_gateway_writes_has_a_secret(
    simulate: Running, tmp_path: Path, dialect: DialectName, credentials: str, log_format: str
) -> None:
    url = simulate.ready["url"]
    async with relaying(url) as (relay, relayed), echoing() as echo:
        all_arms = arms(url, relayed, echo, dialect, credentials)
        dialplans = tmp_path / "dialplans"
        for name in all_arms:
            write_dialplan(dialplans, AGENT, name=name, arm=name, called=name)
        with (
            start_local_redis() as redis,
            serving(
                tmp_path,
                url,
                dialplans,
                preflight=False,
                redis_url=redis.url,
                environ=KEYS,
                arms={**all_arms, "local": all_arms["good"]},
                telemetry={"log_format": log_format, "log_level": "debug", "reveal_pii": True},
                session={"wire_log_dir": str(tmp_path / "wire")},
            ) as gateway,
        ):
            await place_calls(gateway, relay, redis)
            metrics = (await gateway.get("/metrics"))[1]
            health = (await gateway.get("/readyz"))[1]
            state = await everything_in(redis)
        secrets = {*KEYS.values(), ADMIN_SECRET, *relay.bearers}
        if credentials == "token":
            assert relay.bearers
            assert all(bearer.startswith("ek_") for bearer in relay.bearers)
        else:
            assert {*relay.bearers} == {GOOD_KEY}
        written = {
            "logs": gateway.process.stderr,
            "metrics": metrics,
            "health": health,
            "redis": state,
            "simulator": simulate.stderr,
            **files_in(gateway.recordings),
            **files_in(tmp_path / "wire"),
        }
    # There is something to be searched: every call left its mark everywhere.
    assert {"phase_changed", "session_failed"} <= {*re.findall(r"\w+_\w+", written["logs"])}
    assert len([name for name in written if re.fullmatch(r"c_\w+\.json", name)]) == 4
    assert "bridge:call:" in state
    assert found_in(written, secrets) == []
    assert "[secret]" in "".join(text for name, text in written.items() if name.endswith(".jsonl"))


async def place_calls(gateway: Gateway, relay: Relay, redis: LocalRedis) -> None:
    """Place a call that loses its session on the way, and three that keep none."""
    async with CallsInRedis(redis.url) as calls, RtpCaller(gateway.sip_port) as caller:
        assert await caller.call("good") == 200
        call_id = await calls.until_active(gateway.node)
        await calls.until_spoken(call_id, "agent")
        (broken,) = relay.sessions
        relay.cut()
        await wait_until(lambda: bool(relay.sessions - {broken}), "no new session")
        await caller.hang_up()
        await calls.until_ended(call_id)
    for called in ("wrong", "gone"):
        async with RtpCaller(gateway.sip_port) as caller:
            assert await caller.call(called, 20.0) == 503
    async with RtpCaller(gateway.sip_port) as caller:
        await caller.call("echo", 30.0)  # answered or refused, its sessions last no time
        await gateway.records(4)


async def everything_in(redis: LocalRedis) -> str:
    """Return every key of a Redis with every value."""
    link = RedisLink(redis.url, timeout_s=5)
    readers = {
        "hash": ["HGETALL"],
        "stream": ["XRANGE", "-", "+"],
        "zset": ["ZRANGE", "0", "-1"],
        "set": ["SMEMBERS"],
        "list": ["LRANGE", "0", "-1"],
        "string": ["GET"],
        "none": ["GET"],  # it has run out meanwhile
    }
    try:
        keys = await link.ask(["KEYS", "*"])
        assert isinstance(keys, list)
        found = [str(keys)]
        for key in keys:
            command, *rest = readers[str(await link.ask(["TYPE", str(key)]))]
            found.append(f"{key} {await link.ask([command, str(key), *rest])}")
    finally:
        await link.aclose()
    return "\n".join(found)


def files_in(directory: Path) -> dict[str, str]:
    """Return every file, byte for byte."""
    return {
        path.name: path.read_bytes().decode("latin-1")
        for path in directory.rglob("*")
        if path.is_file()
    }


def found_in(written: dict[str, str], secrets: set[str]) -> list[tuple[str, str]]:
    """Return where a secret stands, or a part of one."""
    parts = {part for secret in secrets for part in (secret, *PART.findall(secret))}
    # The middle of a token, whatever its two ends are.
    parts |= {secret[8:24] for secret in secrets if secret.startswith("ek_")}
    return [(name, part) for name, text in written.items() for part in parts if part in text]


BY_SERVER = {
    "a key that is refused": {"api_key_env": "WRONG_KEY"},
    "an endpoint that is not there": GONE,
}
BY_SETTINGS = {
    "a key in the place of its variable's name": {"api_key_env": WRONG_KEY},
    "a key where none belongs": {"api_key": WRONG_KEY},
    "a key that is not set": {**GONE, "api_key_env": "NOT_SET"},
    "a key with a line end in it": {"api_key_env": "BROKEN_KEY"},
    "a password in the URL": {"api_key_env": "GONE_KEY", "url": f"ws://u:{PASSWORD}@127.0.0.1:9"},
}
MODES = {
    f"{dialect} {credentials}": {"dialect": dialect, "credentials": credentials}
    for dialect in ("beta", "ga")
    for credentials in ("direct", "token")
}


@pytest.mark.parametrize(
    "arm",
    [
        *(
            pytest.param({**mode, **arm}, id=f"{what}, {name}")
            for what, arm in BY_SERVER.items()
            for name, mode in MODES.items()
        ),
        *(pytest.param({"dialect": "ga", **arm}, id=what) for what, arm in BY_SETTINGS.items()),
    ],
)
async def test_a_gateway_that_does_not_start_tells_no_secret(
    simulate: Running, tmp_path: Path, arm: dict[str, str]
) -> None:
    url, model = simulate.ready["url"], load_models().newest(arm["dialect"])
    dialplans = write_dialplan(tmp_path / "dialplans")
    local = {"url": url, "model": model, "api_key_env": None, **arm}
    settings = write_settings(
        tmp_path, url, dialplans, arms={"local": local}, telemetry={"log_level": "debug"}
    )
    broken = f"{WRONG_KEY}\n{WRONG_KEY}"
    ended = await asyncio.to_thread(
        run_to_end,
        *("serve", "--config", str(settings), "--json"),
        directory=tmp_path,
        **KEYS,
        BROKEN_KEY=broken,
    )
    assert ended.code in (2, 3), ended.stderr
    assert "error: " in ended.stderr
    assert "Traceback" not in ended.stderr
    told = {"stderr": ended.stderr, "stdout": ended.stdout}
    assert found_in(told, {*KEYS.values(), PASSWORD}) == []
