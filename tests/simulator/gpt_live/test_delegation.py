"""Work that the simulated GPT-Live delegates: to a Responses backend, and to the application."""

import json
from collections.abc import Callable

import pytest

from tests.simulator.client import Event, spoken
from tests.simulator.gpt_live.live_client import BACKEND, INVOICE_TOOL, LiveClient, live, says

pytestmark = [pytest.mark.speech, pytest.mark.asyncio(loop_scope="module")]

QUESTION = "How much is my invoice?"
FOUND = json.dumps({"amount": "twelve", "due": "Friday"})
RESULT = "Your invoice is twelve dollars, and it is due on Friday."
CALLED = [
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    "response.output_item.done",
    "response.completed",
]
WRITTEN = [
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.completed",
]


def nested(kind: str) -> Callable[[Event], bool]:
    return lambda event: event["type"] == "response.event" and event["event"]["type"] == kind


def runs(events: list[Event]) -> list[str]:
    """Return the types, runs of one as one."""
    kinds: list[str] = []
    for event in events:
        if kinds[-1:] != [event["type"]]:
            kinds.append(event["type"])
    return kinds


async def ask(client: LiveClient, delegation: object = BACKEND) -> Event:
    """Ask about the invoice, and return the delegation."""
    await client.begin(delegation=delegation)
    await client.send_audio(spoken(QUESTION))
    return await client.until_silently("session.delegation.created")


async def called(client: LiveClient) -> str:
    """Read the backend's call to its end and return its ``call_id``."""
    await client.until_silently(nested("response.completed"))
    (done,) = [
        each["item"] for each in client.nested() if each["type"] == "response.output_item.done"
    ]
    assert done["status"] == "completed"
    assert done["name"] == "lookup_invoice"
    assert json.loads(done["arguments"]) == {"which": "latest"}
    return str(done["call_id"])


async def give(client: LiveClient, call_id: str, output: object = FOUND) -> None:
    item = {"type": "function_call_output", "call_id": call_id, "output": output}
    await client.send("response.item.create", item=item, event_id="output")


async def test_backend_calls_a_function_and_goes_on_with_its_output(url: str) -> None:
    async with live(url) as client:
        created = await ask(client)
        delegation = created["delegation"]
        assert (delegation["type"], delegation["target"]) == ("delegation", "responses")
        assert created["offset_ms"] % 200 == 0
        call_id = await called(client)
        assert runs(client.nested()) == CALLED
        assert {each["delegation_id"] for each in client.of_type("response.event")} == {
            delegation["id"]
        }
        first = client.nested()[0]["response"]
        assert first["id"] == delegation["response_id"]
        assert first["output"] == client.nested()[-1]["response"]["output"] == []
        await give(client, call_id)
        await client.send("response.create")
        await client.until_silently(says("Friday."))
        assert runs(client.nested()[client.nested().index(first_of(client, 1)) :]) == WRITTEN
        assert first_of(client, 1)["response"]["id"] != first["id"]
        assert client.said() == f"One moment, I will look that up.{RESULT}"


def first_of(client: LiveClient, response: int) -> Event:
    """Return the beginning of the backend's response of this number."""
    return [each for each in client.nested() if each["type"] == "response.created"][response]


async def test_sequence_numbers_count_within_each_response(url: str) -> None:
    async with live(url) as client:
        await ask(client)
        await give(client, await called(client))
        await client.send("response.create")
        await client.until_silently(says("Friday."))
        numbers = [each["sequence_number"] for each in client.nested()]
        second = numbers.index(0, 1)
        assert numbers == [*range(second), *range(len(numbers) - second)]


async def test_nothing_goes_on_by_itself_after_an_output(url: str) -> None:
    async with live(url) as client:
        await ask(client)
        await give(client, await called(client))
        await client.be_silent(3000)
        await client.send("session.close")
        await client.until("session.closed")
        assert RESULT not in client.said()
        assert len([each for each in client.nested() if each["type"] == "response.created"]) == 1


async def test_response_without_the_output_of_its_call_is_refused(url: str) -> None:
    async with live(url) as client:
        await ask(client)
        call_id = await called(client)
        await client.send("response.create", event_id="too soon")
        error = await client.error()
        assert error["client_event_id"] == "too soon"
        assert call_id in error["message"]
        await give(client, call_id)
        await client.send("response.create")
        await client.until_silently(says("Friday."))


async def test_output_of_no_call_is_refused(url: str) -> None:
    async with live(url) as client:
        await client.begin(delegation=BACKEND)
        await give(client, "call_of_nobody")
        error = await client.error()
        assert (error["code"], error["param"]) == ("invalid_value", "item.call_id")
        assert error["client_event_id"] == "output"


async def test_two_calls_are_answered_in_any_order(url: str) -> None:
    async with live(url) as client:
        await ask(client)
        first = await called(client)
        await client.send_audio(spoken("I have a question about my invoice."))
        await client.until_silently("session.delegation.created")
        await client.until_silently(nested("response.completed"))
        second = client.nested()[-2]["item"]["call_id"]
        assert second != first
        await give(client, second, json.dumps({"amount": "two", "due": "Sunday"}))
        await client.send("response.create")
        await client.until_silently(says("Sunday."))
        await give(client, first)
        await client.send("response.create")
        await client.until_silently(says("Friday."))


