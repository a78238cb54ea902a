"""baresip calls `bridge serve`: it is heard, and hears the answer."""

from pathlib import Path

import numpy as np
import pytest

from bridge.audio.resample import downsample_whole
from bridge.audio.wav import read_wav, write_wav
from bridge.speech.recognition import Recognizer
from bridge.speech.synthesis import Synthesizer
from bridge.store.local import LocalRedis
from tests.interop.conftest import ANSWER, GREETING, QUESTION
from tests.support.baresip import RATE_HZ, baresip
from tests.support.gateways import PLAIN_AGENT, CallsInRedis, serving, write_dialplan

pytestmark = [pytest.mark.sip, pytest.mark.redis, pytest.mark.speech]

AFTER_GREETING_MS = 4000
LONGER_THAN_THE_CALL_MS = 60_000


def write_speech(path: Path) -> Path:
    """Write what baresip says: silence while it is greeted, the question, silence."""
    spoken = downsample_whole(Synthesizer("en-us", 150).say(QUESTION))
    quiet = [np.zeros(8 * ms, np.int16) for ms in (AFTER_GREETING_MS, LONGER_THAN_THE_CALL_MS)]
    write_wav(path, np.concatenate([quiet[0], spoken, quiet[1]]), 8000)
    return path


@pytest.mark.parametrize("codec", ["PCMU", "PCMA"])
async def test_baresip_is_heard_and_answered(
    codec: str, simulator: str, redis: LocalRedis, dialplans: Path, tmp_path: Path
) -> None:
    write_dialplan(dialplans, {**PLAIN_AGENT, "greeting": GREETING})
    place = tmp_path / "baresip"
    place.mkdir()
    speech = write_speech(place / "speech.wav")
    with serving(tmp_path, simulator, dialplans, redis_url=redis.url) as gateway:
        async with CallsInRedis(redis.url) as calls, baresip(place, speech, codec) as phone:
            phone.command("dial", f"sip:support@127.0.0.1:{gateway.sip_port}")
            await phone.until("CALL_ESTABLISHED")
            call_id = await calls.until_active(gateway.node)
            assert await calls.until_spoken(call_id, "agent") == GREETING
            assert await calls.until_spoken(call_id, "caller") == QUESTION
            assert await calls.until_spoken(call_id, "agent", nth=2) == ANSWER
            phone.command("hangup")
            await phone.until("CALL_CLOSED")
        record = await gateway.record_of(call_id)

    turns = [(each["speaker"], each["text"]) for each in record["turns"]]
    assert turns == [("agent", GREETING), ("caller", QUESTION), ("agent", ANSWER)]
    assert (record["codec"], record["outcome"]) == (codec, "completed")
    assert (record["interruptions"], record["reason"]) == (0, "caller_hung_up")

    # What was said is in our recording, and in what baresip itself decoded.
    hears = Recognizer([GREETING, QUESTION, ANSWER])
    recording, rate_hz = read_wav(record["recording"])
    assert [each.text for each in hears.hear_all(recording[:, 0], rate_hz)] == [QUESTION]
    assert [each.text for each in hears.hear_all(recording[:, 1], rate_hz)] == [GREETING, ANSWER]
    assert [each.text for each in hears.hear_all(phone.heard(), RATE_HZ)] == [GREETING, ANSWER]
