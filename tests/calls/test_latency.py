"""Where the time of a turn goes, over real SIP in both dialects: each delay lands in its stage."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from click.testing import CliRunner

from bridge.audio.levels import DEFAULT_THRESHOLD_DBFS, rms_dbfs
from bridge.audio.resample import downsample_whole
from bridge.cli.calls import calls as bridge_calls
from bridge.speech.synthesis import Synthesizer
from bridge.store.local import LocalRedis
from bridge.telemetry.labels import INFERENCE, TurnStage
from bridge.telemetry.turn_latency import TOLERANCE_MS
from tests.support.faulty_calls import ADMIN_SECRET, Simulator, Spec
from tests.support.gateways import PLAIN_AGENT, CallsInRedis, Gateway, Record, serving
from tests.support.machine import Timing
from tests.support.processes import running, write_yaml
from tests.support.rtp_caller import FRAME_SAMPLES, RtpCaller

pytestmark = [pytest.mark.sip, pytest.mark.redis, pytest.mark.speech]

QUESTION, ASKS_TOOL = "Are you open?", "How much is it?"
ANSWER, TOLD = "Yes.", "Ten."
DELAY_MS = 600
QUICK_MS, PATIENT_MS = 300, 300 + DELAY_MS
"""Silence that ends a turn."""
NOISE_MS = 300
"""What a stage may take more or less from one turn to the next, on a machine with other work."""
OUR_SHARE_MS = 200
"""Capture, uplink, downlink and playback together; 120 ms are aimed at (`NEEDS.md` section 5)."""
TONE_MS = 1_450
"""On a slow machine a caller who waits longer for a tool hears a tone before the answer."""
UNSEEN_MS = 250
"""What we can't see of the caller's wait: PJSIP's jitter buffer, and the breath before "yes"."""


@dataclass
class Talk:
    """A call and its turns.

    Attributes:
        waits_ms: the caller's last packet of a question to the first loud one of its answer, on the
            wire.
        figures: ``metrics/session_<call_id>.json``, once the call is over.
    """

    caller: RtpCaller
    calls: CallsInRedis
    call_id: str
    waits_ms: list[float] = field(default_factory=list)
    figures: Record = field(default_factory=dict)

    async def ask(self, question: str = QUESTION) -> None:
        """Ask, and hear the answer to its end."""
        before = len(self.caller.heard)
        self.caller.speak(said(question))
        nth = len(self.waits_ms) + 1
        await self.calls.until_spoken(self.call_id, "agent", nth)
        first = next(each for each in self.caller.heard[before:] if each.loud)
        self.waits_ms.append((first.arrived_ns - self.caller.said_until_ns) / 1e6)

    @property
    def turns(self) -> list[Record]:
        turns: list[Record] = self.figures["latency"]["turns"]
        return turns


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """An agent of few words, whose faults can be set."""
    directory = tmp_path_factory.mktemp("simulator")
    tool = {"name": "price", "arguments": {}}
    scenario = {
        "name": "brief",
        "greeting": "Hello.",
        "fallback": "Pardon?",
        "rules": [
            {"hears": [QUESTION], "say": ANSWER},
            {"hears": [ASKS_TOOL], "tool": tool, "then": TOLD},
        ],
    }
    path = write_yaml(directory / "scenario.yaml", scenario)
    with running(
        *("simulate", "--json", "--scenario", str(path)),
        directory=directory,
        SIMULATOR_ADMIN_SECRET=ADMIN_SECRET,
    ) as process:
        yield Simulator(process)


class _SlowPrice(BaseHTTPRequestHandler):
    """An operator's endpoint that takes its time."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(DELAY_MS / 1000)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture(scope="module")
def slow_price() -> Iterator[str]:
    """The URL of an endpoint that answers late."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _SlowPrice) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def gateway(
    simulator: Simulator,
    redis: LocalRedis,
    slow_price: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Gateway]:
    """A gateway with an arm of each dialect."""
    directory = tmp_path_factory.mktemp("gateway")
    dialplans = write_dialplans(directory / "dialplans", slow_price)
    arm = {"url": simulator.url, "api_key_env": "SIM_KEY"}
    arms = {dialect: {"dialect": dialect, **arm} for dialect in ("ga", "beta")}
    with serving(directory, simulator.url, dialplans, redis_url=redis.url, arms=arms) as started:
        yield started


def write_dialplans(directory: Path, webhook_url: str) -> Path:
    """Write a dialplan for each dialect and each patience of its turn detection."""
    webhook = {"url": webhook_url, "allow_private": True}
    price = {"name": "price", "description": "The price.", "parameters": {"type": "object"}}
    for dialect in ("ga", "beta"):
        for silence_ms in (QUICK_MS, PATIENT_MS):
            name = f"{dialect}-{silence_ms}"
            agent = {
                **PLAIN_AGENT,
                "turn_detection": {"type": "server_vad", "silence_duration_ms": silence_ms},
                "tools": [{**price, "webhook": webhook}],
            }
            plan = {
                "name": name,
                "match": [{"called": name}],
                "arm": dialect,
                "agent": agent,
            }
            write_yaml(directory / f"{name}.yaml", {"schema": "dialplan/v1", **plan})
    return directory


