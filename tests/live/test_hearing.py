"""A cough on a real call: the service is asked whether it lives, and loses nothing by that."""

import json

import numpy as np
import pytest

from bridge.realtime.commands import UpdateSession
from bridge.realtime.ga import GaDialect
from bridge.realtime.session_config import SessionConfig
from tests.live.conftest import StartGateway
from tests.live.peer import TonePeer
from tests.live.talk import Talk, talking

pytestmark = [pytest.mark.sip, pytest.mark.redis]

TOOL = {
    "name": "find_order",
    "description": "Find an order.",
    "webhook": {"url": "http://127.0.0.1:1/order"},
    "parameters": {"type": "object", "properties": {"number": {"type": "string"}}},
}
TOOLS = [TOOL, {"name": "end_call"}]
DIALPLAN = {"agent": {"instructions": "Be a test.", "greeting": "Hello.", "tools": TOOLS}}
NOTHING = {"ga": {"type": "realtime"}, "beta": {}}
"""The whole ``session`` of an update that changes nothing, in each dialect."""


async def cough(talk: Talk) -> TonePeer:
    """Have the caller make a sound of which the service tells nothing; wait for its question."""
    peer = talk.first
    await peer.finish_response()
    await talk.silent()
    noise = np.random.default_rng(7).normal(0, 6_000, 8 * 240).astype(np.int16)
    talk.caller.speak(noise)
    await peer.until_sent("session.update")
    await peer.until(lambda: peer.appended_ms > 3_000)
    return peer


@pytest.mark.parametrize("dialect", ["ga", "beta"])
async def test_tools_survive_a_cough(start_gateway: StartGateway, dialect: str) -> None:
    async with talking(start_gateway, greeting_ms=300, dialplan=DIALPLAN, dialect=dialect) as talk:
        begun = dict(talk.first.session)
        assert {"find_order", "end_call"} <= {tool["name"] for tool in begun["tools"]}
        peer = await cough(talk)
        assert peer.session == begun
        asked = [each["session"] for each in peer.sent if each["type"] == "session.update"]
        assert asked == [NOTHING[dialect]]
        assert len(talk.service.sessions) == 1


def test_peer_takes_an_empty_list_of_tools_as_the_real_service_does() -> None:
    """What a config with defaults would do to a session that talks."""
    peer = TonePeer()
    peer.session = {"tools": [TOOL]}
    frame = json.loads(GaDialect().encode(UpdateSession(SessionConfig())))
    peer.take_update(frame["session"])
    assert peer.session["tools"] == []
