"""From shapes and order the official client can't tell that the server is not the real one.

Each scene is held by the official client in each dialect that has it; every event is judged by the
official types (and the walk through `model_extra`) as it comes, and the whole order is pinned. At
the end, every event that the dialect's union has was seen, but for those that a WebSocket client of
the real service never sees (`PROTOCOL.md` section 3).
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from bridge.simulator.scenario import Scenario, SessionLimit
from bridge.simulator.server import SimulatorServer
from tests.realtime.official import CLASSES, DialectName
from tests.simulator.conftest import paced
from tests.simulator.official_talk import Talk, talk
from tests.simulator.order import DIALECTS, order_of
from tests.simulator.scenes import ASK, SCENES, TRANSCRIPTION, Scene

pytestmark = [pytest.mark.speech, pytest.mark.asyncio(loop_scope="module")]

_OTHER_TRANSPORTS = {f"output_audio_buffer.{end}" for end in ("started", "stopped", "cleared")}
NEVER_SEEN: dict[DialectName, set[str]] = {
    # conversation.created is in both unions, and on no wire.
    "beta": {"conversation.created", *_OTHER_TRANSPORTS},
    "ga": {
        "conversation.created",
        *_OTHER_TRANSPORTS,
        # Live GA does not send it; keys come over SIP; segments from the diarizing model alone.
        "conversation.item.created",
        "input_audio_buffer.dtmf_event_received",
        f"{TRANSCRIPTION}.segment",
    },
}
CASES = [
    pytest.param(scene, dialect, id=f"{scene.play.__name__}-{dialect}")
    for scene in SCENES
    for dialect in scene.dialects
]


def talkative(**changes: object) -> Scenario:
    """Return a scenario with MCP servers, at once."""
    usual = paced()
    track = {"server": "orders", "name": "track", "arguments": {"which": "latest"}}
    rules = [
        {
            "hears": [ASK],
            "mcp": {**track, "output": {"day": "Friday"}},
            "then": "It arrives on {day}.",
            "without_tool": "I cannot look that up.",
        },
        {
            "hears": ["Give me my money back."],
            "mcp": {"server": "orders", "name": "refund", "fails": "http_error"},
            "without_tool": "That did not work.",
        },
    ]
    others = [rule for rule in usual.rules if ASK not in rule.hears]
    written = {
        **usual.model_dump(),
        "rules": [*rules, *(rule.model_dump() for rule in others)],
        "mcp_servers": [{"label": "orders", "tools": ["track", "refund"]}],
    }
    return Scenario.model_validate({**written, **changes})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def urls() -> AsyncIterator[dict[str, str]]:
    """Every server that a scene needs."""
    fail = {"at": "turn", "kind": "fail", "times": None}
    scenarios = {
        "fast": talkative(),
        "slow": paced(speedup=1),
        "failing": talkative(faults=[fail]),
        "short": paced().model_copy(update={"session": SessionLimit(lifetime_s=0.3)}),
    }
    async with AsyncExitStack() as stack:
        found = {}
        for name, scenario in scenarios.items():
            server = SimulatorServer(scenario)
            found[name] = await server.start()
            stack.push_async_callback(server.aclose)
        yield found


_played: dict[tuple[DialectName, str], set[str]] = {}


async def play(scene: Scene, urls: dict[str, str], dialect: DialectName) -> Talk:
    query = dict(scene.query)
    async with talk(urls[scene.server], dialect, greeted=not query, **query) as held:
        seen = list(held.events)
        await scene.play(held)
        _played[dialect, scene.play.__name__] = {event["type"] for event in [*seen, *held.events]}
    return held


@pytest.mark.parametrize(("scene", "dialect"), CASES)
async def test_order_of_a_scene(urls: dict[str, str], scene: Scene, dialect: DialectName) -> None:
    held = await play(scene, urls, dialect)
    assert order_of(held.events) == scene.order(dialect)
    names = [event["event_id"] for event in held.events]
    assert len({*names}) == len(names)


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_every_event_of_the_dialect_was_seen(
    urls: dict[str, str], dialect: DialectName
) -> None:
    for scene in SCENES:
        if dialect in scene.dialects and (dialect, scene.play.__name__) not in _played:
            await play(scene, urls, dialect)
    seen = {kind for (of, _), kinds in _played.items() if of == dialect for kind in kinds}
    known = set(CLASSES[dialect, "server"])
    assert known - seen == NEVER_SEEN[dialect]
    assert seen - known == ({"transcription_session.created"} if dialect == "beta" else set())
