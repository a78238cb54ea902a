"""A supervisor's shift: two gateways, a browser with a microphone behind a wire that can be cut,
callers whose ears are asked what they heard, and the audit as it stands in Redis.
"""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from playwright.async_api import Browser, Page, expect
from playwright.async_api import Error as PlaywrightError

from bridge.audio.resample import resample_rational
from bridge.audio.wav import write_wav
from bridge.speech.recognition import Recognizer
from bridge.speech.synthesis import SAMPLE_RATE_HZ, Synthesizer
from bridge.store.client import RedisLink
from tests.audio.signals import level_at_db, loudest_other_db
from tests.support.browser import open_page
from tests.support.console_user import sign_in
from tests.support.gateways import PLAIN_AGENT, Gateway, serving, write_dialplan
from tests.support.person import free_udp_port
from tests.support.processes import simulating, write_yaml
from tests.support.rtp_caller import RtpCaller
from tests.support.supervisor import RATE_HZ, VOICE_HZ, heard_by

HOLD_HZ, PERSON_HZ = 440.0, 1000.0
GREETING = "Thank you for calling. How can I help you?"
ASKS, ANSWERS = "Where is my parcel?", "Your parcel comes tomorrow."
GOES_ON = "I am here for you again."
EXACTLY = "We send a second parcel today."
BRIEFING = "The caller wants a second parcel."
WORDS = (GREETING, ANSWERS, GOES_ON, EXACTLY, BRIEFING, "A new call.", "Press one.")
"""All that a machine says to somebody."""

DIALECTS = ("ga", "beta")
PATIENCE_S = 30.0
_SCENARIO = {
    "name": "shift",
    "words_per_minute": 160,
    "greeting": GREETING,
    "fallback": GOES_ON,
    "rules": [{"hears": [ASKS], "say": ANSWERS}],
}
_WINDOW, _SHORT = RATE_HZ // 2, RATE_HZ // 4

Sound = npt.NDArray[np.int16]


def is_tone(sound: Sound, hz: float, over_db: float = 10.0) -> bool:
    """Return whether a sound is a tone; a browser takes a steady one for noise, and damps it."""
    level_db = level_at_db(sound, hz, RATE_HZ)
    return level_db > 40 and loudest_other_db(sound, hz, RATE_HZ) < level_db - over_db


def has_words(sound: Sound, text: str) -> bool:
    """Return whether a sentence was said; blocks."""
    sentences = [each for words in WORDS for each in _sentences(words)]
    pieces = Recognizer(sentences).hear_all(sound, RATE_HZ)
    heard = " ".join(each.text for each in pieces if each.text)  # a row of sentences is one piece
    return all(each in heard for each in _sentences(text))


