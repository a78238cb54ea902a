"""What a script asks of the caller's phone and of the network, in real SIP calls."""

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from bridge.audio.levels import rms_dbfs
from bridge.audio.wav import read_wav, write_wav
from bridge.sip.addresses import user_in
from bridge.speech.synthesis import Synthesizer
from bridge.telephony.leg import LegState
from tests.softphone.command import Done, Running, call, calling
from tests.softphone.far_end import RATE_HZ, FarCall, FarEnd, far_end, loud_part, loudest_hz, tone
from tests.support.waiting import wait_until

pytestmark = pytest.mark.sip

CALLER_HZ, AGENT_HZ = 620.0, 1000.0
WORDS = "say: {text: beep, audio: question.wav}"


@pytest.fixture
async def far() -> AsyncIterator[FarEnd]:
    async with far_end() as end:
        yield end


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_wav(tmp_path / "question.wav", tone(CALLER_HZ, 1000), RATE_HZ)
    return tmp_path


def written(folder: Path, *steps: str, rest: str = "") -> str:
    path = folder / "script.yaml"
    caller = "".join(f"  - {step}\n" for step in steps)
    path.write_text(f"schema: callscript/v1\nid: test\ncaller:\n{caller}{rest}\n")
    return str(path)


async def talking(far: FarEnd) -> FarCall:
    found = await far.call()
    await wait_until(lambda: found.talking, "the call was not answered")
    return found


async def greeted(far: FarEnd, running: Running, answer: bool = True) -> tuple[FarCall, Done]:
    """Greet, wait for the caller's words, answer them, and see the call to its end."""
    agent = await talking(far)
    agent.play(tone(AGENT_HZ, 500))
    if answer:
        await wait_until(lambda: len(agent.caller_speech) == 2, "the caller did not speak")
        agent.play(tone(AGENT_HZ, 500))
    done = await running.done()
    await wait_until(lambda: agent.over, "no BYE came")
    return agent, done


@pytest.mark.parametrize(("codec", "ptime_ms"), [("PCMU", 20), ("PCMA", 40)])
async def test_codec_packets_caller_and_headers_are_those_of_the_script(
    far: FarEnd, folder: Path, codec: str, ptime_ms: int
) -> None:
    rest = (
        f"media: {{codec: {codec}, ptime_ms: {ptime_ms}}}\n"
        'setup: {from: "+15550100", headers: {X-Tier: gold}}\nend: {after_s: 3}'
    )
    async with calling(far.uri, "--script", written(folder, WORDS, rest=rest), "--json") as running:
        agent, _ = await greeted(far, running)

    leg = agent.leg
    assert leg.codec == codec
    assert loudest_hz(loud_part(agent.heard), RATE_HZ) == pytest.approx(CALLER_HZ, abs=10)
    assert user_in(leg.from_uri) == "+15550100"
    assert leg.headers["x-tier"] == ("gold",)
    assert leg.rtp is not None
    assert leg.rtp.received.packets * ptime_ms == pytest.approx(3_000, rel=0.4)


async def test_keys_go_by_info_with_a_gap_between_them(far: FarEnd, folder: Path) -> None:
    script = written(folder, 'dtmf: {digits: "1#", gap_ms: 300}', rest="media: {dtmf: info}")
    async with calling(far.uri, "--script", script, "--json", "--events") as running:
        agent, _ = await greeted(far, running, answer=False)

    assert agent.digits == ["1", "#"]
    assert [press.method.value for press in agent.presses] == ["info", "info"]


async def test_the_caller_holds_and_comes_back(far: FarEnd, folder: Path) -> None:
    script = written(folder, "hold: {ms: 1000}", WORDS)
    async with calling(far.uri, "--script", script, "--json", "--events") as running:
        agent, done = await greeted(far, running)

    assert agent.media == [True, False, True]
    times = {each["event"]: each["at_ms"] for each in done.events}
    assert times["resumed"] - times["held"] >= 750
    assert done.exit_code == 0, done.stdout


async def test_the_caller_gives_up_before_the_answer(far: FarEnd, folder: Path) -> None:
    far.take = lambda leg: leg.ring()
    script = written(folder, "hangup: {after: {event: dialled, delay_ms: 700}}")
    done = await call(far.uri, "--script", script, "--json")

    agent = await far.call()
    await wait_until(lambda: agent.over, "no CANCEL came")
    assert agent.leg.ended_by_far_end
    assert LegState.CONFIRMED not in agent.states
    assert done.result["outcome"] == "cancelled"
    assert done.exit_code == 0, done.stdout


async def test_the_caller_hangs_up_in_the_middle_of_a_word(far: FarEnd, folder: Path) -> None:
    script = written(
        folder, WORDS, "hangup: {after: {event: caller_speech_started, delay_ms: 400}}"
    )
    async with calling(far.uri, "--script", script, "--json") as running:
        agent, done = await greeted(far, running, answer=False)

    assert agent.leg.ended_by_far_end
    word_ms = len(loud_part(agent.heard)) / RATE_HZ * 1000
    assert 150 <= word_ms < 900  # of its 1000
    assert done.exit_code == 0, done.stdout


