"""What the official client talks about with the simulator, and the order of what it gets.

Each :class:`Scene` is a conversation in one or both dialects, with every event of it in order
(`PROTOCOL.md` section 7).
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from tests.realtime.official import DialectName
from tests.simulator.client import spoken
from tests.simulator.official_talk import Talk
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
)
from tests.speech.line import silence

Event = dict[str, Any]
Orders = Callable[[DialectName], list[str]]
LOOKUP = {"type": "function", "name": "lookup_invoice", "parameters": {"type": "object"}}
TRACKING = {"type": "mcp", "server_label": "orders", "server_url": "https://mcp.example/sse"}
ASK = "Where is my order?"
LONG = "What is your return policy?"
TEXT: dict[DialectName, Any] = {
    "beta": {"modalities": ["text"]},
    "ga": {"output_modalities": ["text"]},
}
BY_HAND: dict[DialectName, Any] = {
    "beta": {"turn_detection": None},
    "ga": {"audio": {"input": {"turn_detection": None}}},
}
TRANSCRIBED: dict[DialectName, Any] = {
    "beta": {"input_audio_transcription": {"model": "whisper-1"}},
    "ga": {"audio": {"input": {"transcription": {"model": "gpt-4o-transcribe"}}}},
}
UPDATED = ["session.created", "session.updated"]
TRUNCATED, CLEARED = "conversation.item.truncated", "input_audio_buffer.cleared"
TRANSCRIPTION = "conversation.item.input_audio_transcription"


async def until_end(talk: Talk) -> None:
    await talk.until(END[talk.dialect][-1])


async def until_audio(talk: Talk, deltas: int) -> str:
    """Read so many audio deltas; return the item's id."""
    kind = AUDIO_DELTAS[0 if talk.dialect == "beta" else 1]
    for _ in range(deltas):
        item_id: str = (await talk.until(kind)).item_id
    return item_id


def a_turn(dialect: DialectName) -> list[str]:
    """Return a spoken turn of the caller and its spoken answer."""
    return [*HEARD, *USER_ITEM[dialect], *answer(dialect, SPOKEN)]


def answer(dialect: DialectName, *items: dict[DialectName, list[str]] | list[str]) -> list[str]:
    """Return a response with these output items."""
    order = [*BEGIN[dialect]]
    for item in items:
        inside = item[dialect] if isinstance(item, dict) else item
        order += [*ENTER[dialect], *inside, *LEAVE[dialect]]
    return [*order, *END[dialect]]


def cut_answer(dialect: DialectName) -> list[str]:
    """Return what ends a spoken answer that is cut."""
    return [*SPOKEN[dialect][2:], *LEAVE[dialect], *END[dialect]]


async def spoken_turn(talk: Talk) -> None:
    await talk.say(ASK)
    await until_end(talk)


async def typed_turn(talk: Talk) -> None:
    await talk.update(**TEXT[talk.dialect])
    await talk.type("When are you open?")
    await talk.connection.response.create()
    await until_end(talk)


async def tool_call(talk: Talk) -> None:
    await talk.update(tools=[LOOKUP])
    await talk.type("How much is my invoice?")
    await talk.connection.response.create()
    await until_end(talk)
    (done,) = talk.of_type("response.done")
    output = json.dumps({"amount": 7, "due": "Friday"})
    call_id = done["response"]["output"][-1]["call_id"]
    item = {"type": "function_call_output", "call_id": call_id, "output": output}
    await talk.connection.conversation.item.create(item=item)
    await talk.connection.response.create()
    await until_end(talk)


async def barge_in(talk: Talk) -> None:
    """The caller speaks over an answer that is still being generated."""
    await talk.say(LONG)
    item_id = await until_audio(talk, 5)
    talk.events.clear()
    await talk.hear(spoken("Stop, I have another question.")[:24_000])
    done = (await talk.until("response.done")).response
    assert (done.status, done.status_details.reason) == ("cancelled", "turn_detected")
    assert done.output[0].status == "incomplete"
    await talk.connection.conversation.item.truncate(
        item_id=item_id, content_index=0, audio_end_ms=100
    )
    await talk.until(TRUNCATED)


async def late_barge_in(talk: Talk) -> None:
    """The caller speaks over an answer that was generated long ago: nothing is cancelled."""
    await talk.say(ASK)
    await until_end(talk)
    (done,) = talk.of_type("response.done")
    talk.events.clear()
    await talk.hear(spoken(ASK)[:24_000])
    await talk.until("input_audio_buffer.speech_started")
    await talk.connection.conversation.item.truncate(
        item_id=done["response"]["output"][0]["id"], content_index=0, audio_end_ms=100
    )
    await talk.until(TRUNCATED)


