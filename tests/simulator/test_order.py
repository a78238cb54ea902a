"""The order of events, pinned exactly, in both dialects (`PROTOCOL.md` section 7)."""

import json

import pytest

from tests.realtime.official import DialectName
from tests.simulator.client import Client, connected, spoken
from tests.simulator.order import (
    AUDIO_DELTAS,
    BEGIN,
    CALLED,
    DIALECTS,
    END,
    ENTER,
    HEARD,
    LEAVE,
    SPOKEN,
    USER_ITEM,
    WRITTEN,
    order_of,
)

pytestmark = [pytest.mark.speech, pytest.mark.asyncio(loop_scope="module")]

TEXT_ONLY = {"beta": {"modalities": ["text"]}, "ga": {"output_modalities": ["text"]}}
LOOKUP = {"type": "function", "name": "lookup_invoice", "parameters": {"type": "object"}}


def message(text: str) -> dict[str, object]:
    content = [{"type": "input_text", "text": text}]
    return {"type": "message", "role": "user", "content": content}


async def until_end(client: Client) -> None:
    await client.until(END[client.dialect][-1])


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_spoken_turn(url: str, dialect: DialectName) -> None:
    async with connected(url, dialect=dialect) as client:
        await client.send_audio(spoken("Where is my order?"))
        await until_end(client)
        assert order_of(client.events) == [
            "session.created",
            *HEARD,
            *USER_ITEM[dialect],
            *BEGIN[dialect],
            *ENTER[dialect],
            *SPOKEN[dialect],
            *LEAVE[dialect],
            *END[dialect],
        ]
        kinds = [event["type"] for event in client.events]
        (delta,) = {kind for kind in kinds if kind in AUDIO_DELTAS}
        first = kinds.index(delta)
        assert kinds[first - 1] == SPOKEN[dialect][1]
        assert kinds.index(SPOKEN[dialect][2]) > max(i for i, k in enumerate(kinds) if k == delta)


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_typed_turn(url: str, dialect: DialectName) -> None:
    async with connected(url, dialect=dialect) as client:
        await client.update(**TEXT_ONLY[dialect])
        await client.send("conversation.item.create", item=message("When are you open?"))
        await client.send("response.create")
        await until_end(client)
        assert order_of(client.events) == [
            "session.created",
            "session.updated",
            *USER_ITEM[dialect],
            *BEGIN[dialect],
            *ENTER[dialect],
            *WRITTEN[dialect],
            *LEAVE[dialect],
            *END[dialect],
        ]


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_tool_call(url: str, dialect: DialectName) -> None:
    async with connected(url, dialect=dialect) as client:
        await client.update(tools=[LOOKUP])
        client.events.clear()
        await client.send("conversation.item.create", item=message("How much is my invoice?"))
        await client.send("response.create")
        await until_end(client)
        (done,) = client.of_type("response.done")
        call = done["response"]["output"][-1]
        output = {
            "type": "function_call_output",
            "call_id": call["call_id"],
            "output": json.dumps({"amount": 7, "due": "Friday"}),
        }
        await client.send("conversation.item.create", item=output)
        await client.until(USER_ITEM[dialect][-1])
        assert order_of(client.events) == [
            *USER_ITEM[dialect],
            *BEGIN[dialect],
            *ENTER[dialect],
            *SPOKEN[dialect],
            *LEAVE[dialect],
            *ENTER[dialect],
            *CALLED,
            *LEAVE[dialect],
            *END[dialect],
            *USER_ITEM[dialect],
        ]
        (finished,) = client.of_type("response.function_call_arguments.done")
        assert ("name" in finished) == (dialect == "ga")


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_interruption(slow_url: str, dialect: DialectName) -> None:
    async with connected(slow_url, dialect=dialect) as client:
        await client.send_audio(spoken("What is your return policy?"))
        for _ in range(5):
            await client.until(lambda event: event["type"] in AUDIO_DELTAS)
        client.events.clear()
        await client.send_audio(spoken("Stop, I have another question."))
        done = await client.until("response.done")
        assert done["response"]["status"] == "cancelled"
        assert done["response"]["status_details"]["reason"] == "turn_detected"
        assert done["response"]["output"][0]["status"] == "incomplete"
        order = order_of(client.events)
        started = order.index("input_audio_buffer.speech_started")
        tail = [*SPOKEN[dialect][2:], *LEAVE[dialect], "response.done"]
        assert order[started + 1 :] == tail


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_manual_turn(url: str, dialect: DialectName) -> None:
    off: dict[DialectName, dict[str, object]] = {
        "beta": {"turn_detection": None},
        "ga": {"audio": {"input": {"turn_detection": None}}},
    }
    async with connected(url, dialect=dialect) as client:
        await client.update(**off[dialect])
        client.events.clear()
        await client.send_audio(spoken("Where is my order?"))
        await client.send("input_audio_buffer.commit")
        await client.send("conversation.item.retrieve", item_id="nothing")
        await client.error()
        assert order_of(client.events) == [
            "input_audio_buffer.committed",
            *USER_ITEM[dialect],
            "error",
        ]


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_conversation_chains_and_every_event_is_named(url: str, dialect: DialectName) -> None:
    async with connected(url, dialect=dialect) as client:
        await client.send_audio(spoken("Where is my order?"))
        await until_end(client)
        (started,) = client.of_type("input_audio_buffer.speech_started")
        (committed,) = client.of_type("input_audio_buffer.committed")
        user, agent = client.of_type(USER_ITEM[dialect][0])
        assert started["item_id"] == committed["item_id"] == user["item"]["id"]
        # null, not missing.
        assert committed["previous_item_id"] is None
        assert user["previous_item_id"] is None
        assert agent["previous_item_id"] == user["item"]["id"]
        assert agent["item"]["status"] == "in_progress"
        names = [event["event_id"] for event in client.events]
        assert len(set(names)) == len(names)