async def test_noise_goes_on_between_the_words(far: FarEnd, folder: Path) -> None:
    rest = "noise: {kind: white, snr_db: 30}"
    async with calling(far.uri, "--script", written(folder, WORDS, rest=rest), "--json") as running:
        agent = await talking(far)
        agent.play(tone(AGENT_HZ, 1500))
        await wait_until(lambda: len(agent.caller_speech) >= 2, "the caller did not speak")
        agent.play(tone(AGENT_HZ, 500))
        await running.done()

    windows = agent.heard[: len(agent.heard) // 480 * 480].reshape(-1, 480)
    levels = rms_dbfs(windows)
    words_dbfs = 20 * np.log10(6000 / np.sqrt(2) / 32768)
    before = levels[25:60]  # after the first half second, before the words
    # What a telephone line leaves of white noise at 24 kHz: a third of its band, 4.8 dB less.
    assert np.median(before) == pytest.approx(words_dbfs - 30 - 4.8, abs=1.5)
    assert np.percentile(before, 20) > words_dbfs - 30 - 12, "gaps in the noise"
    assert levels.max() == pytest.approx(words_dbfs, abs=1.5)


async def test_an_impaired_network_is_on_the_way_of_media_and_survives_re_invites(
    far: FarEnd, folder: Path
) -> None:
    recording = folder / "call.wav"
    script = written(
        folder,
        WORDS,
        "hold: {ms: 500}",
        rest="network: {delay_ms: 300}\nend: {by: anyone, after_s: 7}",
    )
    arguments = ("--script", script, "--json", "--events", "--record", str(recording))
    async with calling(far.uri, *arguments) as running:
        agent = await talking(far)
        agent.play(tone(AGENT_HZ, 500))
        await wait_until(lambda: len(agent.caller_speech) == 2, "the caller did not speak")
        await wait_until(lambda: agent.media == [True, False, True], "the caller did not hold")
        resumed_ms = agent.position_ms  # its re-INVITE has to be acknowledged before ours
        await wait_until(lambda: agent.position_ms > resumed_ms + 400)
        agent.leg.hold()
        await wait_until(lambda: agent.media.count(False) == 2, "no hold")
        agent.leg.resume()
        await wait_until(lambda: agent.media[-1], "no resume")
        agent.play(tone(AGENT_HZ, 500))
        done = await running.done()

    heard = [turn for turn in done.result["turns"] if turn["speaker"] == "agent"]
    assert len(heard) == 2, "after the hold it is heard again"
    assert heard[0]["start_ms"] - agent.playing_from_ms[0] >= 300 - 150
    said = next(each for each in done.events if each["event"] == "caller_started")
    came_ms = agent.caller_speech[0][1]
    assert came_ms - said["at_ms"] >= 300 - 150
    samples, rate_hz = read_wav(recording)
    assert loudest_hz(loud_part(samples[:, 1]), rate_hz) == pytest.approx(AGENT_HZ, abs=10)


ANSWERS = """
hears:
  - Your last invoice was forty two dollars.
  - Your last invoice was fifty two dollars.
  - Your last invoice was forty dollars.
network: {loss_pct: 5, seed: 11}
"""


@pytest.mark.speech
async def test_with_five_percent_of_loss_numbers_are_still_right(far: FarEnd, folder: Path) -> None:
    script = written(folder, "expect: {numbers: 42}", rest=ANSWERS)
    async with calling(far.uri, "--script", script, "--json") as running:
        agent = await talking(far)
        speech = Synthesizer().say("Your last invoice was forty two dollars.")
        agent.play(np.concatenate([np.zeros(12_000, np.int16), speech]))
        done = await running.done()

    assert done.exit_code == 0, done.stdout
    await wait_until(lambda: agent.leg.rtp is not None, "the call has no RTP figures")
    received = agent.leg.rtp.received if agent.leg.rtp else None
    assert received is not None
    assert 0.01 <= received.lost / (received.lost + received.packets) <= 0.12


@pytest.mark.parametrize(
    ("network", "bridge_hears", "caller_hears"),
    [
        ("{loss_pct: 100, direction: to_bridge}", False, True),
        ("{loss_pct: 100, direction: to_caller}", True, False),
    ],
)
async def test_a_direction_can_be_lost_alone(
    far: FarEnd, folder: Path, network: str, bridge_hears: bool, caller_hears: bool
) -> None:
    rest = f"network: {network}\nend: {{after_s: 4}}"
    async with calling(far.uri, "--script", written(folder, WORDS, rest=rest), "--json") as running:
        agent = await talking(far)
        agent.play(tone(AGENT_HZ, 1000))
        done = await running.done()

    assert bool(agent.caller_speech) is bridge_hears
    assert (done.result["agent_heard_ms"] > 800) is caller_hears
    assert (done.result["agent_heard_ms"] == 0) is not caller_hears
