"""The simulator as `bridge simulate` runs it, on uvloop, whose transports are no asyncio ones."""

import json

import pytest
import uvloop

from bridge.simulator.server import SimulatorServer
from tests.simulator.client import connected, spoken
from tests.simulator.conftest import paced
from tests.simulator.test_faults import SECRET, Faulty, reset

pytestmark = pytest.mark.speech


def test_connection_is_reset_or_ended_quietly() -> None:
    async def run() -> None:
        server = SimulatorServer(paced(), admin_secret=SECRET)
        faulty = Faulty(await server.start())
        await faulty.set(at="audio", kind="drop")
        async with connected(faulty.url) as client:
            await client.send_audio(spoken("Where is my order?"))
            await reset(client)
        await faulty.set(at="turn", kind="drop", abruptly=False)
        async with connected(faulty.url) as client:
            await client.send("response.create")
            assert (await client.closed())[0] == 1006
        await faulty.set(at="turn", kind="malformed")
        async with connected(faulty.url) as client:
            await client.until("session.created")
            await client.send("response.create")
            with pytest.raises(json.JSONDecodeError):
                json.loads(await client.socket.recv())
        await server.aclose()

    uvloop.run(run())
