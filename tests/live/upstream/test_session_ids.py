"""The ids of a call's Realtime sessions: on everything that is kept of the time of each."""

import json
from pathlib import Path

import pytest

from bridge.config.settings import RedisSettings, TelemetrySettings
from bridge.store.local import LocalRedis
from bridge.store.reader import CallReader
from bridge.telemetry.logs import configure
from tests.live.conftest import StartGateway
from tests.live.talk import redis_call, redis_events, talking
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.sip, pytest.mark.redis]


async def test_events_log_lines_hash_and_record_name_the_session_of_their_time(
    start_gateway: StartGateway,
    redis: LocalRedis,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure(TelemetrySettings(log_format="json", log_level="info"))
    async with talking(start_gateway, greeting_ms=300) as talk:
        await talk.first.finish_response()
        await talk.silent()
        talk.first.drop()
        second = await talk.service.session(2)
        await second.until(lambda: second.appended_ms > 300)
        call_id = talk.runner.call_id
        between = await redis_hash(redis, call_id, session_id="s2_sess")
        await second.tell("input_audio_buffer.committed", item_id="u1", previous_item_id=None)
        await second.tell(
            "response.created",
            response={"id": "r9", "status": "in_progress", "conversation_id": "s2_conv"},
        )
        await second.tell("response.done", response={"id": "r9", "status": "completed"})
        await redis_hash(redis, call_id, conversation_id="s2_conv")  # BYE has a socket of its own
        await talk.caller.hang_up()
        summary = await talk.over()
    told = await redis_events(redis, summary)
    state = await redis_call(redis, summary)
    logged = [json.loads(line) for line in capsys.readouterr().err.splitlines() if "{" in line]

    assert (state["session_id"], state["conversation_id"]) == ("s2_sess", "s2_conv")
    # The old session's conversation is none of the new session's.
    assert (between["session_id"], between["conversation_id"]) == ("s2_sess", "")
    sessions = {each["kind"]: each.get("session_id") for each in told}
    assert sessions["greeted"] == "s1_sess"
    assert sessions["session_lost"] == "s1_sess"
    assert sessions["session_restored"] == sessions["ended"] == "s2_sess"
    ours = {line["event"]: line for line in logged if line.get("call_id") == call_id}
    assert "session_id" not in ours["call_offered"]
    assert ours["call_answered"]["session_id"] == "s1_sess"
    assert ours["session_lost"]["session_id"] == "s1_sess"
    assert ours["session_restored"]["session_id"] == ours["call_ended"]["session_id"] == "s2_sess"

    record = json.loads((tmp_path / f"{call_id}.json").read_text())
    used = [(each["session_id"], each["conversation_id"]) for each in record["sessions"]]
    assert used == [("s1_sess", "s1_conv"), ("s2_sess", "s2_conv")]
    failed = [(each["code"], each["session_id"]) for each in record["failures"]]
    assert failed == [("close_1006", "s1_sess"), ("no_audio", "s2_sess")]
    (line,) = (tmp_path / "calls.jsonl").read_text().splitlines()
    assert json.loads(line)["sessions"] == record["sessions"]


async def redis_hash(redis: LocalRedis, call_id: str, **awaited: str) -> dict[str, str]:
    """Return a call's hash once its fields are as awaited."""
    found: dict[str, str] = {}
    async with CallReader(RedisSettings(), redis.url) as reader:

        async def is_written() -> bool:
            found.update(await reader.call(call_id) or {})
            return awaited.items() <= found.items()

        await wait_until(is_written, f"the hash of the call lacks {awaited}")
    return found
