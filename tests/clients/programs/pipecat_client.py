"""Pipecat: a pipeline around `OpenAIRealtimeLLMService`, without a transport."""

import asyncio

from phone import INSTRUCTIONS, TOOL, TOOL_PARAMETERS, TOOL_SAYS, Phone, phone_of_arguments
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import (
    EndFrame,
    ErrorFrame,
    InputAudioRawFrame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMRunFrame,
    TTSAudioRawFrame,
    TTSTextFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.services.openai.realtime import events
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from pipecat.workers.runner import WorkerRunner

RATE_HZ = 24_000


class Ear(FrameProcessor):
    """Gives the phone what comes out of the service."""

    def __init__(self, phone: Phone) -> None:
        super().__init__()
        self._phone = phone
        self._words = []

    async def process_frame(self, frame, direction) -> None:
        """Take a frame, and pass it on."""
        await super().process_frame(frame, direction)
        match frame:
            case TTSAudioRawFrame():
                self._phone.hear(frame.audio)
            case LLMFullResponseStartFrame():
                self._words.clear()
            case TTSTextFrame():
                self._words.append(frame.text)
            case LLMFullResponseEndFrame() if self._words:
                self._phone.said("".join(self._words).strip())
                self._words.clear()
            case InterruptionFrame():
                self._phone.cut()
        await self.push_frame(frame, direction)


def service_of(phone: Phone) -> OpenAIRealtimeLLMService:
    """Make the service, with its one function."""
    audio = events.AudioConfiguration(
        input=events.AudioInput(
            format=events.PCMAudioFormat(),
            transcription=events.InputAudioTranscription(model="gpt-4o-transcribe"),
            turn_detection=events.TurnDetection(),
        ),
        output=events.AudioOutput(format=events.PCMAudioFormat(), voice="marin"),
    )
    service = OpenAIRealtimeLLMService(
        api_key=phone.key,
        base_url=phone.url,
        settings=OpenAIRealtimeLLMService.Settings(
            model="gpt-realtime-2.1",
            system_instruction=INSTRUCTIONS,
            session_properties=events.SessionProperties(audio=audio),
        ),
    )

    async def lookup(call) -> None:
        await call.result_callback(phone.tool_called(dict(call.arguments)))

    service.register_function(TOOL, lookup)
    return service


async def main() -> None:
    """Hold the conversation."""
    phone = phone_of_arguments()
    function = FunctionSchema(
        TOOL, TOOL_SAYS, TOOL_PARAMETERS["properties"], TOOL_PARAMETERS["required"]
    )
    context = LLMContext(tools=ToolsSchema(standard_tools=[function]))
    pair = LLMContextAggregatorPair(context)
    pipeline = Pipeline([pair.user(), service_of(phone), Ear(phone), pair.assistant()])
    worker = PipelineWorker(
        pipeline,
        params=PipelineParams(audio_in_sample_rate=RATE_HZ, audio_out_sample_rate=RATE_HZ),
    )
    trouble = asyncio.get_running_loop().create_future()

    @worker.event_handler("on_pipeline_error")
    async def on_error(_worker, frame: ErrorFrame) -> None:
        if not trouble.done():
            trouble.set_exception(SystemExit(f"the pipeline reported {frame.error}"))

    async def speak() -> None:
        async for piece in phone.microphone():
            await worker.queue_frame(InputAudioRawFrame(piece, RATE_HZ, 1))

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    await worker.queue_frame(LLMRunFrame())
    speaking = asyncio.create_task(speak())
    talk = asyncio.create_task(phone.converse())
    await asyncio.wait([talk, trouble, running], return_when=asyncio.FIRST_COMPLETED)
    speaking.cancel()
    if trouble.done():
        trouble.result()
    talk.result()
    await worker.queue_frame(EndFrame())
    await running
    phone.report()


asyncio.run(main())
