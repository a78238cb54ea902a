"""The API of live actions: who may, what reaches the node, what is audited, what is refused."""

import pytest

from bridge.console.access.phone_tickets import Ticket
from bridge.routing.supervisor_verbs import VERBS
from bridge.store.client import RedisLink
from bridge.store.control import Answer
from tests.console.conftest import Browser, Console
from tests.console.live import KEYS, Node, begin_call

pytestmark = pytest.mark.redis

PARAMS: dict[str, dict[str, object]] = {
    "whisper": {"text": "Offer {10} %."},
    "say": {"text": "This call is free."},
    "take_over": {},
    "hand_back": {"summary": "Settled."},
    "join": {},
    "mute": {"on": True},
    "hold": {"on": True},
    "pause": {"auto_resume_s": 30},
    "resume": {},
    "transfer": {"target": "billing"},
    "end": {"reason": "Abuse", "how": "now"},
    "sensitive": {"on": True},
    "pause_recording": {"on": True},
    "flag": {"note": "Listen to this."},
    "listen": {"via": "sip:eve@pbx.example", "may_take_over": True},
}


@pytest.fixture
async def eve(console: Console, browser: Browser, redis: RedisLink) -> Browser:
    """A supervisor's browser; there is a call."""
    await console.add_user("eve", "supervisor", routes=("support",))
    await console.sign_in(browser, "eve")
    await begin_call(redis, "c_1")
    return browser


def test_every_action_is_asked_for_here() -> None:
    assert PARAMS.keys() == {verb.name for verb in VERBS.values() if not verb.own_path}


async def test_every_action_reaches_the_node_and_is_audited(
    console: Console, eve: Browser, node: Node
) -> None:
    for action, params in PARAMS.items():
        status, told = await eve.post(f"/api/v1/calls/c_1/actions/{action}", params)
        assert (status, told) == (200, {"accepted": True, "reason": None, "result": {}})
        command = node.commands[-1]
        assert (command.call_id, command.action, command.by) == ("c_1", action, "eve")
        assert params.items() <= command.params.items()
        entries = await audited(console, action)
        assert [each["result"] for each in entries] == ["asked", "done"]
        assert {(each["actor"], each["call_id"]) for each in entries} == {("eve", "c_1")}
        for value in params.values():
            assert str(value).lower() in entries[0]["detail"].lower()
    assert len(node.commands) == len(PARAMS)


async def audited(console: Console, action: str) -> list[dict[str, str]]:
    reply = await console.services.link.ask(["XRANGE", "bridge:audit", "-", "+"])
    assert isinstance(reply, list)
    found = []
    for entry in reply:
        assert isinstance(entry, list)
        words = entry[1]
        assert isinstance(words, list)
        texts = [str(word) for word in words]
        found.append(dict(zip(texts[::2], texts[1::2], strict=True)))
    return [each for each in found if each["action"] == action]


async def test_refusal_is_told_and_audited(console: Console, eve: Browser, node: Node) -> None:
    node.answer = Answer.refused("held_by", held_by="ann")
    status, told = await eve.post("/api/v1/calls/c_1/actions/take_over", {})
    assert status == 200
    assert told == {"accepted": False, "reason": "held_by", "result": {"held_by": "ann"}}
    assert (await audited(console, "take_over"))[-1]["result"] == "refused: held_by"


async def test_same_key_is_the_same_action(eve: Browser, node: Node) -> None:
    for _ in range(2):
        status, told = await eve.post(
            "/api/v1/calls/c_1/actions/whisper", {"text": "Once."}, Idempotency_Key="k1"
        )
        assert (status, told["accepted"]) == (200, True)
    assert len(node.commands) == 1
    await eve.post("/api/v1/calls/c_1/actions/whisper", {"text": "Twice."}, Idempotency_Key="k2")
    assert len(node.commands) == 2


