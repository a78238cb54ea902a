"""OpenAI's Agents SDK: a `RealtimeRunner` with one agent and one function tool."""

import asyncio
import json

from agents import function_tool
from agents.realtime import RealtimeAgent, RealtimeModelSendRawMessage, RealtimeRunner
from phone import INSTRUCTIONS, TOOL, Phone, phone_of_arguments


async def listen(session, phone: Phone) -> None:
    """Take the session's events."""
    async for event in session:
        match event.type:
            case "audio":
                phone.hear(event.audio.data)
            case "audio_interrupted":
                phone.cut()
            case "raw_model_event" if event.data.type == "raw_server_event":
                # The SDK gives an answer's words by the piece; whole ones come in this event.
                raw = event.data.data
                if raw["type"] == "response.output_audio_transcript.done":
                    phone.said(raw["transcript"])
            case "error":
                raise SystemExit(f"the session reported {event.error}")


async def speak(session, phone: Phone) -> None:
    """Send the microphone."""
    async for piece in phone.microphone():
        await session.send_audio(piece)


async def main() -> None:
    """Hold the conversation."""
    phone = phone_of_arguments()

    @function_tool(name_override=TOOL)
    def lookup(which: str) -> str:
        """Look up what the caller owes."""
        return json.dumps(phone.tool_called({"which": which}))

    agent = RealtimeAgent(name="support", instructions=INSTRUCTIONS, tools=[lookup])
    settings = {
        "model_name": "gpt-realtime-2.1",
        "audio": {
            "input": {
                "format": "pcm16",
                "transcription": {"model": "gpt-4o-transcribe"},
                "turn_detection": {"type": "server_vad", "interrupt_response": True},
            },
            "output": {"format": "pcm16", "voice": "marin"},
        },
    }
    runner = RealtimeRunner(agent)
    model = {
        "url": f"{phone.url}?model=gpt-realtime-2.1",
        "api_key": phone.key,
        "initial_model_settings": settings,
    }
    async with await runner.run(model_config=model) as session:
        tasks = [asyncio.create_task(each(session, phone)) for each in (listen, speak)]
        # The SDK has no method of its own to let the agent speak first.
        await session.model.send_event(RealtimeModelSendRawMessage({"type": "response.create"}))
        talk = asyncio.create_task(phone.converse())
        done, _ = await asyncio.wait([talk, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in (talk, *tasks):
            if task not in done:
                task.cancel()
        for task in done:
            task.result()
    phone.report()


asyncio.run(main())
