"""What ``response.create`` brings: greeting, dictated sentences, text, tools."""

import json

import pytest

from bridge.simulator.scenario import default_scenario
from tests.simulator.client import Client, Event, connected, deltas, spoken

pytestmark = [pytest.mark.speech, pytest.mark.asyncio(loop_scope="module")]

LOOKUP = {
    "type": "function",
    "name": "lookup_invoice",
    "description": "Finds the caller's invoice.",
    "parameters": {"type": "object", "properties": {"which": {"type": "string"}}},
}
END_CALL = {"type": "function", "name": "end_call", "parameters": {"type": "object"}}


def transcript(done: Event) -> str:
    return str(done["response"]["output"][0]["content"][0]["transcript"])


async def respond(client: Client, **response: object) -> Event:
    await client.send("response.create", response=response)
    return await client.until("response.done")


async def say(client: Client, text: str) -> None:
    """Put a typed sentence of the caller into the conversation."""
    content = [{"type": "input_text", "text": text}]
    item = {"type": "message", "role": "user", "content": content}
    await client.send("conversation.item.create", item=item)


async def test_first_response_is_the_greeting(url: str) -> None:
    async with connected(url) as client:
        done = await respond(client)
        assert transcript(done) == default_scenario().greeting
        assert "automated assistant" in transcript(done)
        assert done["response"]["status_details"] is None
        assert done["response"]["audio"]["output"]["format"] == {"type": "audio/pcm", "rate": 24000}


async def test_dictated_sentence_is_said(url: str) -> None:
    async with connected(url) as client:
        order = 'Say exactly: "Please hold the line."'
        done = await respond(client, instructions=order, metadata={"why": "test"})
        assert transcript(done) == "Please hold the line."
        assert done["response"]["metadata"] == {"why": "test"}


async def test_typed_sentence_is_answered(url: str) -> None:
    async with connected(url) as client:
        await say(client, "when are you open")
        assert transcript(await respond(client)).startswith("We are open")


async def test_text_alone_has_no_audio_events(url: str) -> None:
    async with connected(url) as client:
        await client.update(output_modalities=["text"])
        await client.send("response.create")
        done = await client.until("response.done")
        greeting = default_scenario().greeting
        assert done["response"]["output"][0]["content"] == [
            {"type": "output_text", "text": greeting}
        ]
        assert deltas(client.events, "response.output_text.delta").strip() == greeting
        assert client.of_type("response.content_part.done")[0]["part"] == {
            "type": "text",
            "text": greeting,
        }
        assert not [event for event in client.events if "audio" in event["type"]]
        assert done["response"]["usage"]["output_token_details"]["audio_tokens"] == 0


async def test_tool_call_and_its_answer(url: str) -> None:
    async with connected(url) as client:
        await client.update(tools=[LOOKUP])
        client.events.clear()
        await client.send_audio(spoken("How much is my invoice?"))
        done = await client.until("response.done")
        said, call = done["response"]["output"]
        assert said["content"][0]["transcript"] == "One moment, I will look that up."
        assert call["type"] == "function_call"
        assert (call["name"], call["status"]) == ("lookup_invoice", "completed")
        assert json.loads(call["arguments"]) == {"which": "latest"}
        order = client.order()
        assert order[order.index("response.function_call_arguments.delta") - 2 :] == [
            "response.output_item.added",
            "conversation.item.added",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            "conversation.item.done",
            "response.output_item.done",
            "response.done",
        ]
        (finished,) = client.of_type("response.function_call_arguments.done")
        assert finished["name"] == "lookup_invoice"
        assert finished["output_index"] == 1
        assert finished["arguments"] == call["arguments"]
        assert deltas(client.events, "response.function_call_arguments.delta") == call["arguments"]

        answer = {"amount": 99, "due": "Friday"}
        output = {
            "type": "function_call_output",
            "call_id": call["call_id"],
            "output": json.dumps(answer),
        }
        await client.send("conversation.item.create", item=output)
        added = await client.until("conversation.item.done")
        assert added["item"]["call_id"] == call["call_id"]
        assert transcript(await respond(client)) == (
            "Your invoice is 99 dollars, and it is due on Friday."
        )