async def manual_stop(talk: Talk) -> None:
    await talk.say(LONG)
    await until_audio(talk, 5)
    talk.events.clear()
    await talk.connection.response.cancel()
    done = (await talk.until("response.done")).response
    assert (done.status, done.status_details.reason) == ("cancelled", "client_cancelled")
    await talk.connection.response.cancel()
    assert (await talk.until("error")).error.code == "response_cancel_not_active"


async def manual_turn(talk: Talk) -> None:
    await talk.update(**BY_HAND[talk.dialect])
    await talk.say(ASK)
    await talk.connection.input_audio_buffer.commit()
    await talk.say(ASK)
    await talk.connection.input_audio_buffer.clear()
    await talk.quiet()  # nobody answers unasked
    await talk.connection.response.create()
    await until_end(talk)


async def items(talk: Talk) -> None:
    await talk.type("Where is my order?")
    item_id = (await talk.until(USER_ITEM[talk.dialect][-1])).item.id
    await talk.connection.conversation.item.retrieve(item_id=item_id)
    await talk.until("conversation.item.retrieved")
    await talk.connection.conversation.item.delete(item_id=item_id)
    await talk.until("conversation.item.deleted")


async def out_of_band(talk: Talk) -> None:
    """A response outside the conversation has no conversation items."""
    said = 'Say exactly: "Out of band."'
    await talk.connection.response.create(
        response={"conversation": "none", "metadata": {"purpose": "test"}, "instructions": said}
    )
    await until_end(talk)
    (done,) = talk.of_type("response.done")
    assert done["response"]["metadata"] == {"purpose": "test"}
    assert done["response"].get("conversation_id") is None


async def refusals(talk: Talk) -> None:
    """What the server objects to is an event each, and the session goes on."""
    connection = talk.connection
    item = {"type": "message", "role": "system", "id": "item_mine", "content": []}
    message: dict[str, Any] = {"type": "message", "role": "user"}
    part = {"type": "output_text", "text": "x"}
    told: dict[str, dict[str, Any]] = {
        "unknown_parameter": {"type": "response.create", "response": {"nonsense": 1}},
        "missing_required_parameter": {"type": "conversation.item.create"},
        "invalid_value": {
            "type": "conversation.item.create",
            "item": {**message, "content": [part]},
        },
        "invalid_event": {},
        "input_audio_buffer_commit_empty": {"type": "input_audio_buffer.commit"},
        "response_cancel_not_active": {"type": "response.cancel"},
        "item_retrieve_invalid_item_id": {"type": "conversation.item.retrieve", "item_id": "x"},
        "item_delete_invalid_item_id": {"type": "conversation.item.delete", "item_id": "x"},
        "item_truncate_invalid_item_id": {
            "type": "conversation.item.truncate",
            "item_id": "x",
            "content_index": 0,
            "audio_end_ms": 1,
        },
        "item_create_duplicate_item_id": {"type": "conversation.item.create", "item": item},
    }
    await connection.conversation.item.create(item=item)
    for code, event in told.items():
        await talk.send(**event, event_id=code)
        error = (await talk.until("error")).error
        assert (error.type, error.code) == ("invalid_request_error", code)
        assert error.event_id == code
    await talk.update(instructions="Still here.")


async def busy(talk: Talk) -> None:
    await talk.connection.response.create()
    await until_audio(talk, 1)
    talk.events.clear()
    await talk.send(type="response.create", event_id="mine")
    error = (await talk.until("error")).error
    assert error.code == "conversation_already_has_active_response"
    assert error.event_id == "mine"


async def failed_answer(talk: Talk) -> None:
    """An answer that fails says so in `response.done`, not in an `error`."""
    await talk.connection.response.create()
    done = (await talk.until("response.done")).response
    assert done.status == "failed"
    assert done.status_details.error.code == "rate_limit_exceeded"
    if talk.dialect == "ga":
        await talk.until("rate_limits.updated")


async def transcription(talk: Talk) -> None:
    await talk.update(**TRANSCRIBED[talk.dialect])
    await talk.say(ASK)
    await until_end(talk)
    committed = talk.of_type("input_audio_buffer.committed")[0]["item_id"]
    kinds = [event["type"] for event in talk.events]
    deltas = talk.of_type(f"{TRANSCRIPTION}.delta")
    (completed,) = talk.of_type(f"{TRANSCRIPTION}.completed")
    assert "".join(delta["delta"] for delta in deltas) == completed["transcript"] == ASK
    assert {delta["item_id"] for delta in [*deltas, completed]} == {committed}
    assert kinds.index(f"{TRANSCRIPTION}.delta") > kinds.index("input_audio_buffer.committed")


async def not_understood(talk: Talk) -> None:
    await talk.update(**TRANSCRIBED[talk.dialect])
    await talk.say("My cat is on the roof.")
    failed = await talk.until(f"{TRANSCRIPTION}.failed")
    assert failed.error.code == "audio_unintelligible"
    await until_end(talk)