async def test_delegated_work_survives_an_interruption(url: str) -> None:
    async with live(url) as client:
        await ask(client)
        call_id = await called(client)
        await client.send_audio(spoken("Wait a moment, please."))
        await client.until_silently(says("ahead."))
        await give(client, call_id)
        await client.send("response.create")
        await client.until_silently(says("Friday."))


async def test_output_may_come_as_parts(url: str) -> None:
    async with live(url) as client:
        await ask(client)
        parts = [
            {"type": "input_text", "text": FOUND[:9]},
            {"type": "input_text", "text": FOUND[9:]},
        ]
        await give(client, await called(client), parts)
        await client.send("response.create")
        await client.until_silently(says("Friday."))


async def test_typed_message_is_answered_aloud(url: str) -> None:
    async with live(url) as client:
        await client.begin(delegation=BACKEND)
        await client.send(
            "response.item.create",
            item={"type": "message", "role": "user", "content": "Where is my order?"},
        )
        await client.send("response.create")
        await client.until_silently(says("Thursday."))
        assert {each["delegation_id"] for each in client.of_type("response.event")} == {None}


async def test_tool_that_the_backend_lacks_is_not_called(url: str) -> None:
    without = {"type": "responses", "responses": {"model": "gpt-6-sol"}}
    async with live(url) as client:
        started = await client.begin(delegation=without)
        assert started["session"]["delegation"]["responses"]["tools"] == []
        await client.send_audio(spoken(QUESTION))
        await client.until_silently(says("paid."))
        assert not client.of_type("session.delegation.created")


async def test_update_gives_the_backend_tools_and_keeps_the_rest(url: str) -> None:
    backend = {"model": "gpt-6-sol", "reasoning": {"effort": "low", "summary": "auto"}}
    async with live(url) as client:
        await client.begin(delegation={"type": "responses", "responses": backend})
        changes = {"tools": [INVOICE_TOOL], "reasoning": {"effort": "high"}}
        await client.send(
            "session.update",
            session={"delegation": {"type": "responses", "responses": changes}},
            event_id="tools",
        )
        updated = await client.until("session.updated")
        assert updated["client_event_id"] == "tools"
        settings = updated["session"]["delegation"]["responses"]
        assert settings["model"] == "gpt-6-sol"
        assert settings["reasoning"] == {"effort": "high", "summary": "auto"}
        await client.send_audio(spoken(QUESTION))
        await client.until_silently("session.delegation.created")


@pytest.mark.parametrize("delegation", [None, {"type": "client"}])
async def test_application_gets_no_more_than_an_id(url: str, delegation: object) -> None:
    async with live(url) as client:
        created = await ask(client, delegation)
        assert set(created["delegation"]) == {"id", "type", "target"}
        assert created["delegation"]["target"] == "client"
        await client.send(
            "session.thinking.append",
            content="Looking it up.",
            delegation_id=created["delegation"]["id"],
        )
        await client.send(
            "session.commentary.append",
            content="The invoice is twelve dollars.",
            delegation_id=created["delegation"]["id"],
        )
        await client.until_silently(says("dollars."))
        assert client.said().endswith("The invoice is twelve dollars.")
        assert not client.of_type("response.event")


async def test_application_may_answer_with_the_tools_own_json(url: str) -> None:
    async with live(url) as client:
        created = await ask(client, {"type": "client"})
        await client.send(
            "session.commentary.append",
            content=FOUND,
            delegation_id=created["delegation"]["id"],
        )
        await client.until_silently(says("Friday."))
        assert client.said().endswith(RESULT)


@pytest.mark.parametrize("delegation", [BACKEND, {"type": "client"}])
async def test_context_of_a_delegation_that_is_not_the_applications_is_refused(
    url: str, delegation: object
) -> None:
    async with live(url) as client:
        await client.begin(delegation=delegation)
        await client.send("session.thinking.append", content="Hm.", delegation_id="item_nobody")
        error = await client.error()
        assert (error["code"], error["param"]) == ("invalid_value", "delegation_id")


async def test_context_of_the_backends_own_work_is_refused(url: str) -> None:
    async with live(url) as client:
        created = await ask(client)
        await client.send(
            "session.thinking.append", content="Hm.", delegation_id=created["delegation"]["id"]
        )
        error = await client.error()
        assert (error["code"], error["param"]) == ("invalid_value", "delegation_id")


@pytest.mark.parametrize("kind", ["response.create", "response.item.create"])
async def test_backends_commands_need_a_backend(url: str, kind: str) -> None:
    async with live(url) as client:
        await client.begin()
        item = {"item": {"type": "message", "role": "user", "content": "Hello."}}
        await client.send(kind, **(item if kind == "response.item.create" else {}))
        assert (await client.error())["message"] == f"{kind} requires Responses delegation."
