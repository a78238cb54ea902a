"""Barge-in, cancel, truncate: what the bridge leans on most."""

import pytest

from bridge.simulator.scenario import default_scenario
from tests.simulator.client import Client, audio_of, connected, deltas, spoken
from tests.simulator.test_turns import TAIL

pytestmark = [pytest.mark.speech, pytest.mark.asyncio(loop_scope="module")]

LONG_QUESTION = "What is your return policy?"
INTERRUPTION = "Stop, I have another question."
(LONG_ANSWER,) = [
    rule.say for rule in default_scenario().rules if LONG_QUESTION in rule.hears and rule.say
]


async def let_it_talk(client: Client, deltas_wanted: int = 5) -> str:
    """Ask for the long answer, read some of it, and return the item's id."""
    await client.send_audio(spoken(LONG_QUESTION))
    for _ in range(deltas_wanted):
        delta = await client.until("response.output_audio.delta")
    return str(delta["item_id"])


async def test_talking_over_the_agent_cuts_it_short(slow_url: str) -> None:
    async with connected(slow_url) as client:
        await let_it_talk(client)
        client.events.clear()
        await client.send_audio(spoken(INTERRUPTION))
        done = await client.until("response.done")
        order = client.order()
        tail = order.index("input_audio_buffer.speech_started")
        assert order[tail + 1 :] == TAIL
        assert done["response"]["status"] == "cancelled"
        assert done["response"]["status_details"] == {
            "type": "cancelled",
            "reason": "turn_detected",
        }
        (item,) = done["response"]["output"]
        assert item["status"] == "incomplete"
        answered = await client.until("response.done")
        assert answered["response"]["status"] == "completed"
        assert answered["response"]["output"][0]["content"][0]["transcript"] == "Sure, go ahead."


async def test_cut_response_sends_no_more_deltas(slow_url: str) -> None:
    async with connected(slow_url) as client:
        item_id = await let_it_talk(client)
        await client.send("response.cancel")
        done = await client.until("response.done")
        assert done["response"]["status_details"]["reason"] == "client_cancelled"
        client.events.clear()
        await client.send_audio(spoken("Are you from Northwind?"))
        await client.until("response.done")
        assert not [event for event in client.events if event.get("item_id") == item_id]


async def test_interrupt_response_false_lets_the_agent_finish(slow_url: str) -> None:
    detection = {"type": "server_vad", "interrupt_response": False}
    async with connected(slow_url) as client:
        await client.update(audio={"input": {"turn_detection": detection}})
        await let_it_talk(client)
        await client.send_audio(spoken(INTERRUPTION))
        # The turn is taken into the conversation; the answer to it can't be begun.
        assert (await client.error())["code"] == "conversation_already_has_active_response"
        assert not client.of_type("response.done")
        assert len(client.of_type("input_audio_buffer.committed")) == 2


async def test_cancel_in_thought_gives_an_empty_response(slow_url: str) -> None:
    async with connected(slow_url) as client:
        await client.send_audio(spoken("Where is my order?"))
        created = await client.until("response.created")
        await client.send("response.cancel", response_id=created["response"]["id"])
        done = await client.until("response.done")
        assert done["response"]["status"] == "cancelled"
        assert done["response"]["output"] == []


async def test_cancelling_does_not_stop_the_transcription(slow_url: str) -> None:
    async with connected(slow_url) as client:
        await client.update(audio={"input": {"transcription": {"model": "gpt-4o-transcribe"}}})
        await client.send_audio(spoken("Where is my order?"))
        await client.until("response.created")
        await client.send("response.cancel")
        heard = await client.until("conversation.item.input_audio_transcription.completed")
        assert heard["transcript"] == "Where is my order?"


async def test_cancel_that_comes_too_late_is_an_error_and_no_more(url: str) -> None:
    async with connected(url) as client:
        await client.send("response.create")
        await client.until("response.done")
        await client.send("response.cancel", event_id="mine")
        error = await client.error()
        assert error["code"] == "response_cancel_not_active"
        assert error["event_id"] == "mine"
        await client.send("response.create")
        assert (await client.until("response.done"))["response"]["status"] == "completed"


async def test_cancel_of_another_response_does_not_touch_the_active_one(slow_url: str) -> None:
    async with connected(slow_url) as client:
        await let_it_talk(client)
        await client.send("response.cancel", response_id="resp_other")
        assert (await client.error())["code"] == "response_cancel_not_active"
        await client.until("response.output_audio.delta")


async def test_truncate_shortens_the_servers_own_transcript(url: str) -> None:
    async with connected(url) as client:
        await client.send_audio(spoken(LONG_QUESTION))
        done = await client.until("response.done")
        item_id = done["response"]["output"][0]["id"]
        whole_ms = audio_of(client.events).size // 24
        await client.send(
            "conversation.item.truncate",
            item_id=item_id,
            content_index=0,
            audio_end_ms=whole_ms // 4,
        )
        truncated = await client.until("conversation.item.truncated")
        assert truncated["audio_end_ms"] == whole_ms // 4
        await client.send("conversation.item.retrieve", item_id=item_id)
        item = (await client.until("conversation.item.retrieved"))["item"]
        left = item["content"][0]["transcript"]
        assert LONG_ANSWER.startswith(left)
        assert 0.2 < len(left) / len(LONG_ANSWER) <= 0.25


async def test_truncate_after_an_interruption(slow_url: str) -> None:
    async with connected(slow_url) as client:
        item_id = await let_it_talk(client, 8)
        await client.send("response.cancel")
        await client.until("response.done")
        generated = deltas(client.events, "response.output_audio_transcript.delta").split()
        generated_ms = audio_of(client.events).size // 24
        await client.send(
            "conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=0
        )
        await client.until("conversation.item.truncated")
        await client.send("conversation.item.retrieve", item_id=item_id)
        item = (await client.until("conversation.item.retrieved"))["item"]
        assert item["content"][0]["transcript"] == ""
        assert item["status"] == "incomplete"
        # The response stopped where the client stopped it: no word ran ahead of its audio.
        assert len(generated) < len(LONG_ANSWER.split())
        assert generated_ms < 2000


@pytest.mark.parametrize("beyond_ms", [1, 500])
async def test_truncate_beyond_the_audio_is_refused(url: str, beyond_ms: int) -> None:
    async with connected(url) as client:
        await client.send("response.create")
        done = await client.until("response.done")
        audio_ms = -(-audio_of(client.events).size // 24)
        place = {"item_id": done["response"]["output"][0]["id"], "content_index": 0}
        await client.send("conversation.item.truncate", **place, audio_end_ms=audio_ms + beyond_ms)
        error = await client.error()
        assert error["code"] == "invalid_value"
        assert "is already shorter than" in error["message"]
        await client.send("conversation.item.truncate", **place, audio_end_ms=audio_ms)
        await client.until("conversation.item.truncated")


async def test_truncate_of_what_is_no_agent_audio_is_refused(url: str) -> None:
    async with connected(url) as client:
        await client.send(
            "conversation.item.truncate", item_id="item_x", content_index=0, audio_end_ms=0
        )
        assert (await client.error())["code"] == "item_truncate_invalid_item_id"
        content = [{"type": "input_text", "text": "hello"}]
        message = {"type": "message", "role": "user", "id": "item_y", "content": content}
        await client.send("conversation.item.create", item=message)
        await client.send(
            "conversation.item.truncate", item_id="item_y", content_index=0, audio_end_ms=0
        )
        error = await client.error()
        assert error["code"] is None
        assert "model output audio" in error["message"]