async def transcription_session(talk: Talk) -> None:
    """A session that only transcribes has no answers."""
    if talk.dialect == "beta":
        await talk.until("transcription_session.created")
        session: dict[str, Any] = TRANSCRIBED["beta"]
        await talk.connection.transcription_session.update(session=session)
        await talk.until("transcription_session.updated")
    else:
        created = await talk.until("session.created")
        assert created.session.type == "transcription"
        session = {"type": "transcription", **TRANSCRIBED["ga"]}
        await talk.connection.session.update(session=session)
        await talk.until("session.updated")
    await talk.say(ASK)
    assert (await talk.until(f"{TRANSCRIPTION}.completed")).transcript == ASK


async def silent_caller(talk: Talk) -> None:
    vad = {"type": "server_vad", "idle_timeout_ms": 5000}
    await talk.update(audio={"input": {"turn_detection": vad}})
    await talk.connection.response.create()
    await until_end(talk)
    talk.events.clear()
    await talk.hear(silence(30_000))
    await until_end(talk)
    (told,) = talk.of_type("input_audio_buffer.timeout_triggered")
    (committed,) = talk.of_type("input_audio_buffer.committed")
    assert told["item_id"] == committed["item_id"]


async def expiry(talk: Talk) -> None:
    error = (await talk.until("error")).error
    assert error.code == "session_expired"
    with pytest.raises(ConnectionClosed) as closed:
        await talk.connection.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1001


async def tools_listed(talk: Talk) -> None:
    strange = {**TRACKING, "server_label": "strange"}
    await talk.update(tools=[TRACKING, strange])
    await talk.until("mcp_list_tools.failed")
    known, unknown = (event["item"] for event in talk.of_type("conversation.item.done"))
    assert [tool["name"] for tool in known["tools"]] == ["track", "refund"]
    assert unknown["tools"] == []
    # A server that was listed is not listed again.
    await talk.update(instructions="Be kind.")
    await talk.quiet()


async def mcp_call(talk: Talk) -> None:
    await talk.update(tools=[{**TRACKING, "require_approval": "never"}])
    await talk.type("Where is my order?")
    await talk.connection.response.create()
    await until_end(talk)
    (done,) = talk.of_type("response.done")
    call, message = done["response"]["output"]
    assert (call["type"], call["server_label"], call["name"]) == ("mcp_call", "orders", "track")
    assert json.loads(call["arguments"]) == {"which": "latest"}
    pieces = talk.of_type("response.mcp_call_arguments.delta")
    assert "".join(piece["delta"] for piece in pieces) == call["arguments"]
    assert (json.loads(call["output"]), call["error"]) == ({"day": "Friday"}, None)
    assert message["content"][0]["transcript"] == "It arrives on Friday."


async def mcp_call_fails(talk: Talk) -> None:
    await talk.update(tools=[{**TRACKING, "require_approval": "never"}])
    await talk.type("Give me my money back.")
    await talk.connection.response.create()
    await until_end(talk)
    call, message = talk.of_type("response.done")[0]["response"]["output"]
    assert (call["output"], call["error"]["type"]) == (None, "http_error")
    assert message["content"][0]["transcript"] == "That did not work."


async def mcp_call_approved(talk: Talk) -> None:
    await ask_for_approval(talk, approve=True)
    (done,) = talk.of_type("response.done")
    (request,) = requests(talk)
    call, _ = done["response"]["output"]
    assert call["approval_request_id"] == request["id"]
    assert json.loads(call["output"]) == {"day": "Friday"}


async def mcp_call_denied(talk: Talk) -> None:
    await ask_for_approval(talk, approve=False)
    call, message = talk.of_type("response.done")[0]["response"]["output"]
    assert (call["output"], call["error"]["type"]) == (None, "tool_execution_error")
    assert message["content"][0]["transcript"] == "I cannot look that up."


async def mcp_call_cancelled(talk: Talk) -> None:
    """The client cancels in place of an answer; what it approves too late calls nothing."""
    await talk.update(tools=[TRACKING])
    await talk.type("Where is my order?")
    await talk.connection.response.create()
    await until_requested(talk)
    talk.events.clear()
    await talk.connection.response.cancel()
    done = (await talk.until("response.done")).response
    assert (done.status, done.output[0].type) == ("cancelled", "mcp_call")
    await talk.until("rate_limits.updated")


async def ask_for_approval(talk: Talk, *, approve: bool) -> None:
    await talk.update(tools=[TRACKING])
    await talk.type("Where is my order?")
    await talk.connection.response.create()
    request = await until_requested(talk)
    await talk.connection.conversation.item.create(
        item={
            "type": "mcp_approval_response",
            "id": "mcpa_mine",
            "approval_request_id": request,
            "approve": approve,
        }
    )
    await until_end(talk)


