"""A caller's ear in a supervisor's shift: waits until something is heard, or fails with its sound.

A supervisor hums, a person to whom a call is handed hums otherwise, machines speak sentences that
a recogniser is asked for, and who waits hears tones.
"""

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from bridge.audio.resample import resample_rational
from bridge.audio.wav import write_wav
from bridge.speech.recognition import Recognizer
from bridge.speech.synthesis import SAMPLE_RATE_HZ, Synthesizer
from tests.audio.signals import level_at_db, loudest_other_db, spectrum_db
from tests.support.rtp_caller import RtpCaller
from tests.support.supervisor import RATE_HZ, VOICE_HZ, heard_by

HOLD_HZ, PERSON_HZ = 440.0, 1000.0
GREETING = "Thank you for calling. How can I help you?"
ASKS, ANSWERS = "Where is my parcel?", "Your parcel comes tomorrow."
GOES_ON = "I am here for you again."
EXACTLY = "We send a second parcel today."
NOTE = "Offer a second parcel."
BRIEFING = "The caller wants a second parcel."
ANNOUNCED = f"A new call. {BRIEFING} Press one."
"""What a person hears who is called: without a pause, as one piece."""
WORDS = (GREETING, ANSWERS, GOES_ON, EXACTLY, NOTE, ANNOUNCED)
"""All that a machine says to somebody, and what is whispered to one."""

PATIENCE_S = 30.0
_WINDOW, _SHORT = RATE_HZ // 2, RATE_HZ // 4

Sound = npt.NDArray[np.int16]


def is_tone(sound: Sound, hz: float, over_db: float = 10.0) -> bool:
    """Return whether a sound is a tone; a browser takes a steady one for noise, and damps it."""
    level_db = level_at_db(sound, hz, RATE_HZ)
    return level_db > 40 and loudest_other_db(sound, hz, RATE_HZ) < level_db - over_db


def is_tone_in_voice(sound: Sound, hz: float) -> bool:
    """Return whether a tone and a voice are heard at once: a voice alone has no such peak."""
    levels_db, bin_hz = spectrum_db(sound, RATE_HZ)
    away_hz = np.abs(np.arange(levels_db.size) * bin_hz - hz)
    tone_db = levels_db[away_hz < 20].max()
    beside_db = levels_db[(away_hz > 40) & (away_hz < 250)].max()
    return bool(tone_db > max(55, beside_db + 10) and levels_db[away_hz > 250].max() > 55)


def has_words(sound: Sound, text: str) -> bool:
    """Return whether a sentence was said; blocks."""
    sentences = [each for words in WORDS for each in _sentences(words)]
    pieces = Recognizer([*sentences, ANNOUNCED]).hear_all(sound, RATE_HZ)
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
            self._fails(f"the caller did not hear {what}")

    def _fails(self, why: str) -> NoReturn:
        """Fail, and keep the sound in which it was looked for."""
        path = self._folder / f"heard_{time.monotonic():.0f}.wav"
        write_wav(path, self.sound, RATE_HZ)
        raise AssertionError(f"{why}: {path.name}") from None

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
            again: is done once more where it is not heard: a machine that is too busy chops what
                a caller says, and the agent answers something else. It chops what they hear, too:
                there alone a voice is enough in the end.
        """
        for _ in range(1 if again is None else 3):
            try:
                await self.hears(f"“{text}”", _Words(text))
                return
            except AssertionError:
                if not is_busy():
                    raise
                if again is not None:
                    self._count(f"the caller is not understood, chopped: again for “{text}”")
                    self.from_now()  # to ask the recogniser while the caller speaks chops it
                    again()
        assert np.abs(self.sound).max(initial=0) > 1_000, f"the caller heard no voice: “{text}”"
        self._count(f"the caller hears a voice, chopped: “{text}”")

    async def heard_no_words(self, text: str) -> None:
        """Look whether a sentence was said since the question's begin: it must not have been."""
        if await asyncio.to_thread(has_words, self.sound, text):
            self._fails(f"the caller heard “{text}”")
        self._count(f"the caller does not hear “{text}”")

    async def hears_both(self) -> None:
        """Wait until the supervisor's hum and a voice are heard at once."""
        await self.hears(
            "supervisor and AI at once", lambda s: is_tone_in_voice(s[-_WINDOW:], VOICE_HZ)
        )

    async def hears_supervisor_again(self) -> None:
        """Wait until the microphone is heard from now on."""
        self.from_now()
        await self.hears_supervisor()

    async def hears_no_supervisor(self, ms: int = 1_500) -> None:
        """Listen for a while: no half second of it is the microphone's."""
        await self.hears("something", lambda sound: len(sound) >= ms * RATE_HZ // 1000)
        sound = self.sound
        pieces = [sound[at : at + _WINDOW] for at in range(0, len(sound) - _WINDOW, _SHORT)]
        if any(is_tone(each, VOICE_HZ) for each in pieces):
            self._fails("the supervisor was heard")
        self._count("the caller does not hear the supervisor")
