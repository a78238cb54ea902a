"""The page's player of a live call, run by a browser: at the rates of nodes and of sound cards."""

import base64
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from bridge.audio.supervisor_frames import ListenFrame, encode_listen
from tests.audio.signals import tone
from tests.support.browser import open_browser

pytestmark = pytest.mark.browser

PLAYER = Path(__file__).parents[2] / "bridge/console/static/worklets/player.js"
FRAMES = 100
CALLER_HZ = 700.0
_PLAY = """({source, frames, cardHz}) => {
    let Player;
    globalThis.AudioWorkletProcessor = class { port = {postMessage() {}}; };
    globalThis.registerProcessor = (name, kind) => { Player = kind; };
    globalThis.sampleRate = cardHz;
    const script = document.createElement("script");
    script.textContent = source;
    document.head.append(script);
    const player = new Player(), heard = [];
    let due = 0;
    for (const frame of frames) {
        const bytes = Uint8Array.from(atob(frame), (each) => each.charCodeAt(0));
        player.port.onmessage({data: {frame: bytes.buffer}});
        for (due += cardHz / 50; due >= 128; due -= 128) {
            const ears = [new Float32Array(128), new Float32Array(128)];
            player.process([], [ears]);
            heard.push(...ears[0]);
        }
    }
    return heard;
}"""
"""Gives a frame, then takes what a sound card takes in its 20 ms, by quanta of 128 samples."""


def stereo_frames(node_hz: int, agent_hz: float) -> list[str]:
    """Return what the page gets of a caller and an agent who hum, in base64."""
    lanes = [tone(hz, node_hz, FRAMES * node_hz // 50, 8_000) for hz in (CALLER_HZ, agent_hz)]
    pieces = np.stack(lanes, axis=1).reshape(FRAMES, -1, 2)
    messages = (encode_listen(ListenFrame(n, 20 * n, each)) for n, each in enumerate(pieces))
    return [base64.b64encode(message).decode() for message in messages]


def loudest_hz(sound: npt.NDArray[np.float64], rate_hz: int) -> set[int]:
    """Return the pitches of the two loudest tones."""
    levels = np.abs(np.fft.rfft(sound * np.kaiser(sound.size, 14)))
    found = set()
    for _ in range(2):
        peak = int(levels.argmax())
        found.add(round(peak * rate_hz / sound.size))
        levels[max(peak - 50, 0) : peak + 50] = 0
    return found


@pytest.mark.parametrize("card_hz", [44_100, 48_000])
@pytest.mark.parametrize(("node_hz", "agent_hz"), [(8_000, 2_100.0), (16_000, 5_000.0)])
async def test_a_call_sounds_as_it_was_said(node_hz: int, agent_hz: float, card_hz: int) -> None:
    async with open_browser() as browser:
        page = await browser.new_page()
        given = {"source": PLAYER.read_text(), "frames": stereo_frames(node_hz, agent_hz)}
        heard = np.array(await page.evaluate(_PLAY, {**given, "cardHz": card_hz}))
    begins = int(np.flatnonzero(heard)[0])
    assert 0.05 < begins / card_hz < 0.11  # what is kept back for the network's sake
    sound = heard[begins:]
    assert loudest_hz(sound, card_hz) == {round(CALLER_HZ), round(agent_hz)}
    loud = np.abs(sound[: sound.size // 441 * 441].reshape(-1, 441)).max(axis=1)
    assert loud.min() > 0.5 * loud.max()  # no gap
