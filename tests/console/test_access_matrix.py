"""Every operation of the API by every role, beside a table that was written by hand.

The operations come from OpenAPI, so a new one without an entry turns this red. The table is what
`NEEDS.md` section 1 "Roles" says: viewer: figures and the list of calls; agent: his own handoffs;
supervisor: his own routes, listen, coach, barge, end; QA: history and scripts, no live action;
operator: flags and kill switch, no audio, no transcripts; admin: all; auditor: the audit alone.
"""

import re
from collections.abc import Iterator

import aiohttp
import pytest

from bridge.console.access.roles import UserRole
from bridge.console.other_nodes import UNREACHABLE_CODE
from bridge.store.client import RedisLink
from tests.console.conftest import Browser, Console
from tests.console.live import begin_call
from tests.support.pictures import as_json, png

pytestmark = pytest.mark.redis

EVERYBODY = "viewer agent supervisor qa operator admin auditor"
ANYBODY = ""
"""Without a sign-in, too."""

_CALL = "/api/v1/calls/{call_id}"
_SEES_CALLS = "viewer supervisor operator admin"
_STEPS_IN = "supervisor admin"
_LOOKS_BACK = "supervisor qa admin"
_WATCHES_ROLLOUTS = "viewer supervisor qa operator admin"
_RUNS_ROLLOUTS = "operator admin"
_SEES_QUEUE = "viewer agent supervisor operator admin"

TABLE = {
    "GET /api/v1/session": EVERYBODY,
    "POST /api/v1/session": ANYBODY,
    "DELETE /api/v1/session": EVERYBODY,
    "POST /api/v1/session/password": EVERYBODY,
    "GET /api/v1/session/second-factor": EVERYBODY,
    "POST /api/v1/session/second-factor": EVERYBODY,
    "POST /api/v1/session/second-factor/confirm": EVERYBODY,
    "POST /api/v1/session/second-factor/off": EVERYBODY,
    "POST /api/v1/invitation": ANYBODY,
    "POST /api/v1/invitation/accept": ANYBODY,
    "GET /api/v1/calls": _SEES_CALLS,
    "GET /api/v1/calls/stream": _SEES_CALLS,
    f"GET {_CALL}": "viewer supervisor qa operator admin",  # it is over
    f"GET {_CALL}/sip": "viewer supervisor qa operator admin",
    f"GET {_CALL}/events": _LOOKS_BACK,
    f"GET {_CALL}/stream": _LOOKS_BACK,
    f"POST {_CALL}/actions/whisper": _STEPS_IN,
    f"POST {_CALL}/picture": _STEPS_IN,
    f"POST {_CALL}/actions/say": _STEPS_IN,
    f"POST {_CALL}/actions/take_over": _STEPS_IN,
    f"POST {_CALL}/actions/join": _STEPS_IN,
    f"POST {_CALL}/actions/mute": _STEPS_IN,
    f"POST {_CALL}/actions/hold": _STEPS_IN,
    f"POST {_CALL}/actions/hand_back": _STEPS_IN,
    f"POST {_CALL}/actions/pause": _STEPS_IN,
    f"POST {_CALL}/actions/resume": _STEPS_IN,
    f"POST {_CALL}/actions/transfer": _STEPS_IN,
    f"POST {_CALL}/actions/end": _STEPS_IN,
    f"POST {_CALL}/actions/sensitive": _STEPS_IN,
    f"POST {_CALL}/actions/pause_recording": _STEPS_IN,
    f"POST {_CALL}/actions/flag": _LOOKS_BACK,
    f"POST {_CALL}/actions/listen": _STEPS_IN,
    f"POST {_CALL}/audio-token": _STEPS_IN,
    f"POST {_CALL}/phone-ticket": _STEPS_IN,
    f"GET {_CALL}/recording": _LOOKS_BACK,
    f"GET {_CALL}/outline": _LOOKS_BACK,
    f"POST {_CALL}/script": _LOOKS_BACK,
    f"GET {_CALL}/wrap-up": "agent supervisor admin",  # they had its caller
    f"POST {_CALL}/wrap-up": "agent supervisor admin",
    f"POST {_CALL}/unmask": _STEPS_IN,
    "GET /api/v1/history": _LOOKS_BACK,
    "GET /api/v1/queue": _SEES_QUEUE,
    "GET /api/v1/wallboard": _SEES_CALLS,
    "GET /api/v1/trends": _SEES_CALLS,
    "GET /api/v1/presence": _STEPS_IN,
    "PUT /api/v1/presence": "agent supervisor admin",
    "POST /api/v1/queue/{call_id}/accept": "agent supervisor admin",
    "POST /api/v1/queue/{call_id}/hand-back": "agent supervisor admin",
    "GET /api/v1/alerts": _SEES_CALLS,
    "POST /api/v1/alerts/{alert_id}/acknowledge": "supervisor operator admin",
    "GET /api/v1/refusals": "supervisor operator admin",
    "GET /api/v1/refusals/messages": "supervisor operator admin",
    "GET /api/v1/rollouts": _WATCHES_ROLLOUTS,
    "GET /api/v1/rollouts/{flag}/history": _WATCHES_ROLLOUTS,
    "POST /api/v1/rollouts/{flag}/steps/{step}": _RUNS_ROLLOUTS,
    "POST /api/v1/rollouts/{flag}/switches/{switch}": _RUNS_ROLLOUTS,
    "GET /api/v1/replays": "supervisor qa operator admin",
    "GET /api/v1/replays/{name}": "supervisor qa operator admin",
    "GET /api/v1/routes": _SEES_CALLS,
    "GET /api/v1/users": "admin",
    "POST /api/v1/users": "admin",
    "PATCH /api/v1/users/{user}": "admin",
    "POST /api/v1/users/{user}/reset": "admin",
    "GET /api/v1/audit": "admin auditor",
    "GET /api/v1/audit/export": "admin auditor",
    "GET /api/v1/audit/verify": "admin auditor",
}

