"""What came of a call: who had its caller says it, with a code of the route, and it is kept."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.app.console import SupervisorDesk
from bridge.clock import ManualClock
from bridge.console.services import Sources
from bridge.routing.models import Dialplan
from bridge.store.client import RedisLink
from bridge.store.control import Command
from bridge.telephony.sip_traces import SipTraces
from tests.console.conftest import Browser, Console, MakeConsole
from tests.console.live import Node, begin_call
from tests.console.test_actions import audited

pytestmark = pytest.mark.redis

PATH = "/api/v1/calls/c_1/wrap-up"
PLAN = {
    "schema": "dialplan/v1",
    "name": "support",
    "match": [{"called": "*"}],
    "arm": "ga",
    "agent": {"instructions": "Help."},
    "handoff": {"wrap_up": ["resolved", "callback"]},
}


def plans() -> Sequence[Dialplan]:
    return (Dialplan.model_validate(PLAN),)


@pytest.fixture
async def console(make_console: MakeConsole, tmp_path: Path) -> Console:
    made: Console = await make_console(
        sources=replace(Sources(), recordings_dir=tmp_path, dialplans=plans)
    )
    return made


@pytest.fixture
async def ann(console: Console, browser: Browser) -> Browser:
    await console.add_user("ann", "agent", routes=("support",))
    await console.sign_in(browser, "ann")
    return browser


@pytest.mark.parametrize("state", [{"held_by": "ann"}, {"handled_by": "ann", "ended_at": "1"}])
async def test_who_had_the_caller_wraps_up_during_the_call_and_after(
    console: Console, ann: Browser, redis: RedisLink, node: Node, state: dict[str, str]
) -> None:
    await begin_call(redis, "c_1", **state)
    assert (await ann.get(PATH))[1] == {"codes": ["resolved", "callback"]}
    wish = {"code": "resolved", "note": "Paid with 4111 1111 1111 1111."}
    status, told = await ann.post(PATH, wish)
    assert status == 200
    assert told["recorded"]
    assert "4111" not in told["note"]
    fields = await console.services.calls.call("c_1") or {}
    assert (fields["wrap_up_code"], fields["wrapped_up_by"]) == ("resolved", "ann")
    assert "4111" not in json.dumps(fields)
    (command,) = node.commands
    assert (command.action, command.params["code"]) == ("wrap_up", "resolved")
    assert [each["result"] for each in await audited(console, "wrap_up")][-1] == "done"


@pytest.mark.parametrize(
    ("state", "wish", "status"),
    [
        ({"held_by": "eve"}, {"code": "resolved"}, 403),
        ({}, {"code": "resolved"}, 403),
        ({"held_by": "ann"}, {"code": "nonsense"}, 422),
        ({"held_by": "ann"}, {"note": "no code"}, 422),
        ({"held_by": "ann", "dialplan": "vip"}, {"code": "resolved"}, 404),
    ],
)
async def test_nobody_else_and_nothing_else(
    ann: Browser,
    redis: RedisLink,
    node: Node,
    state: dict[str, str],
    wish: dict[str, str],
    status: int,
) -> None:
    await begin_call(redis, "c_1", state.get("dialplan", "support"), **state)
    assert (await ann.post(PATH, wish))[0] == status
    assert node.commands == []


async def test_code_stands_in_the_history_and_its_note_is_for_who_reads_transcripts(
    console: Console, ann: Browser, redis: RedisLink, node: Node
) -> None:
    await begin_call(redis, "c_1", handled_by="ann", ended_at="1", started_at="1")
    await redis.ask(["ZADD", "bridge:calls:ended", "1", "c_1"])
    await ann.post(PATH, {"code": "callback", "note": "Tomorrow."})
    await console.add_user("ada", "qa")
    async with console.browser() as ada:
        await console.sign_in(ada, "ada")
        (row,) = (await ada.get("/api/v1/history"))[1]["calls"]
        assert (row["wrap_up_code"], row["wrapped_up_by"]) == ("callback", "ann")
        assert (await ada.get("/api/v1/calls/c_1"))[1]["call"]["wrap_up_note"] == "Tomorrow."
    await console.add_user("vic", "viewer")
    async with console.browser() as vic:
        await console.sign_in(vic, "vic")
        assert "Tomorrow." not in json.dumps((await vic.get("/api/v1/calls/c_1"))[1])


async def test_record_of_a_call_that_is_over_gets_it_on_its_node(tmp_path: Path) -> None:
    (tmp_path / "c_1.json").write_text('{"call_id": "c_1", "turns": []}')
    desk = SupervisorDesk(tuple, tmp_path, SipTraces(None, ManualClock()))
    params = {"code": "resolved", "note": "Done.", "at_ms": 7}
    answer = await desk(Command("1", "c_1", "wrap_up", params, "ann", 0, 10**13))
    assert answer.accepted
    record = json.loads((tmp_path / "c_1.json").read_text())
    assert record == {"call_id": "c_1", "turns": [], "wrap_up": {**params, "by": "ann"}}
    lost = await desk(Command("2", "c_2", "wrap_up", params, "ann", 0, 10**13))
    assert lost.reason == "unknown_call"