async def until_requested(talk: Talk) -> str:
    while not requests(talk):
        await talk.until("conversation.item.done")
    request_id: str = requests(talk)[0]["id"]
    return request_id


def requests(talk: Talk) -> list[Event]:
    done = (event["item"] for event in talk.of_type("conversation.item.done"))
    return [item for item in done if item["type"] == "mcp_approval_request"]


LISTED = ["mcp_list_tools.in_progress", *USER_ITEM["ga"], "mcp_list_tools.completed"]
ARGUED = ["response.mcp_call_arguments.delta", "response.mcp_call_arguments.done"]
RUN = ["response.mcp_call.in_progress", "response.mcp_call.completed"]
FAILED = ["response.mcp_call.in_progress", "response.mcp_call.failed"]
ANSWERED = [*USER_ITEM["ga"], *USER_ITEM["ga"]]  # the request, and the client's answer


def mcp_turn(*inside: str) -> list[str]:
    """Return a typed question that is answered after an MCP call."""
    asked = [*UPDATED, *LISTED, *USER_ITEM["ga"]]
    return [*asked, *answer("ga", list(inside), SPOKEN)]


@dataclass(frozen=True)
class Scene:
    """A conversation, and its order.

    Attributes:
        server: at which server it is held.
        query: of the connection.
    """

    play: Callable[[Talk], Awaitable[None]]
    order: Orders
    dialects: tuple[DialectName, ...] = DIALECTS
    server: str = "fast"
    query: tuple[tuple[str, str], ...] = ()


GA: tuple[DialectName, ...] = ("ga",)
SCENES = (
    Scene(spoken_turn, lambda d: ["session.created", *a_turn(d)]),
    Scene(typed_turn, lambda d: [*UPDATED, *USER_ITEM[d], *answer(d, WRITTEN)]),
    Scene(
        tool_call,
        lambda d: [
            *(*UPDATED, *USER_ITEM[d], *answer(d, SPOKEN, CALLED)),
            *(*USER_ITEM[d], *answer(d, SPOKEN)),
        ],
    ),
    Scene(
        barge_in,
        lambda d: ["input_audio_buffer.speech_started", *cut_answer(d), TRUNCATED],
        server="slow",
    ),
    Scene(late_barge_in, lambda d: ["input_audio_buffer.speech_started", TRUNCATED]),
    Scene(manual_stop, lambda d: [*cut_answer(d), "error"], server="slow"),
    Scene(
        manual_turn,
        lambda d: [
            *(*UPDATED, "input_audio_buffer.committed", *USER_ITEM[d], CLEARED),
            *answer(d, SPOKEN),
        ],
    ),
    Scene(
        items,
        lambda d: [
            *("session.created", *USER_ITEM[d]),
            *("conversation.item.retrieved", "conversation.item.deleted"),
        ],
    ),
    Scene(
        out_of_band,
        lambda d: [
            *("session.created", *BEGIN[d], "response.output_item.added"),
            *(*SPOKEN[d], "response.output_item.done", *END[d]),
        ],
    ),
    Scene(refusals, lambda d: ["session.created", *USER_ITEM[d], "error", "session.updated"]),
    Scene(busy, lambda d: ["error"], server="slow"),
    Scene(failed_answer, lambda d: ["session.created", *BEGIN[d], *END[d]], server="failing"),
    Scene(transcription, lambda d: [*UPDATED, *a_turn(d)]),
    Scene(not_understood, lambda d: [*UPDATED, *a_turn(d)]),
    Scene(
        transcription_session,
        lambda d: [
            *(["transcription_session.created", "transcription_session.updated"], UPDATED)[
                d == "ga"
            ],
            *(*HEARD, *USER_ITEM[d]),
        ],
        query=(("intent", "transcription"),),
    ),
    Scene(
        silent_caller,
        lambda d: [
            *("input_audio_buffer.timeout_triggered", "input_audio_buffer.committed"),
            *(*USER_ITEM[d], *answer(d, SPOKEN)),
        ],
        GA,
    ),
    Scene(expiry, lambda d: ["session.created", "error"], server="short"),
    Scene(
        tools_listed,
        lambda d: [*UPDATED, *LISTED, *LISTED[:-1], "mcp_list_tools.failed", "session.updated"],
        GA,
    ),
    Scene(mcp_call, lambda d: mcp_turn(*ARGUED, *RUN), GA),
    Scene(mcp_call_fails, lambda d: mcp_turn(*ARGUED, *FAILED), GA),
    Scene(mcp_call_approved, lambda d: mcp_turn(*ARGUED, *ANSWERED, *RUN), GA),
    Scene(mcp_call_denied, lambda d: mcp_turn(*ARGUED, *ANSWERED, FAILED[-1]), GA),
    Scene(mcp_call_cancelled, lambda d: [*LEAVE[d], *END[d]], GA),
)