SOCKETS = {"listen": _STEPS_IN, "talk": _STEPS_IN, "listen_private": "admin"}
"""Who has a call's audio, by kind."""

PRIVATE = {
    f"POST {_CALL}/audio-token": {"kind": "listen_private"},
    f"POST {_CALL}/actions/listen": {"via": "sip:eve@127.0.0.1", "private": True},
    f"POST {_CALL}/phone-ticket": {"private": True},
}
"""Ways to listen that no other supervisor sees, and what is sent; they are for admins."""

BODIES: dict[str, object] = {
    "whisper": {"text": "Be kind."},
    "say": {"text": "One moment."},
    "transfer": {"target": "billing"},
    "end": {"reason": "Over."},
    "sensitive": {"on": True},
    "pause_recording": {"on": True},
    "mute": {"on": True},
    "hold": {"on": True},
    "listen": {"via": "sip:eve@127.0.0.1"},
    "audio-token": {"kind": "listen"},
    "presence": {"state": "away"},
    "unmask": {"reason": "To call back."},
    "picture": {"image": as_json(png(1, 1))},
}
"""What is good, by the end of the path; for the others ``{}`` is."""

PARAMETERS = {
    "call_id": "c_1",
    "alert_id": "1-1",
    "flag": "f",
    "step": "pause",
    "switch": "ai",
    "name": "run",
    "user": "nobody-there",
}
_WITHOUT_END = "/stream"


def operations(console: Console) -> Iterator[tuple[str, str]]:
    for path, methods in console.app.openapi()["paths"].items():
        for method in methods:
            yield method.upper(), path


def filled(path: str) -> str:
    """Return a path of the call that is over, whose node need not answer.

    But for a script: of that call it would be made, by a process.
    """
    wanted = re.sub(r"{(\w+)}", lambda found: PARAMETERS[found[1]], path)
    return wanted.replace("c_1/script", "c_2/script")


def body_of(path: str) -> object:
    return BODIES.get(path.rpartition("/")[2], {})


async def status_of(browser: Browser, method: str, path: str, **headers: str) -> int:
    """Return the status; of a stream without waiting for its end."""
    content = None if method == "GET" else body_of(path)
    if path.endswith(_WITHOUT_END) and method == "GET":
        async with browser.http.get(filled(path)) as answer:
            return answer.status
    return (await browser.ask(method, filled(path), content, **headers))[0]


def test_every_operation_is_in_the_table(console: Console) -> None:
    assert {f"{method} {path}" for method, path in operations(console)} == TABLE.keys()


@pytest.mark.parametrize("role", list(UserRole))
async def test_role_may_what_the_table_says_and_nothing_else(
    console: Console, browser: Browser, redis: RedisLink, role: UserRole
) -> None:
    await begin_call(redis, "c_1", ended_at="1", handled_by="ann")
    await begin_call(redis, "c_2")
    await console.add_user("ann", role.value, routes=("*",))
    await console.sign_in(browser, "ann")
    wrong = []
    for method, path in sorted(operations(console), key=lambda each: each[0] == "DELETE"):
        name = f"{method} {path}"  # the one that ends the sign-in comes last
        if TABLE[name] == ANYBODY:
            continue
        status = await status_of(browser, method, path)
        assert status < 500, name
        refused = status == 403
        if refused == (role in TABLE[name].split()):
            wrong.append(f"{name}: {status}")
    assert wrong == []


