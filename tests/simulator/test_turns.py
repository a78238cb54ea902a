"""Turns as a caller has them: real speech in, real speech out."""

import base64

import pytest

from bridge.audio.g711 import Law, decode, encode
from bridge.audio.resample import downsample_whole
from bridge.simulator.scenario import default_scenario
from bridge.speech.recognition import Recognizer
from bridge.speech.words import sentences_of
from tests.simulator.client import audio_of, connected, deltas, spoken
from tests.speech.line import silence

pytestmark = [pytest.mark.speech, pytest.mark.asyncio(loop_scope="module")]

TRANSCRIBED = {"audio": {"input": {"transcription": {"model": "gpt-4o-transcribe"}}}}
TURN = [
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    "conversation.item.added",
    "conversation.item.done",
    "response.created",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
]
TAIL = [
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
]
ANSWER = "Your order shipped on Monday and should arrive on Thursday."


async def test_turn_has_the_order_of_the_real_service(url: str) -> None:
    async with connected(url) as client:
        await client.update(**TRANSCRIBED)
        client.events.clear()
        await client.send_audio(spoken("Where is my order?"))
        await client.until("rate_limits.updated")
        streamed = {"response.output_audio_transcript.delta", "response.output_audio.delta"}
        order = [kind for kind in client.order() if kind not in streamed]
        assert order == [*TURN, *TAIL, "rate_limits.updated"]
        assert client.order()[len(TURN)] == "response.output_audio_transcript.delta"


async def test_turn_is_heard_and_answered(url: str) -> None:
    async with connected(url) as client:
        await client.update(**TRANSCRIBED)
        await client.send_audio(spoken("Where is my order?"))
        done = await client.until("response.done")
        (heard,) = client.of_type("conversation.item.input_audio_transcription.completed")
        assert heard["transcript"] == "Where is my order?"
        assert heard["usage"]["type"] == "duration"
        assert deltas(client.events, "response.output_audio_transcript.delta").split() == (
            ANSWER.split()
        )
        (item,) = done["response"]["output"]
        assert item["status"] == "completed"
        assert item["content"] == [{"type": "output_audio", "transcript": ANSWER}]
        ears = Recognizer(sentences_of(ANSWER))
        assert [piece.text for piece in ears.hear_all(audio_of(client.events), 24_000)] == [ANSWER]


async def test_item_ids_agree_and_previous_items_chain(url: str) -> None:
    async with connected(url) as client:
        await client.send_audio(spoken("Where is my order?"))
        await client.until("response.done")
        (started,) = client.of_type("input_audio_buffer.speech_started")
        (committed,) = client.of_type("input_audio_buffer.committed")
        user, agent = client.of_type("conversation.item.added")
        assert started["item_id"] == committed["item_id"] == user["item"]["id"]
        assert committed["previous_item_id"] is None
        assert user["previous_item_id"] is None
        assert agent["previous_item_id"] == user["item"]["id"]
        assert user["item"]["content"] == [{"type": "input_audio", "transcript": None}]
        assert agent["item"]["content"] == []
        parts = [event["part"] for event in client.of_type("response.content_part.added")]
        assert parts == [{"type": "audio", "transcript": ""}]
        assert all(event["event_id"].startswith("event_") for event in client.events)
        assert len({event["event_id"] for event in client.events}) == len(client.events)


async def test_speech_started_is_prompt_and_counts_audio_received(url: str) -> None:
    speech = spoken("Where is my order?")
    async with connected(url) as client:
        await client.update(audio={"input": {"turn_detection": {"type": "server_vad"}}})
        # 1000 ms and the 200 ms that the sentence begins with are silent.
        await client.send_audio(silence(1000))
        await client.send_audio(speech[: 24 * (200 + 100)])
        started = await client.until("input_audio_buffer.speech_started")
        assert abs(started["audio_start_ms"] - (1200 - 300)) <= 40
        await client.send_audio(speech[24 * (200 + 100) :])
        stopped = await client.until("input_audio_buffer.speech_stopped")
        spoken_ms = speech.size / 24 - 200 - 700
        assert abs(stopped["audio_end_ms"] - (1200 + spoken_ms + 500)) < 120


async def test_without_transcription_it_still_hears(url: str) -> None:
    async with connected(url) as client:
        await client.send_audio(spoken("Where is my order?"))
        done = await client.until("response.done")
        assert done["response"]["output"][0]["content"][0]["transcript"] == ANSWER
        assert not [event for event in client.events if "transcription" in event["type"]]
        (user,) = [
            event["item"]
            for event in client.of_type("conversation.item.done")
            if event["item"]["role"] == "user"
        ]
        await client.send("conversation.item.retrieve", item_id=user["id"])
        retrieved = await client.until("conversation.item.retrieved")
        assert retrieved["item"]["content"][0]["transcript"] is None


