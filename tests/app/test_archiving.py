"""A gateway encrypts what it recorded: real calls, Debian's `age`, and what goes wrong about it."""

import io
import json
import signal
import wave
from pathlib import Path

import psutil
import pytest

from bridge.recordings.files import CallFiles
from bridge.store.local import LocalRedis
from tests.app.test_full_disk import one_call
from tests.support.age import AgeKey, decrypt_with_age, make_key
from tests.support.gateways import Gateway, serving, write_dialplan, write_settings
from tests.support.processes import run_to_end
from tests.support.s3 import s3_server
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.sip, pytest.mark.redis]

STATE = {"state": "encrypted"}


@pytest.fixture
def key(tmp_path: Path) -> AgeKey:
    return make_key(tmp_path)


async def recorded_call(gateway: Gateway, redis: LocalRedis) -> CallFiles:
    return CallFiles(gateway.recordings, await one_call(gateway, redis))


async def until_encrypted(files: CallFiles) -> None:
    await wait_until(
        lambda: files.encrypted.exists() and not files.audio.exists(), "it is still plain"
    )


def archive_of(gateway: Gateway) -> psutil.Process | None:
    found = [each for each in gateway.process.processes if "archive" in each.cmdline()]
    return found[0] if found else None


async def test_a_call_is_encrypted_soon_after_its_end_whatever_becomes_of_the_process(
    simulator: str, redis: LocalRedis, tmp_path: Path, key: AgeKey
) -> None:
    dialplans = write_dialplan(tmp_path / "dialplans")
    keys = {"recipients_file": str(key.recipients)}
    with serving(tmp_path, simulator, dialplans, redis_url=redis.url, recordings=keys) as gateway:
        first = await recorded_call(gateway, redis)
        await until_encrypted(first)
        plain = decrypt_with_age(first.encrypted, key.identities)
        with wave.open(io.BytesIO(plain)) as wav:
            assert (wav.getnchannels(), wav.getframerate()) == (2, 8_000)
            assert wav.getnframes() > 0
        process = archive_of(gateway)
        assert process is not None
        assert process.nice() == min(19, psutil.Process(gateway.process.pid).nice() + 10)
        process.send_signal(signal.SIGKILL)
        second = await recorded_call(gateway, redis)
        await until_encrypted(second)

        async def counted() -> bool:
            metrics = await gateway.metrics()
            return metrics.value("bridge_recordings", **STATE) == 2

        await wait_until(counted, "two are not counted")
        metrics = await gateway.metrics()
        assert metrics.value("bridge_recordings_archive_failing") == 0
        assert metrics.value("bridge_recordings_oldest_seconds", state="plain") == 0


async def test_recipients_that_can_not_be_read_are_a_trouble_and_nothing_is_lost(
    simulator: str, redis: LocalRedis, tmp_path: Path, key: AgeKey
) -> None:
    dialplans = write_dialplan(tmp_path / "dialplans")
    keys = {"recipients_file": str(key.recipients)}
    with serving(tmp_path, simulator, dialplans, redis_url=redis.url, recordings=keys) as gateway:
        good = key.recipients.read_text()
        key.recipients.write_text("")

        async def failing() -> bool:
            metrics = await gateway.metrics()
            return metrics.value("bridge_recordings_archive_failing") == 1

        await wait_until(failing, "nobody noticed")
        _, ready = await gateway.get("/readyz")
        assert "holds no recipient" in ready
        files = await recorded_call(gateway, redis)
        assert files.audio.exists()
        key.recipients.write_text(good)
        await until_encrypted(files)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        ("missing", "cannot be read: No such file or directory"),
        ("secret", "is a secret key"),
        ("unfit", "no identity of it opens"),
    ],
)
def test_a_gateway_does_not_start_with_keys_that_are_no_good(
    simulator: str, tmp_path: Path, key: AgeKey, spoil: str, said: str
) -> None:
    keys = {"recipients_file": str(key.recipients)}
    if spoil == "missing":
        key.recipients.unlink()
    elif spoil == "secret":
        keys["recipients_file"] = str(key.identities)
    else:
        keys["identities_file"] = str(make_key(tmp_path, "other").identities)
    settings = write_settings(
        tmp_path, simulator, write_dialplan(tmp_path / "dialplans"), recordings=keys
    )
    for command in (("serve", "--json"), ("check",)):
        ended = run_to_end(
            *command, "--config", str(settings), directory=tmp_path, SIM_KEY="sk-sim-1"
        )
        assert said in ended.stderr + ended.stdout
        assert ended.code == 2


async def test_a_call_is_shipped_and_a_storage_that_is_away_is_a_trouble(
    simulator: str, redis: LocalRedis, tmp_path: Path, key: AgeKey
) -> None:
    dialplans = write_dialplan(tmp_path / "dialplans")
    with s3_server(tmp_path / "s3") as s3:
        keys = {
            "recipients_file": str(key.recipients),
            "s3": json.loads(s3.settings(tmp_path, keep_local_s=0)),
        }
        with serving(
            tmp_path, simulator, dialplans, redis_url=redis.url, recordings=keys
        ) as gateway:
            files = await recorded_call(gateway, redis)
            await wait_until(lambda: files.is_remote, "it was not shipped")
            (there,) = s3.objects.glob("*.age")
            assert decrypt_with_age(there, key.identities).startswith(b"RIFF")
            s3.stop()
            left = await recorded_call(gateway, redis)
            await until_encrypted(left)
            await gateway.until_ready(200, "recordings.s3.endpoint")
            assert left.encrypted.exists()
            metrics = await gateway.metrics()
            assert metrics.value("bridge_recordings_archive_failing") == 1
            assert metrics.value("bridge_recordings", state="remote") == 1
