"""Arms of other audio than 24 kHz PCM, in whole calls: the bytes that leave, both ways.

The service is a WebSocket server of the test's own, the caller raw SIP and RTP: neither shares code
with the gateway's audio.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.server import ServerConnection, serve

from bridge.softphone.sip_message import audio_sdp
from bridge.store.local import LocalRedis
from tests.audio.signals import level_at_db, loudest_other_db, tone
from tests.support.gateways import Gateway, serving, write_dialplan
from tests.support.rtp import RtpPeer
from tests.support.sip import SipPeer
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.sip, pytest.mark.redis]

PCMU, PCMA = 0, 8
FRAME_BYTES = 160
AGENT = {
    "instructions": "Be brief.",
    "greeting": "Say hello.",
    "turn_detection": {"type": "server_vad"},
}
NAMES: dict[str, dict[str, Any]] = {  # Any: wire values
    "ga": {"pcmu": {"type": "audio/pcmu"}, "pcma": {"type": "audio/pcma"}},
    "beta": {"pcmu": "g711_ulaw", "pcma": "g711_alaw"},
}
ZEROS = {"pcmu": 0xFF, "pcma": 0xD5}
"""What silence is sent as."""
RATES_HZ = {"pcm8k": 8_000, "pcm16k": 16_000, "pcm24k": 24_000}


def noise_codes(frames: int, seed: int) -> bytes:
    """Every code of G.711, at random, but for mu-law's second zero (G.711 table 2)."""
    codes = np.random.default_rng(seed).integers(0, 256, frames * FRAME_BYTES, dtype=np.uint8)
    codes[codes == 0x7F] = 0x7E
    return codes.tobytes()


def in_frames(codes: bytes) -> list[bytes]:
    return [codes[at : at + FRAME_BYTES] for at in range(0, len(codes), FRAME_BYTES)]


@dataclass
class OwnService:
    """A Realtime server that keeps what it hears, and says what a test gives it."""

    dialect: str
    url: str = ""
    updates: list[dict[str, Any]] = field(default_factory=list)  # Any: JSON
    heard: bytes = b""
    truncated: list[dict[str, Any]] = field(default_factory=list)  # Any: JSON
    told: int = 0
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    socket: ServerConnection | None = None

    async def serve(self, socket: ServerConnection) -> None:
        self.socket = socket
        session = {"id": "sess_1", "model": "m"}
        await socket.send(json.dumps({"type": "session.created", "session": session}))
        async for frame in socket:
            event = json.loads(frame)
            match event["type"]:
                case "session.update":
                    self.updates.append(event["session"])
                    done = {"type": "session.updated", "session": session | event["session"]}
                    await socket.send(json.dumps(done))
                case "input_audio_buffer.append":
                    self.heard += base64.b64decode(event["audio"], validate=True)
                case "response.create":
                    self.asked.set()
                case "conversation.item.truncate":
                    self.truncated.append(event)

    async def tell(self, kind: str, **fields: object) -> None:
        assert self.socket is not None
        self.told += 1
        event = {"type": kind, "event_id": f"event_{self.told}", **fields}
        await self.socket.send(json.dumps(event))

    async def say(self, audio: bytes, *, cut_at: int) -> None:
        """Greet with it, in deltas that are cut anywhere; the answer has no end yet."""
        await self.asked.wait()
        name = "response.audio" if self.dialect == "beta" else "response.output_audio"
        place = {"response_id": "resp_1", "item_id": "item_1"}
        place |= {"output_index": 0, "content_index": 0}  # type: ignore[dict-item]
        response = {"id": "resp_1", "object": "realtime.response", "status": "in_progress"}
        await self.tell("response.created", response={**response, "output": []})
        for at in range(0, len(audio), cut_at):
            piece = base64.b64encode(audio[at : at + cut_at]).decode()
            await self.tell(f"{name}.delta", **place, delta=piece)

    async def caller_speaks(self) -> None:
        """Report the caller's turn over the answer."""
        await self.tell("input_audio_buffer.speech_started", audio_start_ms=100, item_id="item_2")


@asynccontextmanager
async def own_service(dialect: str) -> AsyncIterator[OwnService]:
    service = OwnService(dialect)
    async with serve(service.serve, "127.0.0.1", 0, close_timeout=1) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        service.url = f"ws://127.0.0.1:{port}/v1/realtime"
        yield service


@dataclass
class Talk:
    """A call that goes on."""

    service: OwnService
    gateway: Gateway
    rtp: RtpPeer
    codec: int


