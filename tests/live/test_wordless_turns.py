"""A turn of the caller's whose transcription fails, or never comes, stands in all records."""

import json
from pathlib import Path

import pytest

from bridge.realtime.conversation import NOT_TRANSCRIBED
from bridge.store.local import LocalRedis
from bridge.telemetry.scrape import Scrape
from tests.live.conftest import StartGateway
from tests.live.odd_service import DIALECTS
from tests.live.talk import redis_events, talking
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.sip, pytest.mark.redis]

AGENT = {
    "instructions": "Be a test.",
    "greeting": "Hello.",
    "transcription": {"model": "gpt-4o-transcribe"},
}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("told", [True, False], ids=["fails", "never_comes"])
async def test_turn_without_words_stands_in_the_records(
    start_gateway: StartGateway, redis: LocalRedis, tmp_path: Path, dialect: str, told: bool
) -> None:
    async with talking(
        start_gateway, greeting_ms=300, dialplan={"agent": AGENT}, dialect=dialect
    ) as talk:
        await talk.first.finish_response()
        await talk.silent()
        await talk.first.tell("input_audio_buffer.committed", item_id="u1", previous_item_id=None)
        if told:
            await talk.first.tell(
                "conversation.item.input_audio_transcription.failed",
                item_id="u1",
                content_index=0,
                error={"type": "server_error", "code": None, "message": "no", "param": None},
            )
        last = {"type": "invalid_request_error", "code": "last_of_all", "message": ""}
        await talk.first.tell("error", error=last)
        metrics = talk.gateway.metrics
        await wait_until(lambda: b"last_of_all" in metrics.render()[0], "the events were not taken")
        await talk.caller.hang_up()
        summary = await talk.over()
        scrape = Scrape.parse(talk.gateway.metrics.render()[0].decode())
    events = await redis_events(redis, summary)
    record = json.loads((tmp_path / f"{summary.call_id}.json").read_text())
    said = [turn["text"] for turn in record["turns"] if turn["speaker"] == "caller"]
    assert said == [NOT_TRANSCRIBED]
    told_turns = [each for each in events if each["kind"] == "turn" and each["item_id"] == "u1"]
    assert [each["text"] for each in told_turns] == [NOT_TRANSCRIBED]
    counted = scrape.value("bridge_upstream_errors_total", code="transcription_failed")
    assert counted == (1 if told else 0)
