"""What the API tells of calls, recordings, alerts, rollouts and replays, and whom."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge.clock import SystemClock
from bridge.console.screens import OWN
from bridge.store.client import RedisLink
from bridge.store.local import LocalRedis
from tests.console.conftest import Browser, Console, MakeConsole
from tests.console.floor import EVIL, Floor

pytestmark = pytest.mark.redis

EVERYTHING = ("supervisor", "qa", "operator", "admin")


@pytest.fixture
async def floor(redis_server: LocalRedis, redis: object, tmp_path: Path) -> AsyncIterator[Floor]:
    made = Floor(tmp_path, redis_server.url)
    await made.open()
    yield made
    await made.aclose()


@pytest.fixture
async def console(make_console: MakeConsole, floor: Floor) -> Console:
    made: Console = await make_console(sources=floor.sources, clock=SystemClock())
    return made


@pytest.fixture
async def ada(console: Console) -> AsyncIterator[Browser]:
    """Somebody who may see everything."""
    await console.add_user("ada", *EVERYTHING)
    async with console.browser() as browser:
        await console.sign_in(browser, "ada")
        yield browser


async def signed_in(console: Console, browser: Browser, *roles: str, **more: object) -> Browser:
    await console.add_user("bob", *roles, **more)
    await console.sign_in(browser, "bob")
    return browser


async def test_live_calls_have_no_whole_number_in_them(ada: Browser) -> None:
    status, found = await ada.get("/api/v1/calls")
    assert status == 200
    assert len(found["calls"]) == 7
    assert "+1555019" not in json.dumps(found)
    assert {row["from"] for row in found["calls"]} >= {"***90", "***91"}


async def test_scope_of_routes_holds_everywhere(console: Console, floor: Floor) -> None:
    async with console.browser() as browser:
        await signed_in(console, browser, *EVERYTHING, routes=("vip",))
        _, found = await browser.get("/api/v1/calls")
        assert [row["dialplan"] for row in found["calls"]] == ["vip"]
        assert (await browser.get("/api/v1/history"))[1]["calls"] == []
        assert (await browser.get("/api/v1/alerts"))[1] == {"open": 0, "alerts": [], "nodes": {}}
        assert (await browser.get("/api/v1/routes"))[1] == {"routes": []}
        assert (await browser.get("/api/v1/queue"))[1]["waiting"] == []
        for path in ("", "/events", "/stream", "/recording", "/outline", "/sip"):
            status, _ = await browser.get(f"/api/v1/calls/{floor.over}{path}")
            assert status == 404, path


async def test_no_file_but_a_calls_own_is_ever_named(ada: Browser) -> None:
    for call_id in ("..%2f..%2fetc%2fpasswd", "%2e%2e", "c_none", "a.json", "x" * 65, "c%00"):
        for path in ("", "/recording", "/outline", "/events", "/stream", "/sip"):
            status, _ = await ada.get(f"/api/v1/calls/{call_id}{path}")
            assert status == 404, (call_id, path)


async def test_recording_is_played_from_its_middle(ada: Browser, floor: Floor) -> None:
    path = f"/api/v1/calls/{floor.over}/recording"
    async with ada.http.get(path, headers={"Range": "bytes=0-43"}) as response:
        assert response.status == 206
        assert (await response.read())[:4] == b"RIFF"
        assert response.headers["Content-Range"].startswith("bytes 0-43/")


@pytest.mark.parametrize("ranges", [["bytes=1-"], ["bytes=100-200", "bytes=0-"], [""]])
async def test_playing_a_recording_is_put_down_once_whichever_part_is_asked_for(
    console: Console, ada: Browser, floor: Floor, ranges: list[str]
) -> None:
    path = f"/api/v1/calls/{floor.over}/recording"
    for wanted in ranges:
        async with ada.http.get(path, headers={"Range": wanted} if wanted else {}) as response:
            assert response.status in (200, 206)
    found = await console.services.auditor.audit.latest(10)
    played = [each for _, each in found if each["action"] == "play recording"]
    assert [(each["actor"], each["call_id"]) for each in played] == [("ada", floor.over)]


async def test_a_recording_is_not_given_where_that_cannot_be_put_down(
    ada: Browser, floor: Floor, redis: RedisLink
) -> None:
    await redis.ask(("SET", "bridge:audit", "in the way"))
    for _ in range(2):
        assert (await ada.get(f"/api/v1/calls/{floor.over}/recording"))[0] == 503


async def test_outline_shows_who_spoke_when(ada: Browser, floor: Floor) -> None:
    status, found = await ada.get(f"/api/v1/calls/{floor.over}/outline?width=100")
    assert status == 200
    assert len(found["caller"]) == len(found["agent"]) == 100
    assert found["duration_ms"] == 20_000
    assert found["caller"][5] > 0.1 > found["agent"][5]
    assert [each["kind"] for each in found["markers"]][-1] == "ended"


async def test_sip_messages_of_a_call_that_is_over_are_told_in_short(
    ada: Browser, floor: Floor
) -> None:
    status, found = await ada.get(f"/api/v1/calls/{floor.over}/sip")
    assert status == 200
    told = [(each["sent"], each["what"], each["repeats"]) for each in found["messages"]]
    assert told == [
        (False, "INVITE", False),
        (True, "200 OK (INVITE)", False),
        (True, "200 OK (INVITE)", True),
        (False, "REFER", False),
        (True, "603 Decline (REFER)", False),
        (False, "BYE", False),
    ]
    assert {each["far_end"] for each in found["messages"]} == {"192.0.2.7:5060"}
    assert found["messages"][1]["after_ms"] == 2
    assert "15550123456" not in json.dumps(found)


async def test_recording_of_a_live_call_is_not_given(ada: Browser, floor: Floor) -> None:
    assert (await ada.get(f"/api/v1/calls/{floor.live[0]}/recording"))[0] == 409


async def test_history_finds_calls_by_what_was_said(ada: Browser, floor: Floor) -> None:
    _, found = await ada.get("/api/v1/history?text=on%20its%20WAY")
    assert [row["call_id"] for row in found["calls"]] == [floor.over]
    _, found = await ada.get("/api/v1/history?outcome=session_lost")
    assert [row["fault"] for row in found["calls"]] == ["provider"]
    assert found["more_before_ms"] is None


async def test_history_comes_in_pages(ada: Browser) -> None:
    _, first = await ada.get("/api/v1/history?limit=4")
    _, second = await ada.get(f"/api/v1/history?limit=4&before_ms={first['more_before_ms']}")
    ids = [row["call_id"] for row in first["calls"] + second["calls"]]
    assert ids == [f"c_over{number}" for number in range(6)]


async def test_call_that_is_over_has_its_record_without_numbers_and_paths(
    ada: Browser, floor: Floor
) -> None:
    _, found = await ada.get(f"/api/v1/calls/{floor.over}")
    assert found["live"] is False
    assert found["record"]["caller"] == "***11"
    assert found["record"]["handoffs"][0]["to"] == "***77"
    assert "+155501" not in json.dumps(found["record"]["handoffs"])
    assert found["record"].get("recording") is None


async def test_who_may_not_read_transcripts_reads_none(console: Console, floor: Floor) -> None:
    async with console.browser() as browser:
        await signed_in(console, browser, "viewer")
        _, found = await browser.get(f"/api/v1/calls/{floor.over}")
        assert {turn["text"] for turn in found["record"]["turns"]} == {None}
        assert (await browser.get(f"/api/v1/calls/{floor.live[1]}/events"))[0] == 403
        assert (await browser.get(f"/api/v1/calls/{floor.live[1]}/stream"))[0] == 403


async def test_record_of_a_supervised_call_tells_words_to_readers_and_numbers_to_nobody(
    console: Console, floor: Floor, ada: Browser
) -> None:
    path = floor.directory / "recordings" / f"{floor.over}.json"
    record = json.loads(path.read_text())
    words = "Offer the refund to +15550123456."
    record["supervised"] = [{"at_ms": 1, "by": "sam", "action": "whisper", "text": words}]
    record["flags"] = [{"at_ms": 2, "by": "sam", "note": words}]
    record["failures"] = [{"at_ms": 3, "code": "sip:+15550123456@x"}]
    path.write_text(json.dumps(record))
    async with console.browser() as browser:
        await signed_in(console, browser, "operator")  # neither audio nor transcripts
        for who, reads in ((ada, True), (browser, False)):
            _, found = await who.get(f"/api/v1/calls/{floor.over}")
            told = json.dumps(found["record"])
            assert ("Offer the refund" in told) == reads
            assert "0123456" not in told
            assert found["record"]["called"] == "+15550100"


async def test_summary_of_a_waiting_caller_is_for_who_may_accept_or_read(
    console: Console, floor: Floor
) -> None:
    async with console.browser() as browser:
        for role, reads in (("viewer", 0), ("operator", 0), ("agent", 1), ("supervisor", 1)):
            await signed_in(console, browser, role)
            told = {}
            for path in ("queue", "calls", f"calls/{floor.live[2]}"):
                status, found = await browser.get(f"/api/v1/{path}")
                if status == 200:
                    told[path] = "Charged twice" in json.dumps(found)
            assert "queue" in told, role
            assert set(told.values()) == {bool(reads)}, (role, told)


async def test_streams_tell_a_new_call_and_its_words_within_a_second(
    ada: Browser, floor: Floor
) -> None:
    async with ada.http.get("/api/v1/calls/stream") as response:
        assert response.headers["Content-Type"].startswith("text/event-stream")
        assert b"snapshot" in await response.content.readline()
        floor.begin("c_fresh")
        async for line in response.content:
            if b"c_fresh" in line:
                break
        else:
            pytest.fail("the new call was not told")
    async with ada.http.get(f"/api/v1/calls/{floor.live[1]}/stream") as response:
        seen = b""
        async for line in response.content:
            seen += line
            if b"human_asked" in line:
                break
        else:
            pytest.fail("the end of the talk was not told")
        assert b"<script>" in seen  # as JSON text: what shows it must not run it


async def test_alert_is_seen_to_once(console: Console, ada: Browser) -> None:
    _, found = await ada.get("/api/v1/alerts")
    assert found["open"] == 2
    [live] = [each for each in found["alerts"] if each["call_live"]]
    path = f"/api/v1/alerts/{live['id']}/acknowledge"
    assert (await ada.post(path, {"note": "on it"}))[0] == 200
    assert (await ada.post(path, {}))[0] == 409
    _, found = await ada.get("/api/v1/alerts")
    [live] = [each for each in found["alerts"] if each["call_live"]]
    assert (found["open"], live["state"]) == (1, "acknowledged")
    assert (live["acknowledged"]["by"], live["acknowledged"]["note"]) == ("ada", "on it")
    assert (await ada.post("/api/v1/alerts/1-1/acknowledge", {}))[0] == 404


async def test_rollout_is_stepped_paused_and_stopped_with_a_reason(ada: Browser) -> None:
    path = "/api/v1/rollouts/new-model"
    [one] = (await ada.get("/api/v1/rollouts"))[1]["rollouts"]
    assert one["arms"]["ga-next"]["percent"] == 5
    assert (await ada.post(f"{path}/steps/set", {"percent": 25}))[0] == 422  # no reason
    given = {"percent": 25, "reason": "healthy", "version": one["version"]}
    assert (await ada.post(f"{path}/steps/set", given))[0] == 200
    assert (await ada.post(f"{path}/steps/set", given))[0] == 409  # made from an old version
    assert (await ada.post(f"{path}/switches/arm", {"arm": "ga-next", "on": False, "reason": "x"}))[
        0
    ] == 200
    assert (await ada.post(f"{path}/switches/arm", {"arm": "none", "reason": "x"}))[0] == 409
    [one] = (await ada.get("/api/v1/rollouts"))[1]["rollouts"]
    assert one["arms"]["ga-next"] == {
        "role": "treatment",
        "percent": 25,
        "stopped": True,
        "cap": None,
        "calls_now": 2,
    }
    assert [each["author"] for each in one["changes"]] == ["ada"] * 4


async def test_change_of_a_rollout_is_audited_with_role_and_address(
    console: Console, ada: Browser
) -> None:
    path, given = "/api/v1/rollouts/new-model", {"reason": "it fails"}
    assert (await ada.post(f"{path}/steps/pause", given))[0] == 200
    assert (await ada.post(f"{path}/switches/ai", {**given, "on": False}))[0] == 200
    found = [fields for _, fields in await console.services.rollouts.audit(2)]
    for entry in found:
        assert entry["action"].startswith("rollout ")
        assert (entry["actor"], entry["roles"]) == ("ada", " ".join(sorted(EVERYTHING)))
        assert entry["address"] == "127.0.0.1"
    _, told = await ada.get("/api/v1/audit")
    assert [each["roles"] for each in told["entries"][:2]] == [" ".join(sorted(EVERYTHING))] * 2


async def test_operator_stops_what_a_supervisor_may_only_see(console: Console) -> None:
    given = {"reason": "it fails"}
    async with console.browser() as browser:
        await signed_in(console, browser, "supervisor")
        path = "/api/v1/rollouts/new-model"
        assert (await browser.get("/api/v1/rollouts"))[0] == 200
        assert (await browser.post(f"{path}/steps/rollback", given))[0] == 403
        assert (await browser.post(f"{path}/switches/ai", given))[0] == 403
        await signed_in(console, browser, "operator")
        assert (await browser.post(f"{path}/steps/rollback", given))[0] == 200


async def test_wallboard_and_queue_count_the_floor(ada: Browser) -> None:
    _, found = await ada.get("/api/v1/wallboard")
    assert (found["waiting"], found["active_human"], found["active_ai"]) == (1, 1, 5)
    assert found["failing"] == 1
    assert (found["service_level"], found["abandoned"]) == (1.0, 0.0)
    assert found["containment"] == pytest.approx(4 / 6)
    _, queue = await ada.get("/api/v1/queue")
    assert [row["handoff_target"] for row in queue["waiting"]] == ["billing"]
    assert queue["waiting"][0]["handoff_summary"].startswith("Charged twice")


async def test_replays_tell_what_was_broken_and_nothing_beside_their_directory(
    ada: Browser, floor: Floor
) -> None:
    _, found = await ada.get("/api/v1/replays")
    assert [each["counts"]["fail"] for each in found["replays"]] == [1, 0]
    _, run = await ada.get("/api/v1/replays/run-1")
    assert run["runs"][0]["broken"][0]["found"] == 4120
    results = floor.directory / "replays" / "run-1" / "results.json"
    content = json.loads(results.read_text())
    content["runs"][0]["folder"] = "../../recordings"
    results.write_text(json.dumps(content))
    (floor.directory / "recordings" / "result.json").write_text('{"checks": [{"status": "x"}]}')
    _, run = await ada.get("/api/v1/replays/run-1")
    assert run["runs"][0]["broken"] == []
    assert (await ada.get("/api/v1/replays/..%2frecordings"))[0] == 404


async def test_screens_are_for_those_whom_they_concern(console: Console, ada: Browser) -> None:
    async with console.browser() as nobody, console.browser() as auditor:
        await signed_in(console, auditor, "auditor")
        for screen in OWN:
            status, page = await ada.get(screen.path)
            assert status == 200, screen.path
            for inline in ("<script>", "style=", "onclick"):
                assert inline not in page, screen.path
            assert (await nobody.get(screen.path))[0] == 303
            assert (await auditor.get(screen.path))[0] == 403


async def test_name_of_a_call_in_a_page_is_text(ada: Browser) -> None:
    _, page = await ada.get("/history/%3Cscript%3Ealert(1)%3C%2Fscript%3E")
    assert "<script>alert" not in page


async def test_evil_words_are_text_in_the_api(ada: Browser, floor: Floor) -> None:
    _, found = await ada.get(f"/api/v1/calls/{floor.live[1]}/events")
    assert EVIL in [event.get("text") for event in found["events"]]