async def test_node_that_does_not_answer_is_504(
    console: Console, eve: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silence(*_: object, **__: object) -> None:
        return None

    monkeypatch.setattr(console.services.control, "send", silence)
    status, _ = await eve.post("/api/v1/calls/c_1/actions/take_over", {})
    assert status == 504
    assert (await audited(console, "take_over"))[-1]["result"] == "no answer"


MAY: dict[str, set[str]] = {
    "viewer": set(),
    "agent": set(),
    "operator": set(),
    "auditor": set(),
    "qa": {"flag"},
    "supervisor": set(PARAMS),
    "admin": set(PARAMS),
}


async def test_role_decides(
    console: Console, browser: Browser, redis: RedisLink, node: Node
) -> None:
    await begin_call(redis, "c_1")
    for role, allowed in MAY.items():
        node.commands.clear()
        await console.add_user(role, role)
        await console.sign_in(browser, role)
        for action, params in PARAMS.items():
            status, _ = await browser.post(f"/api/v1/calls/c_1/actions/{action}", params)
            assert status == (200 if action in allowed else 403), (role, action)
        assert {each.action for each in node.commands} == allowed


async def test_call_of_another_route_is_none(eve: Browser, node: Node, redis: RedisLink) -> None:
    await begin_call(redis, "c_2", route="billing")
    answers = [
        await eve.post(f"/api/v1/calls/{call}/actions/take_over", {}) for call in ("c_2", "c_3")
    ]
    assert answers[0] == answers[1]
    assert answers[0][0] == 404
    assert node.commands == []


async def test_ended_call_is_409(eve: Browser, node: Node, redis: RedisLink) -> None:
    await begin_call(redis, "c_4", ended_at="1")
    status, _ = await eve.post("/api/v1/calls/c_4/actions/take_over", {})
    assert (status, node.commands) == (409, [])


BAD: list[tuple[str, dict[str, object]]] = [
    ("whisper", {}),
    ("whisper", {"text": "x", "loud": True}),
    ("say", {"text": "x" * 401}),
    ("pause", {"auto_resume_s": 0}),
    ("transfer", {"target": "sip:a@b>\r\nX: 1"}),
    ("end", {"how": "now"}),
    ("shout", {}),
]


async def test_bad_action_goes_nowhere(eve: Browser, node: Node) -> None:
    for action, params in BAD:
        status, _ = await eve.post(f"/api/v1/calls/c_1/actions/{action}", params)
        assert status in (400, 404, 422), (action, params)
    assert node.commands == []


async def test_phone_that_is_to_listen_privately_is_called_for_admins_alone(
    console: Console, eve: Browser, node: Node
) -> None:
    path, wish = "/api/v1/calls/c_1/actions/listen", {**PARAMS["listen"], "private": True}
    assert (await eve.post(path, wish))[0] == 403
    assert node.commands == []
    await console.add_user("ada", "admin")
    await console.sign_in(eve, "ada")
    assert (await eve.post(path, wish))[0] == 200
    assert node.commands[0].params["private"] is True
    for entry in await audited(console, "listen"):
        assert (entry["actor"], '"private": true' in entry["detail"]) == ("ada", True)


async def test_without_csrf_token_or_sign_in_nothing_is_done(
    console: Console, eve: Browser, node: Node
) -> None:
    path = "/api/v1/calls/c_1/actions/take_over"
    assert (await eve.post(path, {}, X_CSRF_Token="forged"))[0] == 403
    assert (await eve.post(path, {}, Origin="https://evil.example"))[0] == 403
    async with console.browser() as stranger:
        assert (await stranger.post(path, {}))[0] == 401
    assert node.commands == []


async def test_number_for_a_phone_is_a_supervisors(
    console: Console, eve: Browser, redis: RedisLink
) -> None:
    path = "/api/v1/calls/c_1/phone-ticket"
    status, told = await eve.post(path)
    assert (status, "sip.public_address" in told["detail"]) == (409, True)
    await redis.ask(["HSET", KEYS.node("node-a"), "sip", "203.0.113.7:5060"])
    status, told = await eve.post(path, {"may_take_over": True})
    assert status == 200
    number, _, host = told["uri"].partition("@")
    assert host == "203.0.113.7:5060"
    assert number.startswith("sip:listen-c_1-")
    ticket = await console.services.phone_tickets.take(number.rpartition("-")[2], "c_1")
    assert ticket == Ticket("eve", "c_1", may_take_over=True)
    assert await console.services.phone_tickets.take(number.rpartition("-")[2], "c_1") is None
    for role in ("viewer", "agent", "qa", "operator", "auditor"):
        await console.add_user(role, role)
        await console.sign_in(eve, role)
        assert (await eve.post(path))[0] == 403