async def test_tool_that_the_session_lacks_is_not_called(url: str) -> None:
    async with connected(url) as client:
        await say(client, "How much is my invoice?")
        done = await respond(client)
        assert [item["type"] for item in done["response"]["output"]] == ["message"]
        assert "forty two dollars" in transcript(done)


async def test_goodbye_is_said_before_end_call_in_one_response(url: str) -> None:
    async with connected(url) as client:
        await client.update(tools=[END_CALL])
        await say(client, "Thank you, goodbye.")
        done = await respond(client)
        said, call = done["response"]["output"]
        assert "Goodbye" in said["content"][0]["transcript"]
        assert call["name"] == "end_call"
        output = {"type": "function_call_output", "call_id": call["call_id"], "output": "{}"}
        await client.send("conversation.item.create", item=output)
        assert (await respond(client))["response"]["output"] == []


async def test_tool_choice_none_is_obeyed(url: str) -> None:
    async with connected(url) as client:
        await client.update(tools=[END_CALL])
        await say(client, "Thank you, goodbye.")
        done = await respond(client, tool_choice="none")
        assert [item["type"] for item in done["response"]["output"]] == ["message"]


async def test_output_of_an_unknown_call_is_refused(url: str) -> None:
    async with connected(url) as client:
        output = {"type": "function_call_output", "call_id": "call_x", "output": "{}"}
        await client.send("conversation.item.create", item=output)
        error = await client.error()
        assert (error["code"], error["param"]) == ("invalid_value", "item.call_id")


async def test_second_response_while_one_runs_is_refused(slow_url: str) -> None:
    async with connected(slow_url) as client:
        await client.send("response.create")
        await client.until("response.output_audio.delta")
        await client.send("response.create")
        assert (await client.error())["code"] == "conversation_already_has_active_response"


async def test_out_of_band_response_runs_beside_and_leaves_no_items(slow_url: str) -> None:
    async with connected(slow_url) as client:
        await client.send("response.create")
        await client.until("response.output_audio.delta")
        client.events.clear()
        aside = {
            "conversation": "none",
            "output_modalities": ["text"],
            "input": [],
            "instructions": 'Say exactly: "Aside."',
        }
        done = await respond(client, **aside)
        assert done["response"]["output"][0]["content"][0]["text"] == "Aside."
        assert not client.of_type("conversation.item.added")


async def test_input_items_are_the_whole_context(url: str) -> None:
    async with connected(url) as client:
        await say(client, "When are you open?")
        content = [{"type": "input_text", "text": "Where is my order?"}]
        items = [{"type": "message", "role": "user", "content": content}]
        assert transcript(await respond(client, input=items)).startswith("Your order")


@pytest.mark.parametrize(
    "audio_format", [{"type": "audio/pcmu"}, {"type": "audio/pcm", "rate": 24000}]
)
async def test_response_says_what_it_was_asked_to_be(
    url: str, audio_format: dict[str, object]
) -> None:
    async with connected(url) as client:
        aside = {
            "conversation": "none",
            "output_modalities": ["audio"],
            "audio": {"output": {"format": audio_format, "voice": "cedar"}},
            "max_output_tokens": 100,
            "input": [],
        }
        done = await respond(client, **aside)
        (created,) = client.of_type("response.created")
        for response in (created["response"], done["response"]):
            assert response["audio"] == aside["audio"]
            assert response["max_output_tokens"] == 100
            assert response["conversation_id"] is None
        again = (await respond(client, output_modalities=["text"]))["response"]
        assert again["output_modalities"] == ["text"]
        assert again["max_output_tokens"] == "inf"
        assert again["conversation_id"].startswith("conv_")
