"""Role agent works the call that it has accepted, and no other."""

import pytest

from bridge.store.client import RedisLink
from tests.console.conftest import Browser, Console
from tests.console.live import Node, begin_call
from tests.console.test_access_matrix import BODIES

pytestmark = pytest.mark.redis

OWN = {"mute", "hold", "transfer", "end"}
OTHERS = {
    *("whisper", "say", "take_over", "join", "hand_back", "pause", "resume", "sensitive"),
    *("pause_recording", "flag", "listen"),
}


@pytest.mark.parametrize(("by", "allowed"), [("ann", OWN), ("eve", set())])
async def test_agent_may_do_this_to_the_call_whose_caller_they_have(
    console: Console,
    browser: Browser,
    redis: RedisLink,
    node: Node,
    by: str,
    allowed: set[str],
) -> None:
    await begin_call(redis, "c_1", held_by=by)
    await console.add_user("ann", "agent")
    await console.sign_in(browser, "ann")
    done = set()
    for action in sorted(OWN | OTHERS):
        path = f"/api/v1/calls/c_1/actions/{action}"
        status, _ = await browser.post(path, BODIES.get(action, {}))
        assert status in (200, 403), (action, status)
        if status == 200:
            done.add(action)
    assert {command.action for command in node.commands} == done == allowed
    found = await console.services.auditor.audit.latest(50)
    assert {each["action"] for _, each in found if each["actor"] == "ann"} >= allowed
