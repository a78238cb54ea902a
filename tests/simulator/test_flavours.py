"""The bridge's flavours against fixture servers that were written from the servers' own words."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from websockets.asyncio.client import connect

from bridge.clock import SystemClock
from bridge.config.settings import ArmSettings, FlavourName, SessionSettings
from bridge.errors import ProtocolError, UpstreamError
from bridge.realtime.commands import ClearInput, CreateItem, CreateResponse, TruncateItem
from bridge.realtime.dialects import dialect_of
from bridge.realtime.events import (
    AudioDelta,
    ErrorReported,
    FunctionArgumentsDone,
    ItemAdded,
    QuietEvent,
    ResponseDone,
    ServerEvent,
    UnknownEvent,
)
from bridge.realtime.flavours import FLAVOURS
from bridge.realtime.ids import ItemId
from bridge.realtime.items import ContentPart, Message, PartKind, Role
from bridge.realtime.session_config import FunctionTool, ServerVad, SessionConfig, Transcription
from bridge.session.access import Access
from bridge.session.realtime import Endpoint, RealtimeSession
from bridge.simulator.flavours import SERVERS
from bridge.simulator.scenario import ServerName
from bridge.simulator.server import SimulatorServer
from tests.simulator.conftest import paced
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.speech]

CONFIG = SessionConfig(
    instructions="Be kind.",
    voice="verse",
    transcription=Transcription("gpt-4o-transcribe", "en"),
    turn_detection=ServerVad(0.5, 300, 500),
    tools=(FunctionTool("lookup_invoice", "Looks.", {"type": "object"}),),
    max_output_tokens=700,
)
KEY = "sk-sim-1"


class Ears:
    """What a session heard."""

    def __init__(self) -> None:
        self.events: list[ServerEvent] = []
        self.closed: list[UpstreamError | None] = []
        self.malformed: list[ProtocolError] = []

    def of(self, kind: type[ServerEvent]) -> list[ServerEvent]:
        return [each for each in self.events if isinstance(each, kind)]


@asynccontextmanager
async def serving(name: ServerName) -> AsyncIterator[str]:
    server = SimulatorServer(paced(), flavour=name)
    try:
        yield await server.start()
    finally:
        await server.aclose()


def session_at(url: str, flavour: FlavourName, ears: Ears) -> RealtimeSession:
    """Make a session as an arm of that flavour does, its defaults included."""
    arm = ArmSettings.model_validate({"flavour": flavour, "url": url, "api_key_env": "SIM_KEY"})
    access = Access(KEY, auth=arm.auth, auth_name=arm.auth_name, query=_texts(arm.query))
    fresh = FLAVOURS[flavour].fresh_parameter
    return RealtimeSession(
        Endpoint(url, arm.model, access, fresh_parameter=fresh),
        dialect_of(arm.dialect, arm.flavour),
        SessionSettings(open_timeout_s=5),
        clock=SystemClock(),
        on_event=lambda event, _: ears.events.append(event),
        on_closed=ears.closed.append,
        on_protocol_error=ears.malformed.append,
    )


def config_of(flavour: FlavourName) -> SessionConfig:
    """Return the session with the audio that an arm of this flavour has by itself."""
    arm = {"flavour": flavour, "url": "wss://a/x", "api_key_env": "K"}
    audio = ArmSettings.model_validate(arm).audio_formats
    return replace(CONFIG, input_format=audio.input, output_format=audio.output)


def _texts(query: Mapping[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in query.items()}


OF: dict[ServerName, FlavourName] = {
    "openai": "openai",
    "azure": "azure",
    "xai": "xai",
    "xai-old": "xai",
    "inworld": "inworld",
    "qwen": "qwen",
    "vllm-omni": "vllm-omni",
    "localai": "localai",
}


@pytest.mark.parametrize("name", OF)
async def test_session_opens_and_says_nothing_wrong(name: ServerName) -> None:
    ears = Ears()
    async with serving(name) as url:
        session = session_at(url, OF[name], ears)
        info = await session.open(config_of(OF[name]))
        assert info.session_id
        session.send(TruncateItem(ItemId("item_none"), 0, 100))
        session.send(ClearInput())
        text = ContentPart(PartKind.INPUT_TEXT, "How much is my invoice?")
        session.send(CreateItem(Message(Role.USER, (text,))))
        await wait_until(lambda: ears.of(ItemAdded), "the item did not come")
        await session.aclose()
    codes = [each.error.code for each in ears.events if isinstance(each, ErrorReported)]
    # Nothing is there to be truncated: a server that takes the command at all says so.
    truncates = TruncateItem not in FLAVOURS[OF[name]].not_taken
    assert len(codes) == truncates
    assert len(ears.of(ItemAdded)) == 1
    assert ears.malformed == []
    assert not ears.of(UnknownEvent)
    assert not ears.of(QuietEvent)
    assert ears.closed == [None]
    left_out = len({TruncateItem, ClearInput} & FLAVOURS[OF[name]].not_taken.keys())
    assert session.stats.commands_left_out == left_out


@pytest.mark.parametrize("name", [each for each in OF if each != "vllm-omni"])
async def test_answer_with_a_tool_call_is_read_whole(name: ServerName) -> None:
    ears = Ears()
    async with serving(name) as url:
        session = session_at(url, OF[name], ears)
        await session.open(config_of(OF[name]))
        text = ContentPart(PartKind.INPUT_TEXT, "How much is my invoice?")
        session.send(CreateItem(Message(Role.USER, (text,))))
        session.send(CreateResponse())
        await wait_until(lambda: ears.of(ResponseDone), "no answer")
        await session.aclose()
    assert ears.of(AudioDelta)
    assert ears.malformed == []
    assert not ears.of(UnknownEvent)
    assert not ears.of(ErrorReported)
    named = [each for each in ears.events if isinstance(each, FunctionArgumentsDone)]
    assert bool(named) != (OF[name] == "xai")  # whose lacks the response: the item has it all


async def test_server_that_answers_audio_alone_says_so() -> None:
    ears = Ears()
    async with serving("vllm-omni") as url:
        session = session_at(url, "vllm-omni", ears)
        await session.open(config_of("vllm-omni"))
        session.send(CreateResponse())
        await wait_until(lambda: ears.of(ErrorReported), "no error")
        await session.aclose()
    (error,) = ears.of(ErrorReported)
    assert isinstance(error, ErrorReported)
    assert error.error.code == "response_create_without_input"


async def test_pings_are_counted_and_are_no_word_of_the_service() -> None:
    ears = Ears()
    async with serving("xai") as url:
        session = session_at(url, "xai", ears)
        await session.open(config_of("xai"))
        heard = len(ears.events)
        await wait_until(lambda: session.stats.quiet_events >= 2, "no pings")
        await session.aclose()
    assert len(ears.events) == heard
    assert session.stats.unknown_events == 0


MISTAKEN: dict[tuple[FlavourName, ServerName], str] = {
    ("openai", "xai"): "unknown_parameter",
    ("openai", "qwen"): "unknown_parameter",
    ("openai", "inworld"): "http_401",
    ("openai", "azure"): "http_401",
    ("openai", "vllm-omni"): "http_401",
    ("azure", "openai"): "http_401",
    ("xai", "qwen"): "unknown_parameter",
    ("qwen", "xai"): "unknown_parameter",
    ("qwen", "openai"): "missing_required_parameter",
    ("vllm-omni", "openai"): "invalid_value",
    ("inworld", "openai"): "http_401",
}


@pytest.mark.parametrize(("asked", "there"), MISTAKEN)
async def test_server_of_another_flavour_is_named_by_its_error_and_never_waited_for(
    asked: FlavourName, there: ServerName
) -> None:
    ears = Ears()
    async with serving(there) as url:
        session = session_at(url, asked, ears)
        with pytest.raises(UpstreamError) as caught:
            await session.open(config_of(asked))
        assert caught.value.code == MISTAKEN[asked, there]
        await session.aclose()


@pytest.mark.parametrize("name", ["xai", "qwen", "vllm-omni", "inworld"])
async def test_fixture_refuses_what_its_documentation_does_not_have(name: ServerName) -> None:
    row = SERVERS[name]
    query = {"qwen": "", "inworld": "&key=k&protocol=realtime", "vllm-omni": "&duplex=1"}
    headers = {"Authorization": f"{'Basic' if name == 'inworld' else 'Bearer'} {KEY}"}
    async with serving(name) as url:
        address = f"{url}?model=m{query.get(name, '')}"
        async with connect(address, additional_headers=headers) as socket:
            session = {"no_such_setting": 1, "model": "m"}
            await socket.send(json.dumps({"type": "session.update", "session": session}))
            async with asyncio.timeout(10):
                while (event := json.loads(await socket.recv()))["type"] != "error":
                    pass
    assert row.session is not None
    assert event["error"]["code"] == "unknown_parameter"
    assert event["error"]["param"] == "session.no_such_setting"


def test_defaults_of_a_flavour_give_way_to_what_is_written() -> None:
    azure = {"flavour": "azure", "url": "wss://a/v1/realtime", "api_key_env": "K"}
    arm = ArmSettings.model_validate(azure)
    assert (arm.auth, arm.auth_name, arm.dialect) == ("header", "api-key", "ga")
    arm = ArmSettings.model_validate({**azure, "auth": "bearer", "dialect": "beta"})
    assert (arm.auth, arm.dialect) == ("bearer", "beta")
    arm = ArmSettings.model_validate({"flavour": "qwen", "url": "wss://a/x", "api_key_env": "K"})
    assert arm.dialect == "beta"


def test_audio_is_what_the_server_has() -> None:
    qwen = {"flavour": "qwen", "url": "wss://a/x", "api_key_env": "K"}
    audio = ArmSettings.model_validate(qwen).audio_formats
    assert (audio.input, audio.output) == ("pcm16k", "pcm24k")
    with pytest.raises(ValueError, match=r"doesn't hear: leave audio out, or write pcm16k"):
        ArmSettings.model_validate({**qwen, "audio": "pcmu"})
    xai = {**qwen, "flavour": "xai", "audio": "pcma"}
    assert ArmSettings.model_validate(xai).audio_formats.input == "pcma"


def test_dialect_that_a_server_does_not_speak_is_refused() -> None:
    with pytest.raises(ValueError, match="doesn't speak: write dialect: beta, or leave it out"):
        ArmSettings.model_validate({"flavour": "qwen", "dialect": "ga", "url": "wss://a/x"})


def test_flavours_are_those_that_an_arm_may_name() -> None:
    for name in FLAVOURS:
        arm = {"flavour": name, "url": "wss://a/x", "api_key_env": "K"}
        assert ArmSettings.model_validate(arm).flavour == name
    assert {OF[each] for each in SERVERS if each in OF} == set(FLAVOURS)


@pytest.mark.parametrize("audio", ["pcm8k", {"input": "pcmu", "output": "pcm24k"}])
def test_a_live_arm_has_one_format_of_its_dialect_both_ways(audio: object) -> None:
    live = {"dialect": "live", "url": "wss://a/v1/live/sessions", "model": "gpt-live-1"}
    with pytest.raises(ValueError, match=r"one format for both ways: leave audio out, or write"):
        ArmSettings.model_validate({**live, "audio": audio})
    arm = ArmSettings.model_validate({**live, "audio": {"input": "pcmu", "output": "pcmu"}})
    assert (arm.audio_formats.input, arm.audio_formats.output) == ("pcmu", "pcmu")