@asynccontextmanager
async def talking(
    gateway: Gateway, redis: LocalRedis, dialect: str, silence_ms: int = QUICK_MS
) -> AsyncIterator[Talk]:
    """Place a call; hang up at the end, and read what is known of its latency."""
    async with CallsInRedis(redis.url) as calls, RtpCaller(gateway.sip_port) as caller:
        known = await calls.reader.active()
        assert await caller.call(f"{dialect}-{silence_ms}") == 200
        talk = Talk(caller, calls, await calls.reader.wait_for_call(seen=known, timeout_s=10.0))
        yield talk
        await caller.hang_up()
        await calls.until_ended(talk.call_id)
    await gateway.record_of(talk.call_id)
    path = gateway.recordings / "metrics" / f"session_{talk.call_id}.json"
    talk.figures.update(json.loads(path.read_text(encoding="utf-8")))


@cache
def said(question: str) -> npt.NDArray[np.int16]:
    """Return a question, 8 kHz, whose last packet is its last that is loud as the bridge counts."""
    samples = downsample_whole(Synthesizer("en-us", 180).say(question))
    frames = samples[: len(samples) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    (loud,) = np.nonzero(rms_dbfs(frames) >= DEFAULT_THRESHOLD_DBFS)
    whole: npt.NDArray[np.int16] = frames[: loud[-1] + 1].reshape(-1)
    return whole


def stall(at: str) -> list[Spec]:
    return [{"at": at, "kind": "stall", "ms": DELAY_MS}]


def assert_grown(turn: Record, plain: Record, stage: str | None, timing: Timing) -> None:
    """Check which stage has the delay, by a turn without one."""
    for each in TurnStage:
        grown_ms = turn["stages_ms"].get(each, 0.0) - plain["stages_ms"].get(each, 0.0)
        # A stage may be shorter than before: what it did was done while another stood still.
        least_ms, most_ms = (DELAY_MS, DELAY_MS) if each == stage else (-DELAY_MS, 0)
        timing.check(
            f"{each}, of a delay in {stage}",
            grown_ms,
            least_ms=least_ms - NOISE_MS,
            most_ms=most_ms + NOISE_MS,
        )


def assert_adds_up(turn: Record, timing: Timing) -> None:
    """Check a turn's stages against the whole, which is measured from end to end."""
    stages_ms = turn["stages_ms"]
    assert list(stages_ms) == [each.value for each in TurnStage if each.value in stages_ms]
    assert abs(sum(stages_ms.values()) - turn["response_ms"]) <= TOLERANCE_MS
    ours_ms = sum(ms for stage, ms in stages_ms.items() if stage not in INFERENCE)
    timing.check("our share", ours_ms, least_ms=0, most_ms=OUR_SHARE_MS)


async def test_delay_lands_in_its_stage_and_the_stages_are_what_the_caller_waits(
    gateway: Gateway, simulator: Simulator, redis: LocalRedis, dialect: str, timing: Timing
) -> None:
    said(QUESTION), said(ASKS_TOOL)  # made beforehand: it would hold up the caller's RTP
    await simulator.set([])
    before = await gateway.metrics()
    async with talking(gateway, redis, dialect) as talk:
        await talk.ask()
        await simulator.set(stall("turn"))
        await talk.ask()
        await simulator.set(stall("audio"))
        await talk.ask()
        async with talking(gateway, redis, dialect, PATIENT_MS) as patient:
            await asyncio.gather(talk.ask(ASKS_TOOL), patient.ask())
    metrics = (await gateway.metrics()).since(before)
    plain, slow_model, slow_delta, slow_tool = talk.turns
    (slow_endpoint,) = patient.turns
    assert_grown(slow_model, plain, "model", timing)
    assert_grown(slow_delta, plain, "first_delta", timing)
    assert_grown(slow_tool, plain, "tool", timing)
    assert_grown(slow_endpoint, plain, "endpoint", timing)
    endpoint_ms = plain["stages_ms"]["endpoint"]
    timing.check("endpoint", endpoint_ms, least_ms=QUICK_MS - 100, most_ms=QUICK_MS + NOISE_MS)

    measured = [*talk.turns, slow_endpoint]
    compared = 0
    for turn, wait_ms in zip(measured, [*talk.waits_ms, *patient.waits_ms], strict=True):
        assert_adds_up(turn, timing)
        print(f"{wait_ms:.0f} ms on the wire, {turn['response_ms']} ms measured: {turn}")
        if turn["response_ms"] < TONE_MS:
            unseen_ms = wait_ms - turn["response_ms"]
            timing.check("unseen", unseen_ms, least_ms=-20, most_ms=UNSEEN_MS)
            compared += 1
    assert compared >= 3

    longest_ms = max(talk.waits_ms)
    timing.check("silence", abs(talk.figures["longest_silence_ms"] - longest_ms), most_ms=UNSEEN_MS)
    assert talk.figures["longest_silence_cause"] in {"model", "tool"}
    inferences = metrics.value("bridge_turn_inference_seconds_count", arm=dialect)
    assert inferences == len(measured)
    for stage in TurnStage:
        count = metrics.value("bridge_turn_stage_seconds_count", arm=dialect, stage=stage.label)
        assert count == sum(stage in turn["stages_ms"] for turn in measured), stage
    assert metrics.value("bridge_dead_air_seconds_count", arm=dialect) == 2  # once a call

    show = ["show", talk.call_id, "--redis", redis.url]
    shown = await asyncio.to_thread(CliRunner().invoke, bridge_calls, show)  # has its own loop
    rows = [line for line in shown.output.splitlines() if "█" in line]
    assert len(rows) == len(talk.turns)
    assert f"tool {slow_tool['stages_ms']['tool']:.0f}" in rows[3]
