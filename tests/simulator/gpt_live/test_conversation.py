"""A caller talks to the simulated GPT-Live: heard, answered, talked over, on one timeline."""

import numpy as np
import pytest

from tests.simulator.client import spoken
from tests.simulator.gpt_live.live_client import AUDIO, live, says

pytestmark = pytest.mark.asyncio(loop_scope="module")

TICK_BYTES = 4800


async def test_question_is_heard_and_answered(url: str) -> None:
    async with live(url) as client:
        started = await client.begin(instructions="Be brief.")
        assert started["session"]["audio"]["format"] == {"type": "audio/pcm", "rate": 24000}
        await client.send_audio(spoken("Where is my order?"))
        await client.until_silently(says("Thursday"))
        assert client.transcript("input") == "Where is my order?"
        assert client.said() == "Your order shipped on Monday and should arrive on Thursday."
        assert {len(each["delta"]) for each in client.of_type(AUDIO)} == {TICK_BYTES * 4 // 3}
        assert np.abs(np.frombuffer(client.audio(), "<i2")).max() > 3000
