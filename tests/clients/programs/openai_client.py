"""The official client, by hand: `openai` in the dialect that the fourth argument names."""

import asyncio
import base64
import json
import sys

from openai import AsyncOpenAI
from phone import INSTRUCTIONS, TOOL, TOOL_PARAMETERS, TOOL_SAYS, Phone, phone_of_arguments

FUNCTION = {
    "type": "function",
    "name": TOOL,
    "description": TOOL_SAYS,
    "parameters": TOOL_PARAMETERS,
}
MODELS = {"ga": "gpt-realtime-2.1", "beta": "gpt-4o-realtime-preview"}
SESSIONS = {
    "ga": {
        "type": "realtime",
        "instructions": INSTRUCTIONS,
        "tools": [FUNCTION],
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": 24000},
                "transcription": {"model": "gpt-4o-transcribe"},
                "turn_detection": {"type": "server_vad"},
            },
            "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "marin"},
        },
    },
    "beta": {
        "instructions": INSTRUCTIONS,
        "tools": [FUNCTION],
        "modalities": ["text", "audio"],
        "voice": "verse",
        "input_audio_format": "pcm16",
        "output_audio_format": "pcm16",
        "input_audio_transcription": {"model": "whisper-1"},
        "turn_detection": {"type": "server_vad"},
    },
}


async def listen(connection, phone: Phone) -> None:
    """Take every event; answer tool calls; truncate what is talked over."""
    playing = None
    async for event in connection:
        match event.type:
            case "response.output_audio.delta" | "response.audio.delta":
                playing = event.item_id
                phone.hear(base64.b64decode(event.delta))
            case "response.output_audio_transcript.done" | "response.audio_transcript.done":
                phone.said(event.transcript)
            case "input_audio_buffer.speech_started" if playing is not None:
                await connection.conversation.item.truncate(
                    item_id=playing, content_index=0, audio_end_ms=100
                )
                playing = None
            case "response.done":
                await answer_calls(connection, event.response, phone)
            case "error":
                raise SystemExit(f"the server reported {event.error}")


async def answer_calls(connection, response, phone: Phone) -> None:
    """Send the results of a response's tool calls, and ask for the next response."""
    if response.status == "cancelled" and response.status_details.reason == "turn_detected":
        phone.cut()
    calls = [item for item in response.output if item.type == "function_call"]
    for call in calls:
        result = phone.tool_called(json.loads(call.arguments))
        output = {
            "type": "function_call_output",
            "call_id": call.call_id,
            "output": json.dumps(result),
        }
        await connection.conversation.item.create(item=output)
    if calls:
        await connection.response.create()


async def speak(connection, phone: Phone) -> None:
    """Send the microphone."""
    async for piece in phone.microphone():
        await connection.input_audio_buffer.append(audio=base64.b64encode(piece).decode())


async def main() -> None:
    """Hold the conversation."""
    phone, dialect = phone_of_arguments(), sys.argv[4]
    base = phone.url.removesuffix("/realtime")
    client = AsyncOpenAI(
        api_key=phone.key, base_url=base.replace("ws", "http", 1), websocket_base_url=base
    )
    realtime = client.realtime if dialect == "ga" else client.beta.realtime
    async with client, realtime.connect(model=MODELS[dialect]) as connection:
        await connection.session.update(session=SESSIONS[dialect])
        await connection.response.create()
        tasks = [asyncio.create_task(each(connection, phone)) for each in (listen, speak)]
        talk = asyncio.create_task(phone.converse())
        done, _ = await asyncio.wait([talk, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in (talk, *tasks):
            if task not in done:
                task.cancel()
        for task in done:
            task.result()
    phone.report()


asyncio.run(main())
