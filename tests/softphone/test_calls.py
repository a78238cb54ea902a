"""`bridge call` in real SIP calls, with a far end in this process that speaks and listens."""

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge.audio.wav import read_wav, write_wav
from tests.softphone.command import call, calling
from tests.softphone.far_end import RATE_HZ, FarCall, FarEnd, far_end, loud_part, loudest_hz, tone
from tests.support.machine import Timing
from tests.support.waiting import wait_until

pytestmark = pytest.mark.sip

CALLER_HZ, AGENT_HZ = 620.0, 1000.0
_NEAR_HZ = 10.0


@pytest.fixture
async def far() -> AsyncIterator[FarEnd]:
    async with far_end() as end:
        yield end


@pytest.fixture
def question(tmp_path: Path) -> Path:
    """A caller's recording: one second of tone."""
    path = tmp_path / "question.wav"
    write_wav(path, tone(CALLER_HZ, 1000), RATE_HZ)
    return path


async def talking(far: FarEnd) -> FarCall:
    found = await far.call()
    await wait_until(lambda: found.talking, "the call was not answered")
    return found


async def test_each_side_hears_the_other_and_the_recording_keeps_them_apart(
    far: FarEnd, question: Path, tmp_path: Path
) -> None:
    recording = tmp_path / "calls" / "call.wav"
    arguments = (far.uri, "--play", str(question), "--record", str(recording), "--json")
    async with calling(*arguments) as running:
        agent = await talking(far)
        agent.play(tone(AGENT_HZ, 1500))
        await wait_until(lambda: len(agent.caller_speech) == 2, "the caller did not speak")
        agent.play(tone(AGENT_HZ, 700))
        done = await running.done()

    assert done.exit_code == 0, done.stderr
    samples, rate_hz = read_wav(recording)
    left, right = loud_part(samples[:, 0]), loud_part(samples[:, 1])
    assert loudest_hz(left, rate_hz) == pytest.approx(CALLER_HZ, abs=_NEAR_HZ)
    assert loudest_hz(right, rate_hz) == pytest.approx(AGENT_HZ, abs=_NEAR_HZ)
    assert loudest_hz(loud_part(agent.heard), RATE_HZ) == pytest.approx(CALLER_HZ, abs=_NEAR_HZ)

    result = done.result
    assert result["ok"]
    assert (result["outcome"], result["sip_code"]) == ("answered", 200)
    assert [turn["speaker"] for turn in result["turns"]] == ["agent", "caller", "agent"]
    assert result["turns"][1]["text"] == "[question.wav]"
    assert result["agent_heard_ms"] >= 1_650
    assert result["recording"] == str(recording)
    assert result["ended_by"] == "caller"


async def test_the_caller_lets_a_greeting_finish_and_latency_counts_from_its_last_word(
    far: FarEnd, question: Path, timing: Timing
) -> None:
    async with calling(far.uri, "--play", str(question), "--json") as running:
        agent = await talking(far)
        agent.play(tone(AGENT_HZ, 1000))
        await wait_until(lambda: len(agent.caller_speech) == 2, "the caller did not speak")
        _, stopped_ms = agent.caller_speech[1]
        agent.play(tone(AGENT_HZ, 500))
        done = await running.done()

    greeting, said, answer = done.result["turns"]
    timing.check("pause", said["start_ms"] - greeting["end_ms"], least_ms=570, most_ms=730)
    seen_by_agent_ms = agent.playing_from_ms[1] - stopped_ms
    timing.check("latency", abs(answer["latency_ms"] - seen_by_agent_ms), most_ms=120)
    timing.check("heard", done.result["agent_heard_ms"], least_ms=1_125, most_ms=1_875)


async def test_digits_arrive_in_order_between_what_is_said(far: FarEnd, question: Path) -> None:
    arguments = ("--dtmf", "15#", "--play", str(question), "--dtmf", "*", "--events", "--json")
    async with calling(far.uri, *arguments) as running:
        agent = await talking(far)
        agent.play(tone(AGENT_HZ, 300))
        await wait_until(lambda: len(agent.caller_speech) == 1, "the caller did not speak")
        assert agent.digits == ["1", "5", "#"]
        await wait_until(lambda: len(agent.caller_speech) == 2, "the caller did not stop")
        agent.play(tone(AGENT_HZ, 300))
        done = await running.done()

    assert agent.digits == ["1", "5", "#", "*"]
    assert done.exit_code == 0
    doings = ("keys_pressed", "caller_started")
    assert [each["event"] for each in done.events if each["event"] in doings] == [
        "keys_pressed",
        "caller_started",
        "keys_pressed",
    ]


async def test_a_refused_call_exits_with_1_and_the_sip_code(far: FarEnd, tmp_path: Path) -> None:
    far.take = lambda leg: leg.reject(603, "Decline")
    recording = tmp_path / "call.wav"
    done = await call(far.uri, "--say", "hello", "--record", str(recording), "--json")

    assert done.exit_code == 1
    assert (done.result["outcome"], done.result["sip_code"]) == ("refused", 603)
    assert not done.result["ok"]
    assert done.result["recording"] is None
    assert not recording.exists()