@asynccontextmanager
async def calling(
    directory: Path,
    redis: LocalRedis,
    dialect: str,
    audio: object,
    offered: tuple[int, ...],
    **sections: Any,
) -> AsyncIterator[Talk]:
    """A call on an arm of this audio, from a phone that offers these payload types."""
    async with own_service(dialect) as service, RtpPeer(offered[0]) as rtp:
        arm = {"url": service.url, "dialect": dialect, "model": "m", "audio": audio}
        context = serving(
            directory,
            service.url,
            write_dialplan(directory / "dialplans", AGENT),
            preflight=False,
            redis_url=redis.url,
            arms={"local": arm},
            **sections,
        )
        gateway = await asyncio.to_thread(context.__enter__)
        try:
            async with SipPeer(gateway.sip_port) as phone:
                dialog = phone.call("support", audio_sdp(rtp.port, offered))
                answer = await dialog.final()
                assert answer.status == 200
                assert dialog.answer is not None
                rtp.payload_type = dialog.answer.codec
                rtp.stream(answer.media_port)
                await wait_until(lambda: service.heard and rtp.packets, "no media")
                yield Talk(service, gateway, rtp, dialog.answer.codec)
                await dialog.bye()
        finally:
            await asyncio.to_thread(context.__exit__, None, None, None)


@pytest.mark.parametrize(("law", "codec"), [("pcmu", PCMU), ("pcma", PCMA)])
async def test_g711_goes_through_byte_by_byte_both_ways(
    tmp_path: Path, redis: LocalRedis, dialect: str, law: str, codec: int
) -> None:
    """The phone likes the other law better: the answer has the arm's alone."""
    other = PCMA if codec == PCMU else PCMU
    async with calling(tmp_path, redis, dialect, law, (other, codec)) as talk:
        assert talk.codec == codec
        update = talk.service.updates[0]
        written = (
            (update["input_audio_format"], update["output_audio_format"])
            if dialect == "beta"
            else (update["audio"]["input"]["format"], update["audio"]["output"]["format"])
        )
        assert written == (NAMES[dialect][law],) * 2

        answer = noise_codes(50, seed=2)
        first = len(talk.rtp.packets)
        await talk.service.say(answer, cut_at=333)

        def came() -> bytes:
            packets = [each for each in talk.rtp.packets[first:] if each.payload_type == codec]
            return b"".join(each.payload for each in packets)

        await wait_until(lambda: answer in came(), "the service's bytes did not come down")

        silence = bytes([ZEROS[law]]) * FRAME_BYTES * 5
        await wait_until(lambda: talk.service.heard.endswith(silence), "silence is other bytes")
        said = in_frames(noise_codes(50, seed=1))
        talk.rtp.repeats = True
        talk.rtp.say_payloads(*said)
        # What the jitter buffer lacks is concealed: on a busy machine not every frame comes whole.
        runs = [b"".join(said[at : at + 10]) for at in range(0, 50, 10)]
        await wait_until(
            lambda: all(run in talk.service.heard for run in runs),
            "the phone's bytes did not go up",
        )


@pytest.mark.parametrize("audio", ["pcm8k", "pcm16k", "pcm24k"])
async def test_pcm_of_any_rate_is_what_was_said_both_ways(
    tmp_path: Path, redis: LocalRedis, audio: str
) -> None:
    rate_hz = RATES_HZ[audio]
    async with calling(tmp_path, redis, "ga", audio, (PCMU,)) as talk:
        formats = talk.service.updates[0]["audio"]
        assert formats["input"]["format"] == {"type": "audio/pcm", "rate": rate_hz}
        assert formats["output"]["format"] == {"type": "audio/pcm", "rate": rate_hz}

        talk.rtp.repeats = True
        talk.rtp.say(tone(700.0, 8_000, 8_000, amplitude=8_000))
        begin = len(talk.service.heard)
        await wait_until(lambda: len(talk.service.heard) > begin + rate_hz * 3, "no audio")
        heard = np.frombuffer(talk.service.heard[-rate_hz:], dtype="<i2")
        assert is_tone(heard, 700.0, rate_hz)

        first = len(talk.rtp.packets)
        answer = tone(1_300.0, rate_hz, rate_hz, amplitude=8_000).astype("<i2").tobytes()
        await talk.service.say(answer, cut_at=1_001)  # odd: samples are cut in two
        await wait_until(lambda: len(loud(talk.rtp.heard(PCMU, first))) > 7_000, "no answer")
        assert is_tone(loud(talk.rtp.heard(PCMU, first))[:7_000], 1_300.0, 8_000)


