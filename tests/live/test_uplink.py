"""A network that takes nothing for a while: the wait is the uplink's, the silence the call's."""

import asyncio
import json
import socket
import time
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from bridge.session import connection
from bridge.session.destinations import GuardedConnect
from bridge.telemetry.turn_latency import TOLERANCE_MS
from tests.live.conftest import StartGateway
from tests.live.peer import TonePeer
from tests.live.service import tone_service
from tests.support.machine import Timing
from tests.support.rtp_caller import RtpCaller

pytestmark = [pytest.mark.sip, pytest.mark.redis]

FROZEN_S = 1.0
THINKS_S = 1.2
TINY_BYTES = 4096


@pytest.fixture
def tiny_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the kernel hold next to nothing of what is sent: loopback would hold a minute of it."""

    def open_tiny(url: str, **options: Any) -> GuardedConnect:  # Any: the library's
        port = urlsplit(url).port
        opened = socket.socket()
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, TINY_BYTES)
        opened.connect(("127.0.0.1", port))
        opened.setblocking(False)
        return GuardedConnect(url, sock=opened, **options)

    monkeypatch.setattr(connection, "GuardedConnect", open_tiny)


async def answer(peer: TonePeer, audio_start_ms: float) -> None:
    """Be a service that hears the end of a turn now, and thinks about it."""
    at = {"item_id": "user_1", "audio_start_ms": int(audio_start_ms)}
    await peer.tell("input_audio_buffer.speech_started", **at)
    stopped = {"item_id": "user_1", "audio_end_ms": int(peer.appended_ms)}
    await peer.tell("input_audio_buffer.speech_stopped", **stopped)
    await asyncio.sleep(THINKS_S)
    await peer.tell("input_audio_buffer.committed", item_id="user_1", previous_item_id=None)


async def packets(caller: RtpCaller, count: int) -> None:
    """Wait until the caller has sent so many more packets."""
    sent = caller.sent + count
    await caller.until(lambda: caller.sent >= sent)


async def test_wait_for_the_network_is_the_uplinks_and_the_silence_is_the_calls(
    tiny_buffers: None, start_gateway: StartGateway, tmp_path: Path, timing: Timing
) -> None:
    async with tone_service() as (service, url):
        service.tone_ms = 300
        gateway, port = await start_gateway(url)
        async with RtpCaller(port) as caller:
            assert await caller.call() == 200
            (runner,) = gateway.calls
            peer = await service.session(1)
            await caller.until(lambda: any(each.loud for each in caller.heard))
            await peer.finish_response()
            await packets(caller, 50)  # the greeting is over

            peer.freeze()
            started_ms = peer.appended_ms
            await packets(caller, 100)  # what the kernels and the transport hold is full
            noise = np.random.default_rng(1).normal(0, 4000, 20 * 160).astype(np.int16)
            caller.speak(noise)
            await caller.until(lambda: not caller.speaking)
            await packets(caller, round(FROZEN_S * 50))
            peer.thaw()
            waited_ms = (time.monotonic_ns() - caller.said_until_ns) / 1e6
            await peer.until(lambda: peer.loud_ms > 200)
            await answer(peer, started_ms)
            heard = len(caller.heard)
            await caller.until(lambda: any(each.loud for each in caller.heard[heard:]))
            await peer.finish_response()
            await packets(caller, 50)
        await asyncio.gather(*gateway.calls.values())
        metrics = gateway.metrics.render()[0].decode()

    (path,) = (tmp_path / "metrics").glob("*.json")
    figures = json.loads(path.read_text(encoding="utf-8"))
    (turn,) = figures["latency"]["turns"]
    print(turn)
    stages_ms = turn["stages_ms"]
    # It catches up then.
    timing.check("uplink", stages_ms["uplink"], least_ms=waited_ms - 150, most_ms=waited_ms + 800)
    thinks_ms = THINKS_S * 1000
    timing.check("model", stages_ms["model"], least_ms=thinks_ms - 50, most_ms=thinks_ms + 500)
    ours_ms = sum(stages_ms[each] for each in ("capture", "downlink", "playback"))
    timing.check("ours", ours_ms, most_ms=250)
    assert abs(sum(stages_ms.values()) - turn["response_ms"]) <= TOLERANCE_MS

    summary = runner.record.summary
    assert summary.longest_silence_cause == "model"
    assert summary.longest_silence_ms is not None
    loud_ns = [each.arrived_ns for each in caller.heard if each.loud]
    heard_ns = [caller.said_until_ns, *(at_ns for at_ns in loud_ns if at_ns > caller.said_until_ns)]
    silence_ms = max(later - before for before, later in pairwise(heard_ns)) / 1e6
    # A waiting tone comes between.
    timing.check(
        "silence measured and heard", abs(summary.longest_silence_ms - silence_ms), most_ms=150
    )
    assert "bridge_dead_air_events_total{" not in metrics  # none of 2 s
    assert 'bridge_dead_air_seconds_count{arm="peer"} 1.0' in metrics
