"""What a phone sends beside words: noise, and the agent's voice on its way back."""

import numpy as np
from numpy.typing import NDArray

from bridge.softphone.background import Background, Echo, NoiseLoop
from bridge.softphone.ear import EAR_HZ
from tests.softphone.far_end import tone
from tests.softphone.virtual import VirtualCall

PIECE = 480


def pieces(samples: NDArray[np.int16]) -> list[NDArray[np.int16]]:
    return [samples[at : at + PIECE] for at in range(0, samples.size, PIECE)]


def test_an_echo_is_what_was_heard_its_delay_later_and_quieter() -> None:
    echo = Echo(delay_samples=3 * PIECE, gain=0.1, slack_samples=2 * PIECE)
    heard = (np.arange(20 * PIECE) % 3000).astype(np.int16)
    sent = []
    for piece in pieces(heard):
        echo.hear(piece)
        sent.append(echo.next(PIECE))
    back = np.concatenate(sent)
    assert not back[: 3 * PIECE].any()
    np.testing.assert_allclose(back[3 * PIECE :], heard[: -3 * PIECE] * 0.1, atol=0.51)


def test_what_was_heard_while_words_were_sent_does_not_come_back_late() -> None:
    echo = Echo(delay_samples=PIECE, gain=1.0, slack_samples=PIECE)
    for number in range(1, 101):
        echo.hear(np.full(PIECE, number, np.int16))
    assert set(echo.next(PIECE)) == {99}, "words took the phone's voice for two seconds"


def test_noise_and_echo_add_up_and_are_clipped() -> None:
    echo = Echo(0, 1.0, PIECE)
    background = Background(NoiseLoop(np.full(7, 20_000, np.int16)), echo)
    background.hear(np.full(PIECE, 20_000, np.int16))
    assert set(background.next(PIECE)) == {32767}
    assert set(background.next(PIECE)) == {20_000}, "nothing more was heard"
    background.hear(np.full(PIECE, 9_000, np.int16))
    assert set(background.under(np.full(PIECE, 1, np.int16))) == {20_001}, "no echo under words"


async def test_a_headset_sends_the_agents_voice_back_in_a_call() -> None:
    def agent(call: VirtualCall) -> bool:
        return 1000 < call.now_ms <= 2000

    delay_ms = 200
    echo = Echo(EAR_HZ * delay_ms // 1000, 0.1, 3 * PIECE)
    virtual = VirtualCall(agent, background=Background(None, echo))
    await virtual.run(virtual.call.until_ms(4000))

    loud = [
        at_ms
        for at_ms, audio in virtual.sent
        if audio and np.abs(np.frombuffer(audio, "<i2").astype(int)).max() > 100
    ]
    peak = max(np.abs(np.frombuffer(a, "<i2").astype(int)).max() for _, a in virtual.sent if a)
    quieter = np.abs(tone(1000, 100)).max() * 0.1
    assert abs(peak - quieter) < 0.1 * quieter
    assert 1000 + delay_ms <= loud[0] <= 1000 + delay_ms + 60
    assert 2000 + delay_ms - 20 <= loud[-1] <= 2000 + delay_ms + 60
