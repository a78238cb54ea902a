"""LiveKit Agents: an `AgentSession` on `livekit-plugins-openai`, without a room."""

import asyncio
import json
import time

from livekit import rtc
from livekit.agents import Agent, AgentSession, function_tool
from livekit.agents.voice.io import AudioInput, AudioOutput, AudioOutputCapabilities
from livekit.plugins.openai.realtime import RealtimeModel
from openai.types.realtime import AudioTranscription
from openai.types.realtime.realtime_audio_input_turn_detection import ServerVad
from phone import INSTRUCTIONS, PIECE_BYTES, TOOL, Phone, phone_of_arguments

RATE_HZ = 24_000


class Microphone(AudioInput):
    """Gives the session what the phone says."""

    def __init__(self, phone: Phone) -> None:
        super().__init__(label="phone")
        self._pieces = phone.microphone()

    async def __anext__(self) -> rtc.AudioFrame:
        return rtc.AudioFrame(await anext(self._pieces), RATE_HZ, 1, PIECE_BYTES // 2)


class Loudspeaker(AudioOutput):
    """Plays to the phone at the pace of speech, and can be silenced."""

    def __init__(self, phone: Phone) -> None:
        super().__init__(
            label="phone",
            capabilities=AudioOutputCapabilities(pause=False),
            sample_rate=RATE_HZ,
        )
        self._phone = phone
        self._begun_s = 0.0
        self._laid_s = 0.0
        self._end = None

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        """Play a frame after those before it."""
        await super().capture_frame(frame)
        if not self._laid_s:
            self._begun_s = time.monotonic()
            self.on_playback_started(created_at=time.time())
        self._laid_s += frame.duration
        self._phone.hear(bytes(frame.data))

    def flush(self) -> None:
        """Take that the answer is complete."""
        super().flush()
        if self._laid_s:
            left_s = self._begun_s + self._laid_s - time.monotonic()
            loop = asyncio.get_running_loop()
            self._end = loop.call_later(max(0.0, left_s), self._finish, False)

    def clear_buffer(self) -> None:
        """Stop playing."""
        if self._end is not None:
            self._end.cancel()
        if self._laid_s:
            self._finish(True)

    def _finish(self, interrupted: bool) -> None:
        played_s = min(self._laid_s, time.monotonic() - self._begun_s)
        self._laid_s, self._end = 0.0, None
        self.on_playback_finished(playback_position=played_s, interrupted=interrupted)


async def main() -> None:
    """Hold the conversation."""
    phone = phone_of_arguments()

    @function_tool(name=TOOL)
    async def lookup(which: str) -> str:
        """Look up what the caller owes."""
        return json.dumps(phone.tool_called({"which": which}))

    model = RealtimeModel(
        model="gpt-realtime-2.1",
        voice="marin",
        base_url=phone.url.removesuffix("/realtime").replace("ws", "http", 1),
        api_key=phone.key,
        input_audio_transcription=AudioTranscription(model="gpt-4o-transcribe"),
        turn_detection=ServerVad(type="server_vad"),
    )
    session = AgentSession(llm=model, vad=None, turn_handling={"turn_detection": "realtime_llm"})
    session.input.audio = Microphone(phone)
    session.output.audio = Loudspeaker(phone)
    trouble = asyncio.get_running_loop().create_future()

    @session.on("conversation_item_added")
    def on_item(event) -> None:
        item = event.item
        if item.type == "message" and item.role == "assistant":
            phone.said(item.text_content or "")
            if item.interrupted:
                phone.cut()

    @session.on("error")
    def on_error(event) -> None:
        if not trouble.done():
            trouble.set_exception(SystemExit(f"the session reported {event.error}"))

    await session.start(Agent(instructions=INSTRUCTIONS, tools=[lookup]), record=False)
    session.generate_reply()
    talk = asyncio.create_task(phone.converse())
    await asyncio.wait([talk, trouble], return_when=asyncio.FIRST_COMPLETED)
    if trouble.done():
        talk.cancel()
        trouble.result()
    talk.result()
    await session.aclose()
    await model.aclose()
    phone.report()


asyncio.run(main())
