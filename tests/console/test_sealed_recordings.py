"""Encrypted recordings at the console: played where the key is, here or on another node."""

import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest

from bridge.audio.wav import write_wav
from bridge.clock import SystemClock
from bridge.config.archive import BucketSettings, RecordingsSettings
from bridge.console.services import Sources
from bridge.recordings.age_keys import read_recipients
from bridge.recordings.bucket import RecordingBucket
from bridge.recordings.encryption import encrypt_recording
from bridge.recordings.files import CallFiles
from bridge.recordings.shipping import Shipping
from bridge.store.client import RedisLink
from tests.console.conftest import Browser, Console, MakeConsole
from tests.console.live import KEYS, begin_call
from tests.support.age import AgeKey, make_key
from tests.support.s3 import s3_server

pytestmark = pytest.mark.redis

CALL = "c_00000000000000ab"
PATH = f"/api/v1/calls/{CALL}"
SEALED = 423

MakeNode = Callable[..., Awaitable[Console]]


@pytest.fixture
def key(tmp_path: Path) -> AgeKey:
    return make_key(tmp_path)


@pytest.fixture
def make_node(make_console: MakeConsole, redis: RedisLink) -> MakeNode:
    async def make(name: str, directory: Path, identities: Path | None, **more: object) -> Console:
        keys = RecordingsSettings.model_validate({"identities_file": identities, **more})
        sources = Sources(recordings_dir=directory, recordings=keys, node=lambda: name)
        console: Console = await make_console(clock=SystemClock(), sources=sources)
        await redis.ask(["HSET", KEYS.node(name), "http", console.url])
        return console

    return make


def sealed(directory: Path, key: AgeKey) -> bytes:
    """Write an encrypted recording; return its plain content."""
    directory.mkdir()
    files = CallFiles(directory, CALL)
    noise = np.random.default_rng(1).integers(-9_000, 9_000, (80_000, 2))
    write_wav(files.audio, noise.astype(np.int16), 8_000)
    plain = files.audio.read_bytes()
    encrypt_recording(files, read_recipients(key.recipients))
    assert not files.audio.exists()
    return plain


async def signed_in(console: Console, browser: Browser) -> Browser:
    await console.add_user("eve", "supervisor", routes=("support",))
    await console.sign_in(browser, "eve")
    return browser


async def assert_played(eve: Browser, plain: bytes) -> None:
    assert (await eve.get(PATH))[1]["recording"] is True
    async with eve.http.get(f"{PATH}/recording") as answer:
        assert (answer.status, answer.headers["Content-Type"]) == (200, "audio/wav")
        assert await answer.read() == plain
        tag = answer.headers["ETag"]
    wanted = {"Range": "bytes=70000-70099", "If-Range": tag}  # a player goes on with the same
    async with eve.http.get(f"{PATH}/recording", headers=wanted) as answer:
        assert answer.status == 206
        assert answer.headers["Content-Range"] == f"bytes 70000-70099/{len(plain)}"
        assert await answer.read() == plain[70_000:70_100]
    status, outline = await eve.get(f"{PATH}/outline?width=50")
    assert (status, outline["duration_ms"], len(outline["caller"])) == (200, 10_000, 50)


async def assert_sealed(eve: Browser, *said: str) -> None:
    assert (await eve.get(PATH))[1]["recording"] is True
    for path in ("recording", "outline"):
        status, told = await eve.get(f"{PATH}/{path}")
        assert status == SEALED
        for each in said:
            assert each in told["detail"]


async def test_encrypted_recording_is_played_where_the_identity_is(
    make_node: MakeNode, redis: RedisLink, tmp_path: Path, key: AgeKey
) -> None:
    plain = sealed(tmp_path / "calls", key)
    await begin_call(redis, CALL, ended_at="1")
    here = await make_node("node-a", tmp_path / "calls", key.identities)
    async with here.browser() as browser:
        await assert_played(await signed_in(here, browser), plain)
    left = {path.name for path in (tmp_path / "calls").iterdir()}
    assert left == {f"{CALL}.wav.age", f"{CALL}.archive"}


@pytest.mark.parametrize("other", [False, True])
async def test_node_without_the_identity_says_whose_key_opens_it(
    make_node: MakeNode, redis: RedisLink, tmp_path: Path, key: AgeKey, other: bool
) -> None:
    sealed(tmp_path / "calls", key)
    await begin_call(redis, CALL, ended_at="1")
    keys = make_key(tmp_path, "other").identities if other else None
    here = await make_node("node-a", tmp_path / "calls", keys)
    async with here.browser() as browser:
        await assert_sealed(await signed_in(here, browser), key.public)


async def test_another_nodes_encrypted_recording_is_played_or_explained(
    make_node: MakeNode, redis: RedisLink, tmp_path: Path, key: AgeKey
) -> None:
    plain = sealed(tmp_path / "far", key)
    await begin_call(redis, CALL, ended_at="1")
    far = await make_node("node-a", tmp_path / "far", key.identities)
    near = await make_node("node-b", tmp_path / "near", None)
    async with near.browser() as browser:
        eve = await signed_in(near, browser)
        await assert_played(eve, plain)
        await far.aclose()
        await make_node("node-a", tmp_path / "far", None)
        await assert_sealed(eve, "node-a", "recordings.identities_file")


async def test_key_on_the_consoles_node_alone_plays_what_gateways_encrypted(
    make_node: MakeNode, redis: RedisLink, tmp_path: Path, key: AgeKey
) -> None:
    plain = sealed(tmp_path / "far", key)
    await begin_call(redis, CALL, ended_at="1")
    await make_node("node-a", tmp_path / "far", None)
    near = await make_node("node-b", tmp_path / "near", key.identities)
    async with near.browser() as browser:
        await assert_played(await signed_in(near, browser), plain)
    entries = [fields for _, fields in await near.services.auditor.audit.latest(10)]
    assert [each["action"] for each in entries] == ["play recording"]


async def test_shipped_recording_is_fetched_and_played(
    make_node: MakeNode, redis: RedisLink, tmp_path: Path, key: AgeKey
) -> None:
    plain = sealed(tmp_path / "calls", key)
    files = CallFiles(tmp_path / "calls", CALL)
    await begin_call(redis, CALL, ended_at="1")
    with s3_server(tmp_path / "s3") as s3:
        settings = json.loads(s3.settings(tmp_path))
        way = Shipping(files.directory, RecordingBucket(BucketSettings(**settings), {}), 0)
        way.run(time.time())
        way.run(time.time() + 1)
        assert files.is_remote
        kept = {"recipients_file": key.recipients, "s3": settings}
        here = await make_node("node-a", files.directory, key.identities, **kept)
        async with here.browser() as browser:
            eve = await signed_in(here, browser)
            await assert_played(eve, plain)
            assert files.encrypted.exists()  # for a while
            files.encrypted.unlink()
            s3.stop()
            status, told = await eve.get(f"{PATH}/recording")
            assert (status, "recordings.s3.endpoint" in told["detail"]) == (503, True)
