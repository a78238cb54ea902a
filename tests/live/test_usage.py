"""What a call uses, and what that costs, over real SIP against a peer that bills."""

import json
from pathlib import Path

import pytest

from bridge.store.local import LocalRedis
from bridge.telemetry.scrape import Scrape
from tests.live.conftest import StartGateway
from tests.live.talk import redis_events, talking

pytestmark = [pytest.mark.sip, pytest.mark.redis]

TRANSCRIBED = "conversation.item.input_audio_transcription.completed"
TALKED = {
    "total_tokens": 300,
    "input_token_details": {"text_tokens": 0, "audio_tokens": 200},
    "output_token_details": {"text_tokens": 0, "audio_tokens": 100},
}


@pytest.mark.parametrize(
    ("model", "usage", "tokens", "seconds", "usd"),
    [
        ("gpt-realtime-whisper", {"type": "duration", "seconds": 30.0}, {}, 30.0, 0.0085),
        (
            "gpt-4o-transcribe",
            {
                "type": "tokens",
                "total_tokens": 120,
                "input_tokens": 100,
                "input_token_details": {"text_tokens": 0, "audio_tokens": 100},
                "output_tokens": 20,
            },
            {"in": {"audio": 100}, "out": {"text": 20}, "cached": {}, "written": {}},
            0.0,
            0.0008,
        ),
    ],
    ids=["by time", "by tokens"],
)
async def test_transcription_is_counted_beside_the_talk_and_costs(
    start_gateway: StartGateway,
    redis: LocalRedis,
    tmp_path: Path,
    model: str,
    usage: dict[str, object],
    tokens: dict[str, dict[str, int]],
    seconds: float,
    usd: float,
) -> None:
    agent = {
        "instructions": "Be a test.",
        "greeting": "Hello.",
        "transcription": {"model": model},
    }
    async with talking(
        start_gateway,
        greeting_ms=300,
        dialplan={"agent": agent},
        model="gpt-realtime-2.1",
    ) as talk:
        await talk.first.tell(
            "response.done",
            response={"id": "s1_resp_1", "status": "completed", "output": [], "usage": TALKED},
        )
        await talk.first.tell("input_audio_buffer.committed", item_id="u1", previous_item_id=None)
        await talk.first.tell(
            TRANSCRIBED, item_id="u1", content_index=0, transcript="Yes.", usage=usage
        )
        await talk.silent()
        await talk.caller.hang_up()
        summary = await talk.over()
        scrape = Scrape.parse(talk.gateway.metrics.render()[0].decode())
    await redis_events(redis, summary)
    record = json.loads((tmp_path / f"{summary.call_id}.json").read_text())
    talk_usd = (200 * 32 + 100 * 64) / 1e6
    assert record["transcription_model"] == model
    assert record["transcription_s"] == seconds
    assert record["transcription_cost_usd"] == pytest.approx(usd)
    assert record["cost_usd"] == pytest.approx(talk_usd + usd)
    assert record["tokens"]["in"] == {"audio": 200}
    empty: dict[str, dict[str, int]] = {"in": {}, "out": {}, "cached": {}, "written": {}}
    assert record["transcription_tokens"] == (tokens or empty)
    cost, counted = "bridge_cost_usd_total", "bridge_upstream_tokens_total"
    assert scrape.value(cost, arm="peer", model=model) == pytest.approx(usd)
    assert scrape.value(cost, arm="peer", model="gpt-realtime-2.1") == pytest.approx(talk_usd)
    assert scrape.value(counted, arm="peer", model="gpt-realtime-2.1", kind="out") == 100
    assert scrape.value(counted, arm="peer", model=model) == sum(
        sum(of.values()) for of in tokens.values()
    )
    assert scrape.value("bridge_transcribed_seconds_total", model=model) == seconds