async def test_to_listen_unseen_by_others_is_for_admins(
    console: Console, browser: Browser, redis: RedisLink
) -> None:
    await begin_call(redis, "c_1", ended_at="1")
    wrong = []
    for role in UserRole:
        await console.add_user("ann", role.value)
        await console.sign_in(browser, "ann")
        for name, content in PRIVATE.items():
            path = filled(name.partition(" ")[2])
            refused = (await browser.post(path, content))[0] == 403
            if refused == (role is UserRole.ADMIN):
                wrong.append(f"{role}: {name}")
    assert wrong == []


async def test_sign_in_that_is_over_opens_nothing(console: Console, browser: Browser) -> None:
    await console.add_user("ann", "admin")
    await console.sign_in(browser, "ann")
    console.clock.advance_ms(12 * 3_600_000 + 1)
    closed = [each for each in operations(console) if TABLE[" ".join(each)] != ANYBODY]
    assert len(closed) > 20
    for method, path in closed:
        assert await status_of(browser, method, path) == 401, path


async def test_every_change_wants_the_token_of_its_session_and_our_own_page(
    console: Console, browser: Browser
) -> None:
    await console.add_user("ann", "admin")
    await console.sign_in(browser, "ann")
    right = browser.csrf_token
    async with console.browser() as other:
        await console.sign_in(other, "ann")
        anothers = other.csrf_token
    changing = [each for each in operations(console) if each[0] != "GET"]
    assert len(changing) > 20
    for method, path in changing:
        if TABLE[f"{method} {path}"] == ANYBODY:  # there is no token yet; the origin counts
            foreign = await status_of(browser, method, path, Origin="https://evil.example")
            assert foreign == 403, path
            continue
        for token in ("", anothers):
            browser.csrf_token = token
            assert await status_of(browser, method, path) == 403, (path, token)
        browser.csrf_token = right
        foreign = await status_of(browser, method, path, Origin="https://evil.example")
        assert foreign == 403, path
    assert (await browser.get("/api/v1/session"))[0] == 200


async def test_call_of_another_route_is_none_whatever_is_asked(
    console: Console, browser: Browser, redis: RedisLink
) -> None:
    for call_id in ("c_1", "c_2"):
        await begin_call(redis, call_id, route="vip")
    await console.add_user("ann", "admin", routes=("support",))
    await console.sign_in(browser, "ann")
    of_a_call = [each for each in operations(console) if "{call_id}" in each[1]]
    assert len(of_a_call) > 15
    for method, path in of_a_call:
        assert await status_of(browser, method, path) == 404, path
    for path in ("/api/v1/calls", "/api/v1/queue", "/api/v1/history"):
        assert "c_" not in str((await browser.get(path))[1])
    figures = (await browser.get("/api/v1/wallboard"))[1]
    assert figures["active_ai"] == 0


async def test_sockets_are_for_who_may_and_for_our_own_page(
    console: Console, browser: Browser, redis: RedisLink
) -> None:
    await begin_call(redis, "c_1")
    for role in UserRole:
        await console.add_user("ann", role.value)
        await console.sign_in(browser, "ann")
        for kind, allowed_roles in SOCKETS.items():
            allowed = role in allowed_roles.split()
            ends = UNREACHABLE_CODE if allowed else 403
            assert await ended_with(console, browser, kind, browser.url) == ends
    await console.add_user("ann", "admin")
    for origin in ("https://evil.example", "null", browser.url + ".evil.example", ""):
        assert await ended_with(console, browser, "listen", origin) == 403, origin


async def ended_with(console: Console, browser: Browser, kind: str, origin: str) -> int | None:
    """Return the status or the close code that ends a WebSocket with a good token."""
    token, _ = await console.services.tokens.issue("ann", "c_1", kind)
    path = f"/api/v1/calls/c_1/audio?kind={kind}&token={token}"
    headers = {"Origin": origin} if origin else {}
    try:
        async with browser.http.ws_connect(path, headers=headers) as socket:
            await socket.receive(timeout=5)
            return socket.close_code
    except aiohttp.WSServerHandshakeError as refused:
        return refused.status
