"""SIPp calls `bridge serve`: both codecs with RTP both ways, and one call too many."""

from functools import partial
from pathlib import Path

import pytest

from bridge.audio.wav import read_wav
from bridge.speech.recognition import Recognizer
from bridge.store.local import LocalRedis
from tests.interop.conftest import ANSWER, GREETING
from tests.support.gateways import PLAIN_AGENT, Record, serving, write_dialplan
from tests.support.sipp import sipp

pytestmark = [pytest.mark.sip, pytest.mark.redis, pytest.mark.speech]

SCENARIOS = Path(__file__).parent / "sipp"

PAYLOADS = {"PCMU": "0", "PCMA": "8"}
"""RFC 3551 section 6."""

TALK_MS = 4000
MOST_CALLS = 4
"""What the pip wheel of PJSIP holds (`PJSIP.md`)."""

# SIPp sends the agent's voice back: nobody may take that for a caller who talks.
DEAF_AGENT = {
    **PLAIN_AGENT,
    "greeting": GREETING,
    "turn_detection": {"type": "none"},
    "barge_in": {"decided_by": "service"},
}


def channels_of(record: Record) -> tuple[str | None, str | None, int]:
    """Return what is understood left and right in a recording, and its length in ms."""
    samples, rate_hz = read_wav(record["recording"])
    hears = Recognizer([GREETING, ANSWER])
    left, right = (
        " ".join(str(piece.text) for piece in hears.hear_all(samples[:, channel], rate_hz)) or None
        for channel in (0, 1)
    )
    return left, right, len(samples) * 1000 // rate_hz


@pytest.mark.parametrize("codec", PAYLOADS)
async def test_a_call_with_rtp_both_ways_completes(
    codec: str, simulator: str, redis: LocalRedis, dialplans: Path, tmp_path: Path
) -> None:
    write_dialplan(dialplans, DEAF_AGENT)
    with serving(tmp_path, simulator, dialplans, redis_url=redis.url) as gateway:
        keys = {"payload": PAYLOADS[codec], "codec": codec}
        async with sipp(
            tmp_path, gateway.sip_port, SCENARIOS / "echo.xml", talk_ms=TALK_MS, keys=keys
        ) as caller:
            await caller.succeeded()
        (record,) = await gateway.records(1)
    assert (record["codec"], record["outcome"]) == (codec, "completed")
    assert (record["fault"], record["reason"]) == ("none", "caller_hung_up")
    left, right, length_ms = channels_of(record)
    assert right == GREETING  # went out as RTP...
    assert left == GREETING  # ...and came back from SIPp
    assert length_ms == pytest.approx(TALK_MS, rel=0.25)


async def test_one_call_too_many_is_refused_and_the_others_go_on(
    simulator: str, redis: LocalRedis, dialplans: Path, tmp_path: Path
) -> None:
    write_dialplan(dialplans, DEAF_AGENT)
    sip = {"max_calls": MOST_CALLS, "retry_after_s": 7}
    with serving(tmp_path, simulator, dialplans, redis_url=redis.url, sip=sip) as gateway:
        echo = partial(
            sipp,
            tmp_path,
            gateway.sip_port,
            SCENARIOS / "echo.xml",
            keys={"payload": "0", "codec": "PCMU"},
        )
        async with echo(calls=MOST_CALLS, talk_ms=TALK_MS) as callers:
            await gateway.until_active(MOST_CALLS)
            status, body = await gateway.get("/readyz")
            async with sipp(tmp_path, gateway.sip_port, SCENARIOS / "refused.xml") as late:
                await late.succeeded()
            during = await gateway.metrics()
            await callers.succeeded()
        records = await gateway.records(MOST_CALLS)
        await gateway.until_active(0)
        ready = await gateway.get("/readyz")
        async with echo(talk_ms=200) as after:
            await after.succeeded()
        metrics = await gateway.metrics()
    assert (status, "at capacity" in body) == (503, True)
    assert ready[0] == 200
    assert during.value("bridge_calls_active") == MOST_CALLS  # none was lost for the late one
    assert [each["outcome"] for each in records] == ["completed"] * MOST_CALLS
    assert [channels_of(each)[:2] for each in records] == [(GREETING, GREETING)] * MOST_CALLS
    busy = {"outcome": "rejected_busy", "reason": "at_capacity", "fault": "bridge"}
    assert metrics.value("bridge_calls_ended_total", **busy) == 1
    assert metrics.value("bridge_calls_ended_total", outcome="completed") == MOST_CALLS + 1