async def test_what_was_not_understood_gets_the_fallback(url: str) -> None:
    async with connected(url) as client:
        await client.update(**TRANSCRIBED)
        await client.send_audio(spoken("My cat is on the roof."))
        done = await client.until("response.done")
        (failed,) = client.of_type("conversation.item.input_audio_transcription.failed")
        assert failed["error"]["code"] == "audio_unintelligible"
        transcript = done["response"]["output"][0]["content"][0]["transcript"]
        assert transcript == default_scenario().fallback


async def test_several_turns_in_one_session(url: str) -> None:
    async with connected(url) as client:
        answers = []
        for phrase in ("Are you from Northwind?", "When are you open?"):
            await client.send_audio(spoken(phrase))
            done = await client.until("response.done")
            answers.append(done["response"]["output"][0]["content"][0]["transcript"])
        assert [answer.split()[0] for answer in answers] == ["Yes,", "We"]


async def test_g711_in_and_out(url: str) -> None:
    async with connected(url) as client:
        pcmu = {"type": "audio/pcmu"}
        updated = await client.update(audio={"input": {"format": pcmu}, "output": {"format": pcmu}})
        assert updated["session"]["audio"]["input"]["format"] == pcmu
        from_phone = encode(Law.PCMU, downsample_whole(spoken("Where is my order?")))
        for start in range(0, len(from_phone), 160):
            piece = base64.b64encode(from_phone[start : start + 160]).decode()
            await client.send("input_audio_buffer.append", audio=piece)
        await client.until("response.done")
        sent = b"".join(
            base64.b64decode(event["delta"])
            for event in client.of_type("response.output_audio.delta")
        )
        (heard,) = Recognizer([ANSWER]).hear_all(decode(Law.PCMU, sent), 8_000)
        assert heard.text == ANSWER


async def test_manual_turns_wait_for_commit_and_response_create(url: str) -> None:
    async with connected(url) as client:
        await client.update(audio={"input": {"turn_detection": None}})
        client.events.clear()
        await client.send_audio(spoken("Where is my order?"))
        await client.send("input_audio_buffer.commit")
        await client.send("conversation.item.retrieve", item_id="nothing")
        await client.until("error")
        assert client.order() == [
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.done",
            "error",
        ]
        await client.send("response.create")
        done = await client.until("response.done")
        assert done["response"]["output"][0]["content"][0]["transcript"] == ANSWER


async def test_create_response_false_never_answers_unasked(url: str) -> None:
    async with connected(url) as client:
        detection = {"type": "server_vad", "create_response": False}
        await client.update(audio={"input": {"turn_detection": detection}})
        await client.send_audio(spoken("Where is my order?"))
        await client.until("conversation.item.done")
        await client.send("response.cancel")
        assert (await client.error())["code"] == "response_cancel_not_active"
        assert not client.of_type("response.created")


async def test_silence_duration_decides_where_a_turn_ends(url: str) -> None:
    async with connected(url) as client:
        detection = {"type": "server_vad", "silence_duration_ms": 1500}
        await client.update(audio={"input": {"turn_detection": detection}})
        await client.send_audio(spoken("Where is my order?", silence_ms=1000))
        await client.send("input_audio_buffer.clear")
        await client.until("input_audio_buffer.cleared")
        assert client.of_type("input_audio_buffer.speech_started")
        assert not client.of_type("input_audio_buffer.speech_stopped")


async def test_usage_counts_audio_and_text(url: str) -> None:
    speech = spoken("Where is my order?")
    async with connected(url) as client:
        await client.update(instructions="You are the support line of Northwind. " * 20)
        await client.send_audio(speech)
        first = (await client.until("response.done"))["response"]["usage"]
        said_ms = audio_of(client.events).size / 24
        assert abs(first["output_token_details"]["audio_tokens"] - said_ms / 50) <= 1
        heard_ms = speech.size / 24
        assert heard_ms / 100 - 5 < first["input_token_details"]["audio_tokens"] < heard_ms / 100
        assert first["input_token_details"]["text_tokens"] >= 190
        assert first["input_token_details"]["cached_tokens"] == 0
        assert first["total_tokens"] == first["input_tokens"] + first["output_tokens"]
        await client.send_audio(speech)
        second = (await client.until("response.done"))["response"]["usage"]
        assert second["input_tokens"] > first["input_tokens"]
        assert second["input_token_details"]["cached_tokens_details"]["text_tokens"] % 64 == 0
        assert second["input_token_details"]["cached_tokens"] > 0