async def test_hold_and_resume_keep_the_clock(far: FarEnd, tmp_path: Path) -> None:
    recording = tmp_path / "call.wav"
    arguments = (far.uri, "--duration", "6", "--record", str(recording), "--events", "--json")
    async with calling(*arguments) as running:
        agent = await talking(far)
        agent.play(tone(AGENT_HZ, 600))
        await wait_until(lambda: agent.position_ms > 1500)
        agent.leg.hold()
        await wait_until(lambda: agent.position_ms > 3000)
        agent.leg.resume()
        await wait_until(lambda: agent.media[-1] and len(agent.media) > 2, "it stayed on hold")
        await wait_until(lambda: agent.position_ms > 3600)
        agent.play(tone(AGENT_HZ, 600))
        done = await running.done()

    first, second = [turn for turn in done.result["turns"] if turn["speaker"] == "agent"]
    there_ms = agent.playing_from_ms[1] - agent.playing_from_ms[0]
    here_ms = second["start_ms"] - first["start_ms"]
    assert here_ms >= there_ms - 500  # the hold took 1.5 s
    assert [each["event"] for each in done.events if each["event"] in ("held", "resumed")] == [
        "held",
        "resumed",
    ]
    samples, rate_hz = read_wav(recording)
    assert len(samples) / rate_hz == pytest.approx(6, rel=0.2)
    assert loudest_hz(loud_part(samples[:, 1]), rate_hz) == pytest.approx(AGENT_HZ, abs=_NEAR_HZ)


SCRIPT = """
schema: callscript/v1
id: talk_over
caller:
  - interrupt: {{text: beep, audio: {audio}, after: {{delay_ms: 800}}}}
    expect: {{agent_silent_within_ms: 300}}
end: {{max_duration_s: 20}}
"""


async def test_an_interruption_comes_on_time_and_is_measured(
    far: FarEnd, question: Path, tmp_path: Path, timing: Timing
) -> None:
    script = tmp_path / "talk_over.yaml"
    script.write_text(SCRIPT.format(audio=question.name))
    async with calling(far.uri, "--script", str(script), "--json") as running:
        agent = await talking(far)
        agent.on_caller_speech = agent.hush
        agent.play(tone(AGENT_HZ, 8000))
        await wait_until(lambda: len(agent.caller_speech) == 2, "the caller did not speak")
        agent.play(tone(AGENT_HZ, 500))
        done = await running.done()

    assert done.exit_code == 0, done.stdout
    (interruption,) = done.result["interruptions"]
    first = done.result["turns"][0]
    at_ms = interruption["at_ms"] - first["start_ms"]
    timing.check("interruption", at_ms, least_ms=780, most_ms=940)
    timing.check("stop", interruption["stop_ms"], least_ms=40, most_ms=300)
    heard_at_ms = agent.caller_speech[0][1] - agent.playing_from_ms[0]
    timing.check("interruption heard", abs(heard_at_ms - at_ms), most_ms=120)


async def test_an_agent_that_goes_on_talking_breaks_the_expectation(
    far: FarEnd, question: Path, tmp_path: Path
) -> None:
    script = tmp_path / "talk_over.yaml"
    script.write_text(SCRIPT.format(audio=question.name))
    async with calling(far.uri, "--script", str(script), "--json") as running:
        agent = await talking(far)
        agent.play(tone(AGENT_HZ, 3000))
        done = await running.done()

    assert done.exit_code == 1
    (broken,) = done.result["broken"]
    assert "fall silent within 300 ms; it took" in broken


async def test_a_far_end_that_hangs_up_early_breaks_the_script(
    far: FarEnd, question: Path, tmp_path: Path
) -> None:
    script = tmp_path / "talk_over.yaml"
    script.write_text(SCRIPT.format(audio=question.name))
    async with calling(far.uri, "--script", str(script), "--json") as running:
        agent = await talking(far)
        await wait_until(lambda: agent.position_ms > 200)
        agent.leg.hangup()
        done = await running.done()

    assert done.exit_code == 1
    assert done.result["ended_by"] == "bridge"
    assert all("the call was over by then" in text for text in done.result["broken"][:2])
    assert {check["status"] for check in done.result["checks"]} == {"fail"}


@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_hangs_up_and_tells_what_was_heard(
    far: FarEnd, told: signal.Signals, tmp_path: Path
) -> None:
    recording = tmp_path / "call.wav"
    async with calling(far.uri, "--record", str(recording), "--json") as running:
        agent = await talking(far)
        agent.play(tone(AGENT_HZ, 800))
        await wait_until(lambda: agent.position_ms > 1500)
        running.process.send_signal(told)
        done = await running.done()

    assert done.exit_code == 128 + told
    assert "Traceback" not in done.stderr
    await wait_until(lambda: agent.over, "no BYE came")
    assert agent.leg.ended_by_far_end
    assert done.result["agent_heard_ms"] >= 400
    assert len(read_wav(recording)[0]) > 8000


async def test_a_signal_while_it_rings_cancels(far: FarEnd) -> None:
    far.take = lambda leg: leg.ring()
    async with calling(far.uri, "--say", "hello", "--json") as running:
        agent = await far.call()
        line = b""
        assert running.process.stderr is not None
        while b"ringing" not in line:
            line = await running.process.stderr.readline()
            assert line, "it ended before it rang"
        running.process.send_signal(signal.SIGTERM)
        done = await running.done()

    assert done.exit_code == 143
    assert done.result["outcome"] == "cancelled"
    await wait_until(lambda: agent.over, "no CANCEL came")


@pytest.mark.slow
async def test_where_nothing_speaks_sip_the_call_fails_as_infrastructure(free_port: int) -> None:
    done = await call(f"sip:127.0.0.1:{free_port}", "--say", "hello", "--json")

    assert done.exit_code == 3
    assert done.result["outcome"] == "failed"
    assert done.stderr.splitlines()[-1].startswith("error: nothing that speaks SIP reacts at")