def _holds(sound: Sound, hz: float, size: int) -> bool:
    """Return whether the last three seconds hold a tone for so many samples."""
    latest = sound[-3 * RATE_HZ :]
    return any(
        is_tone(latest[at : at + size], hz) for at in range(0, len(latest) - size + 1, size // 4)
    )


def _sentences(text: str) -> list[str]:
    return [each.strip() + end for each, end in _ends(text)]


def _ends(text: str) -> Iterator[tuple[str, str]]:
    rest = text
    while rest:
        at = min((rest.find(mark) for mark in ".?" if mark in rest), default=len(rest) - 1)
        yield rest[:at], rest[at]
        rest = rest[at + 1 :]


def spoken(text: str) -> Sound:
    """Return a caller's sentence, (n,) at 8 kHz."""
    return resample_rational(Synthesizer("en-us", 150).say(text), SAMPLE_RATE_HZ, RATE_HZ)


class _Words:
    """Asks the recogniser for a sentence, each time that somebody has come to a pause."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._loud = 0

    def __call__(self, sound: Sound) -> bool:
        loud = int((np.abs(sound) > 1_000).sum())
        pauses = bool(np.abs(sound[-_WINDOW:]).max(initial=0) < 500)
        if not pauses or loud == self._loud:
            return False
        self._loud = loud
        return has_words(sound, self._text)


def is_busy() -> bool:
    """Return whether this machine has more to do than it can: sound is chopped then."""
    return os.getloadavg()[0] > 1.5 * (os.cpu_count() or 1)


class Ear:
    """What one caller hears, asked from a moment on.

    Args:
        caller: whose.
        count: is called with each answer that was found.
        folder: gets the sound in which something was not heard.
    """

    def __init__(self, caller: RtpCaller, count: Callable[[str], None], folder: Path) -> None:
        self.caller = caller
        self._folder = folder
        self._count = count
        self._since = 0

    def from_now(self) -> None:
        """Ask of what comes after this alone."""
        self._since = len(self.caller.heard)

    @property
    def sound(self) -> Sound:
        """What was heard since then, (n,) at 8 kHz."""
        return heard_by(self.caller.heard[self._since :])

    async def hears(self, what: str, found: Callable[[Sound], bool]) -> None:
        """Wait until something is heard."""
        asked = 0
        try:
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    sound = self.sound
                    if len(sound) >= max(asked, _WINDOW):
                        if await asyncio.to_thread(found, sound):
                            self._count(f"the caller hears {what}")
                            return
                        asked = len(sound) + RATE_HZ // 4
                    await asyncio.sleep(0.1)
        except TimeoutError:
            write_wav(self._folder / f"not_heard_{time.monotonic():.0f}.wav", self.sound, RATE_HZ)
            raise AssertionError(f"the caller did not hear {what}") from None

    async def hears_supervisor(self) -> None:
        """Wait until half a second of the latest is the microphone's hum, and nothing else."""
        await self.hears("the supervisor", lambda s: _holds(s, VOICE_HZ, _WINDOW))

    async def hears_hold(self) -> None:
        """Wait until the latest sound is the waiting tone's."""
        await self.hears("waiting tones", lambda s: _holds(s, HOLD_HZ, _SHORT))

    async def hears_person(self) -> None:
        """Wait until the last half second is the other phone's hum."""
        await self.hears("the person", lambda s: is_tone(s[-_WINDOW:], PERSON_HZ, 20))

    async def hears_words(self, text: str, again: Callable[[], object] | None = None) -> None:
        """Wait until a sentence was said since the question's begin.

        Args:
            text: the sentence.
            again: is done once more where nothing of the kind is heard for a while: a machine that
                is too busy chops what a caller says, too. There alone a voice is enough.
        """
        for _ in range(3):
            try:
                await self.hears(f"“{text}”", _Words(text))
                return
            except AssertionError:
                if not is_busy():
                    raise
                if np.abs(self.sound).max(initial=0) > 1_000:
                    self._count(f"the caller hears a voice, chopped: “{text}”")
                    return
                if again is not None:
                    again()
        raise AssertionError(f"the caller heard no voice: “{text}”")

    async def hears_both(self) -> None:
        """Wait until the supervisor's hum and a voice are heard at once."""

        def found(sound: Sound) -> bool:
            latest = sound[-_WINDOW:]
            level_db = level_at_db(latest, VOICE_HZ, RATE_HZ)
            return level_db > 40 and loudest_other_db(latest, VOICE_HZ, RATE_HZ) > 50

        await self.hears("supervisor and AI at once", found)

    async def hears_supervisor_again(self) -> None:
        """Wait until the microphone is heard from now on."""
        self.from_now()
        await self.hears_supervisor()

    async def hears_no_supervisor(self, ms: int = 1_500) -> None:
        """Listen for a while: no half second of it is the microphone's."""
        await self.hears("something", lambda sound: len(sound) >= ms * RATE_HZ // 1000)
        sound = self.sound
        pieces = [sound[at : at + _WINDOW] for at in range(0, len(sound) - _WINDOW, _SHORT)]
        assert not any(is_tone(each, VOICE_HZ) for each in pieces), "the supervisor was heard"
        self._count("the caller does not hear the supervisor")


class Wire:
    """A TCP relay between the browser and the console.

    Args:
        port: of the console.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._ends: set[asyncio.StreamWriter] = set()
        self._cut = False
        self.url = ""

    async def open(self) -> asyncio.Server:
        server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        return server

    async def cut(self, for_s: float) -> None:
        """Break all that goes on, and let nothing through for a while."""
        self._cut = True
        for end in tuple(self._ends):
            end.transport.abort()
        await asyncio.sleep(for_s)
        self._cut = False

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._cut:
            writer.transport.abort()
            return
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        ends = {writer, back}
        self._ends |= ends
        with suppress(OSError):
            await asyncio.gather(_pump(reader, back), _pump(there, writer))
        self._ends -= ends
        for end in ends:
            end.transport.abort()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(65_536):
            sink.write(data)
            await sink.drain()
    finally:
        sink.close()


@dataclass
class Office:
    """What the shift works with."""

    directory: Path
    redis_url: str
    nodes: list[Gateway]
    ann_port: int
    restart: Callable[[], Gateway]

    async def audited(self, call_id: str) -> list[tuple[str, str, str]]:
        """Return actor, action and result of the audit's entries on a call, the earliest first."""
        link = RedisLink(self.redis_url, timeout_s=5)
        found: Any = await link.ask(["XRANGE", "bridge:audit", "-", "+"])  # Any: a nested reply
        await link.aclose()
        entries = [dict(zip(words[::2], words[1::2], strict=True)) for _, words in found]
        return [
            (each["actor"], each["action"], each["result"])
            for each in entries
            if each.get("call_id") == call_id
        ]


@contextmanager
def shift_office(redis_url: str, directory: Path) -> Iterator[Office]:
    """Run a simulator and two gateways; a call to `ga` or `beta` gets that dialect."""
    ann_port = free_udp_port()
    dialplans = directory / "dialplans"
    for dialect in DIALECTS:
        write_dialplan(
            dialplans,
            {**PLAIN_AGENT, "greeting": GREETING},
            name=dialect,
            called=dialect,
            arm=dialect,
            caller_silence={"enabled": False},  # a caller who only listens is no lost one
            dead_air={"enabled": False},
            handoff={
                "targets": {
                    "ann": {"to": f"sip:ann@127.0.0.1:{ann_port}", "mode": "warm", "ring_s": 60}
                },
                "announce": "A new call.",
                "ask": "Press one.",
                "accept": {"by": "key", "within_s": 60},
                "wrap_up": ["resolved", "second_parcel"],
            },
        )
    with ExitStack() as all_of_it:
        url = all_of_it.enter_context(
            simulating(directory, write_yaml(directory / "shift.yaml", _SCENARIO))
        )
        arms = {
            dialect: {"url": url, "api_key_env": "SIM_KEY", "dialect": dialect}
            for dialect in DIALECTS
        }

        def start(name: str) -> Gateway:
            return all_of_it.enter_context(
                serving(
                    *(directory / name, url, dialplans),
                    preflight=False,
                    redis_url=redis_url,
                    arms=arms,
                    console={"enabled": True},
                    environ={"BRIDGE_NODE": name},
                )
            )

        for name in ("node-a", "node-b"):
            (directory / name).mkdir()
        nodes = [start("node-a"), start("node-b")]

        def restart() -> Gateway:
            os.kill(nodes[1].process.pid, signal.SIGKILL)
            nodes[1] = start("node-b")
            return nodes[1]

        yield Office(directory, redis_url, nodes, ann_port, restart)


_WATCHED = """
    window.longest_ms = 0;
    new PerformanceObserver((list) => {
        for (const { duration } of list.getEntries()) {
            window.longest_ms = Math.max(window.longest_ms, duration);
        }
    }).observe({ type: "longtask", buffered: true });
"""


@asynccontextmanager
async def console_page(
    browser: Browser, office: Office, url: str, name: str
) -> AsyncIterator[Page]:
    """Open a supervisor's page; a lost connection may be told of in its console."""
    token, _ = await sign_in(office.redis_url, name)
    lost = ("ERR_", "WebSocket", "status of 50", "status of 40")
    async with open_page(
        browser, f"{url}/calls", cookies={"bridge_session": token}, expected_errors=lost, width=1440
    ) as page:
        page.set_default_timeout(PATIENCE_S * 1000)
        await page.context.add_init_script(_WATCHED)
        page.on("dialog", lambda dialog: asyncio.ensure_future(dialog.accept()))
        await page.evaluate(_WATCHED)
        await expect(page.locator("#live-badge")).to_have_attribute("data-state", "live")
        yield page


async def heap_bytes(page: Page) -> int:
    """Return what a page's scripts hold after a collection."""
    session = await page.context.new_cdp_session(page)
    await session.send("HeapProfiler.collectGarbage")
    found: dict[str, Any] = await session.send("Runtime.getHeapUsage")
    await session.detach()
    return int(found["usedSize"])


async def _leave(number: int) -> None:
    """Leave things as they are after a step that failed."""


class Diary:
    """What was done and seen in a shift.

    Attributes:
        recover: is called after a step that failed, with its number.
    """

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.checks: list[str] = []
        self.failures: list[str] = []
        self.slowest: tuple[int, str] = (0, "")
        self.recover: Callable[[int], Awaitable[None]] = _leave

    @asynccontextmanager
    async def step(self, name: str) -> AsyncIterator[None]:
        """Note a step, and a failure of it; the shift goes on."""
        self.steps.append(name)
        try:
            yield
        except (AssertionError, TimeoutError, PlaywrightError) as error:
            why = str(error).partition("\nCall log")[0].replace("\n", " ")
            self.failures.append(f"{len(self.steps)}. {name}: {why or type(error).__name__}")
            print(f"FAILED {self.failures[-1]}")
            await self.recover(len(self.steps))
        else:
            print(f"{len(self.steps)}. {name}")

    async def reacts(self, what: str, waiting: Any) -> None:  # Any: an awaitable of anything
        """Wait until the page shows something; note how long that took."""
        began_s = time.monotonic()
        await waiting
        self.checks.append(what)
        self.slowest = max(self.slowest, (round((time.monotonic() - began_s) * 1000), what))

    def told(self, **more: object) -> str:
        """Return the shift's report as JSON."""
        return json.dumps(
            {
                "steps": len(self.steps),
                "checks": len(self.checks),
                "slowest": self.slowest,
                "failures": self.failures,
                **more,
            },
            indent=1,
        )
