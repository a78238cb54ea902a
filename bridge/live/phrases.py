"""The phrases that the bridge itself says, rendered before any call where they are known then.

Without a Realtime session there is no voice, and a speech engine may not hold the loop in a call,
so everything that a dialplan has to say is rendered once, in a worker thread, before any call is
taken on it; what is only known in a call (a summary, say) is rendered there then. 24 kHz 16-bit
mono PCM, by language and text.
"""

import asyncio
from collections.abc import Iterable, Sequence

import structlog

from bridge.errors import BridgeError
from bridge.routing.barge_in import farewell
from bridge.routing.models import Dialplan
from bridge.routing.modes import Mode, during
from bridge.routing.tools import fillers
from bridge.speech.synthesis import Synthesizer, voice_of

log = structlog.get_logger(__name__)

_Key = tuple[str | None, str]
"""Language (BCP 47) and text."""


class Phrases:
    """Rendered phrases; empty until :meth:`render`."""

    def __init__(self) -> None:
        self._audio: dict[_Key, bytes] = {}

    async def render(self, dialplans: Iterable[Dialplan]) -> None:
        """Render what these dialplans have to say and is not there; what can't be is warned of.

        A phrase that is missing is no reason to take no calls: its callers hear a tone.
        """
        keys = {key: None for dialplan in dialplans for key in _keys(dialplan)}
        wanted = [key for key in keys if key not in self._audio]
        missing = await asyncio.to_thread(self._render, wanted) if wanted else {}
        if missing:
            errors = "; ".join(sorted(set(missing.values())))
            log.warning("phrases_not_rendered", count=len(missing), error=errors, instead="a tone")

    def keep_only(self, dialplans: Iterable[Dialplan]) -> None:
        """Forget what none of these dialplans says; a call that still needs it renders it anew."""
        kept = {key for dialplan in dialplans for key in _keys(dialplan)}
        self._audio = {key: audio for key, audio in self._audio.items() if key in kept}

    def audio(self, language: str | None, text: str) -> bytes | None:
        """Return a phrase's audio; None where it was not rendered."""
        return self._audio.get((language, text))

    async def spoken(self, language: str | None, text: str) -> bytes | None:
        """Return the audio of any text, rendered now in a worker thread if it has to be.

        It is not kept: what is said to one caller is said once. None where it can't be rendered.
        """
        known = self.audio(language, text)
        if known is not None:
            return known
        try:
            return await asyncio.to_thread(_speak, language, text)
        except (BridgeError, OSError) as error:
            log.warning("text_not_rendered", error=str(error), instead="a tone")
            return None

    def at_hand(self, language: str | None, text: str | None) -> str | None:
        """Return ``text`` if it was rendered, else None."""
        return None if text is None or self.audio(language, text) is None else text

    def _render(self, keys: Sequence[_Key]) -> dict[_Key, str]:
        """Render in the caller's thread; return what failed, and why."""
        missing = {}
        for language, text in keys:
            try:
                audio = _speak(language, text)
            except (BridgeError, OSError) as error:  # OSError: the engine's library can't be loaded
                missing[language, text] = str(error)
                continue
            if audio:
                self._audio[language, text] = audio
            else:
                missing[language, text] = "a phrase without a word"
        return missing


def _speak(language: str | None, text: str) -> bytes:
    """Render in the caller's thread.

    Raises:
        BridgeError: no such voice; OSError: the engine's library can't be loaded.
    """
    return Synthesizer(voice_of(language)).say(text).astype("<i2").tobytes()


def _keys(dialplan: Dialplan) -> Iterable[_Key]:
    """Yield what a dialplan has to say, however its calls are treated."""
    language = dialplan.agent.language
    for each in (during(dialplan, mode) for mode in Mode):
        yield from ((language, text) for text in spoken_by(each) if text is not None)


def spoken_by(dialplan: Dialplan) -> Iterable[str | None]:
    """Yield what a dialplan has to say, for rendering before any call."""
    agent, language = dialplan.agent, dialplan.agent.language
    has_person = bool(dialplan.handoff.targets) or dialplan.fallback.to is not None
    yield dialplan.recovery.phrase
    yield dialplan.agent.bridge_greeting
    yield from dialplan.fallback.phrases(language)
    yield from fillers(agent.tools)
    yield from dialplan.dead_air.phrases(language, has_person=has_person)
    yield from dialplan.caller_silence.phrases(language)
    yield dialplan.limits.warning(language)
    yield farewell(language)
    yield from dialplan.consent.phrases(language)
    if agent.transcription is not None and dialplan.emergency.words(language):
        yield dialplan.emergency.instruction(language)
    yield from dialplan.handoff.phrases
    yield from dialplan.keypad.phrases(language)
