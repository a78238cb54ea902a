"""The browser that tests drive catches what a page does wrong, and hears a file as a microphone."""

from pathlib import Path

import numpy as np
import pytest

from bridge.audio.wav import write_wav
from tests.support.browser import (
    accessibility_faults,
    keep_screenshot,
    open_browser,
    open_page,
    too_wide,
)

pytestmark = pytest.mark.browser

_HEAD = '<!doctype html><html lang="en"><title>A page</title><main><h1>A page</h1>'


def _page(folder: Path, body: str) -> str:
    path = folder / "page.html"
    path.write_text(_HEAD + body + "</main></html>", encoding="utf-8")
    return path.as_uri()


async def test_a_sound_page_is_let_through(tmp_path: Path) -> None:
    async with (
        open_browser() as browser,
        open_page(browser, _page(tmp_path, "<p>Good.</p>"), width=360, scheme="dark") as page,
    ):
        assert await accessibility_faults(page) == []
        assert await too_wide(page) == 0
        assert await page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
        kept = await keep_screenshot(page, "support: a sound page", tmp_path / "kept")
        assert kept.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("<script>console.error('it broke')</script>", "it broke"),
        ("<script>null.field</script>", "exception"),
        ("<img alt='' src='http://elsewhere.invalid/a.png'>", "elsewhere.invalid"),
        ("<script>new WebSocket('ws://elsewhere.invalid/')</script>", "elsewhere.invalid"),
        ("<link rel='stylesheet' href='beside.css'>", "beside.css"),
    ],
)
async def test_a_page_that_errs_or_asks_elsewhere_fails(
    tmp_path: Path, body: str, complaint: str
) -> None:
    (tmp_path / "beside.css").write_text("p { color: red }", encoding="utf-8")
    async with open_browser() as browser:
        with pytest.raises(AssertionError, match=complaint):
            async with open_page(browser, _page(tmp_path, body)) as page:
                await page.wait_for_load_state("networkidle")


async def test_faults_of_accessibility_and_width_are_told(tmp_path: Path) -> None:
    body = '<img src="data:," width="900" height="9"><p style="color: #ccc">Faint.</p>'
    async with open_browser() as browser, open_page(browser, _page(tmp_path, body)) as page:
        faults = "\n".join(await accessibility_faults(page))
        assert "image-alt" in faults
        assert "color-contrast" in faults
    async with (
        open_browser() as browser,
        open_page(browser, _page(tmp_path, body), width=360) as page,
    ):
        assert await too_wide(page) > 500


async def test_the_microphone_is_the_file(tmp_path: Path) -> None:
    tone = np.sin(np.arange(48_000) * 2 * np.pi * 1000 / 48_000)
    write_wav(tmp_path / "tone.wav", (12_000 * tone).astype(np.int16), 48_000)
    loudest_hz = """async () => {
        const stream = await navigator.mediaDevices.getUserMedia({audio: {
            echoCancellation: false, noiseSuppression: false, autoGainControl: false}});
        const context = new AudioContext();
        const analyser = new AnalyserNode(context, {fftSize: 4096});
        context.createMediaStreamSource(stream).connect(analyser);
        const bins = new Float32Array(analyser.frequencyBinCount);
        for (;;) {
            await new Promise(done => setTimeout(done, 50));
            analyser.getFloatFrequencyData(bins);
            const at = bins.indexOf(Math.max(...bins));
            if (bins[at] > -40) return at * context.sampleRate / analyser.fftSize;
        }
    }"""
    async with (
        open_browser(microphone=tmp_path / "tone.wav") as browser,
        open_page(browser, _page(tmp_path, "<p>Say something.</p>")) as page,
    ):
        assert await page.evaluate(loudest_hz) == pytest.approx(1000, abs=30)
