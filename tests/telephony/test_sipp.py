"""Calls by SIPp, a client that we didn't write: both codecs, its audio heard and ours brought back.

SIPp either plays a tone or, with ``-rtp_echo``, sends back what it gets.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from string import Template

import numpy as np
import pytest

from bridge.audio import g711
from tests.audio.signals import tone
from tests.support.ports import free_port
from tests.support.programs import need_program
from tests.telephony.fake_ports import AGENT_HZ, RATE_HZ, Sound
from tests.telephony.rig import Rig
from tests.telephony.test_media import AGENT_TONE_HZ, CALLER_HZ, CODECS, assert_is_tone

pytestmark = pytest.mark.sip

_SCENARIO = Path(__file__).parent / "scenarios" / "call_with_audio.xml"
_PLAY = '<nop><action><exec rtp_stream="tone.raw,-1,$payload_type"/></action></nop>'
_TALK_MS = 1500
_WITHIN_S = 15.0


def write_call(folder: Path, payload_type: int, codec: str, *, echo: bool) -> None:
    """Write the scenario and the tone that it plays."""
    values = {"payload_type": payload_type, "codec": codec, "talk_ms": _TALK_MS}
    audio = "" if echo else Template(_PLAY).substitute(values)
    rtp_port = "[media_port]" if echo else "[rtpstream_audio_port]"
    text = Template(_SCENARIO.read_text()).substitute(values, audio=audio, rtp_port=rtp_port)
    (folder / "call.xml").write_text(text)
    sound = tone(CALLER_HZ, RATE_HZ, RATE_HZ * 4, amplitude=8000)
    (folder / "tone.raw").write_bytes(g711.encode(g711.Law(codec), sound))


@asynccontextmanager
async def sipp(rig: Rig, folder: Path, *extra: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run one SIPp call; on leaving, it must have gone through its scenario to the end."""
    program = need_program("sipp", "sip-tester")
    arguments = ["-sf", "call.xml", "-s", "support", "-m", "1", "-nostdin", "-timeout", "15s"]
    arguments += ["-i", "127.0.0.1", "-mi", "127.0.0.1", "-trace_err", "-error_file", "errors.log"]
    process = await asyncio.create_subprocess_exec(
        program,
        f"127.0.0.1:{rig.endpoint.port}",
        *arguments,
        *extra,
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
        code = await asyncio.wait_for(process.wait(), _WITHIN_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    errors = folder / "errors.log"
    assert code == 0, errors.read_text() if errors.exists() else f"SIPp ended with {code}"


def loud_middle(sound: Sound) -> Sound:
    loud = np.flatnonzero(np.abs(sound) > 1000)
    assert loud.size, "nothing was heard"
    return sound[loud[0] : loud[-1]][AGENT_HZ // 20 : AGENT_HZ // 2]


@pytest.mark.parametrize(("payload_type", "codec"), CODECS)
async def test_a_sipp_call_is_heard(
    rig: Rig, tmp_path: Path, payload_type: int, codec: str
) -> None:
    write_call(tmp_path, payload_type, codec, echo=False)
    async with sipp(rig, tmp_path):
        call = await rig.call_in()
        await call.hear(1000)
        assert call.leg.codec == codec
        assert call.leg.called == "support"
    await call.until(lambda: call.ended, "the end")
    assert call.leg.ended_by_far_end
    assert_is_tone(loud_middle(call.heard_since(0)), CALLER_HZ, AGENT_HZ)


@pytest.mark.parametrize(("payload_type", "codec"), CODECS)
async def test_a_sipp_call_hears_the_agent(
    rig: Rig, tmp_path: Path, payload_type: int, codec: str
) -> None:
    """Our tone comes back by SIPp's echo, so it went out as RTP in the right codec."""
    write_call(tmp_path, payload_type, codec, echo=True)
    async with sipp(rig, tmp_path, "-rtp_echo", "-mp", str(free_port())):
        call = await rig.call_in()
        await call.until(lambda: bool(call.pieces), "media")
        call.play_tone(AGENT_TONE_HZ, 800)
        await call.hear(1200)
    await call.until(lambda: call.ended, "the end")
    assert_is_tone(loud_middle(call.heard_since(0)), AGENT_TONE_HZ, AGENT_HZ)
