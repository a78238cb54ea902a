"""`bridge call` against SIPp: a far end that we didn't write."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bridge.audio.wav import read_wav, write_wav
from tests.softphone.command import call
from tests.softphone.far_end import RATE_HZ, loud_part, loudest_hz, tone

pytestmark = [
    pytest.mark.sip,
    pytest.mark.skipif(
        shutil.which("sipp") is None, reason="needs sipp: apt-get install sip-tester"
    ),
]

_TIMEOUT_S = 20
_TONE_HZ = 740.0


@asynccontextmanager
async def sipp(folder: Path, sip_port: int, *arguments: str) -> AsyncIterator[asyncio.Task[int]]:
    """SIPp's built-in answering side for one call; gives its exit code (0: the call was whole)."""
    process = await asyncio.create_subprocess_exec(
        "sipp",
        *("-sn", "uas", "-i", "127.0.0.1", "-p", str(sip_port), "-mi", "127.0.0.1"),
        *("-m", "1", "-nostdin", "-timeout", f"{_TIMEOUT_S}s", *arguments),
        cwd=folder,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    waiting = asyncio.create_task(process.wait(), name="sipp")
    try:
        yield waiting
    finally:
        if process.returncode is None:
            process.kill()
        await waiting


async def test_sipp_echoes_the_callers_own_voice(
    tmp_path: Path, free_port: int, other_free_port: int
) -> None:
    sound, recording = tmp_path / "sound.wav", tmp_path / "call.wav"
    write_wav(sound, tone(_TONE_HZ, 800), RATE_HZ)
    async with sipp(tmp_path, free_port, "-rtp_echo", "-mp", str(other_free_port)) as ended:
        done = await call(
            f"sip:127.0.0.1:{free_port}",
            *("--play", str(sound), "--record", str(recording), "--json"),
        )
        assert done.exit_code == 0, done.stderr
        assert await asyncio.wait_for(ended, _TIMEOUT_S) == 0

    samples, rate_hz = read_wav(recording)
    for channel in (0, 1):
        heard = loud_part(samples[:, channel])
        assert loudest_hz(heard, rate_hz) == pytest.approx(_TONE_HZ, abs=10)
    assert done.result["agent_heard_ms"] >= 600


async def test_an_answering_side_without_audio_is_a_call_of_silence(
    tmp_path: Path, free_port: int
) -> None:
    async with sipp(tmp_path, free_port) as ended:
        done = await call(f"sip:127.0.0.1:{free_port}", "--duration", "1.5", "--json")
        assert done.exit_code == 0, done.stderr
        assert await asyncio.wait_for(ended, _TIMEOUT_S) == 0

    assert (done.result["turns"], done.result["agent_heard_ms"]) == ([], 0)
    assert done.result["duration_ms"] >= 1_500