async def test_what_it_hears_and_what_it_says_may_differ(tmp_path: Path, redis: LocalRedis) -> None:
    audio = {"input": "pcm16k", "output": "pcmu"}
    async with calling(tmp_path, redis, "ga", audio, (PCMA, PCMU)) as talk:
        formats = talk.service.updates[0]["audio"]
        assert formats["input"]["format"] == {"type": "audio/pcm", "rate": 16_000}
        assert formats["output"]["format"] == {"type": "audio/pcmu"}
        assert talk.codec == PCMU  # which what it says goes straight through


async def test_a_phone_without_the_arms_law_is_served_all_the_same(
    tmp_path: Path, redis: LocalRedis
) -> None:
    async with calling(tmp_path, redis, "ga", "pcmu", (PCMA,)) as talk:
        assert talk.codec == PCMA
        first = len(talk.rtp.packets)
        answer = noise_free_mu_law_tone()
        await talk.service.say(answer, cut_at=500)
        await wait_until(lambda: len(loud(talk.rtp.heard(PCMA, first))) > 7_000, "no answer")
        assert is_tone(loud(talk.rtp.heard(PCMA, first))[:7_000], 1_000.0, 8_000)


@pytest.mark.capacity
async def test_a_gateway_at_16_khz_serves_an_arm_of_8(tmp_path: Path, redis: LocalRedis) -> None:
    """A trunk has G.722: all rings are at 16 kHz, and the arm's law is the leg's codec still."""
    sections = {"sip": {"codecs": ["G722", "PCMU", "PCMA"], "port": 0, "host": "127.0.0.1"}}
    async with calling(tmp_path, redis, "ga", "pcmu", (9, PCMA, PCMU), **sections) as talk:
        assert talk.codec == PCMU
        first = len(talk.rtp.packets)
        await talk.service.say(noise_free_mu_law_tone(), cut_at=500)
        await wait_until(lambda: len(loud(talk.rtp.heard(PCMU, first))) > 7_000, "no answer")
        assert is_tone(loud(talk.rtp.heard(PCMU, first))[:7_000], 1_000.0, 8_000)


async def test_an_interruption_truncates_by_what_was_heard(
    tmp_path: Path, redis: LocalRedis, dialect: str
) -> None:
    """Ten seconds of mu-law come at once; the cut is at milliseconds of them, not of PCM."""
    async with calling(tmp_path, redis, dialect, "pcmu", (PCMU,)) as talk:
        first = len(talk.rtp.packets)
        await talk.service.say(noise_codes(500, seed=3), cut_at=4_000)

        def loud_packets() -> int:
            idle = bytes([0xFF]) * FRAME_BYTES
            return sum(each.payload != idle for each in talk.rtp.packets[first:])

        await wait_until(lambda: loud_packets() >= 50, "the answer is not heard")
        talk.rtp.repeats = True
        talk.rtp.say_payloads(*in_frames(noise_codes(100, seed=4)))
        await talk.service.caller_speaks()
        await wait_until(lambda: talk.service.truncated, "no truncation")
        heard_ms = talk.service.truncated[0]["audio_end_ms"]
        idle = bytes([0xFF]) * FRAME_BYTES
        await wait_until(lambda: talk.rtp.packets[-1].payload == idle, "the agent talks on")
        # PJSIP took what came to the phone's port; the cut fades over a quarter of a frame.
        assert abs(heard_ms - loud_packets() * 20) <= 60
        assert heard_ms < 8_000


def loud(sound: np.ndarray[Any, np.dtype[np.int16]]) -> np.ndarray[Any, np.dtype[np.int16]]:
    """Return a sound from its first loud sample to its last."""
    found = np.flatnonzero(np.abs(sound.astype(np.int32)) > 1_000)
    return sound[found[0] : found[-1] + 1] if found.size else sound[:0]


def is_tone(sound: np.ndarray[Any, np.dtype[np.int16]], hz: float, rate_hz: int) -> bool:
    clear_db = level_at_db(sound, hz, rate_hz) - loudest_other_db(sound, hz, rate_hz)
    return level_at_db(sound, hz, rate_hz) > 60 and clear_db > 20


def noise_free_mu_law_tone() -> bytes:
    """One second of G.711's own test tone: 1 kHz in eight codes (G.711 table 5)."""
    return bytes([0x1E, 0x0B, 0x0B, 0x1E, 0x9E, 0x8B, 0x8B, 0x9E]) * 1_000
