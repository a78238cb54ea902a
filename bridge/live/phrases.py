"""The phrases that the bridge itself says, rendered before any call where they are known then.

Without a Realtime session there is no voice, and a speech engine may not hold the loop in a call,
so everything that a dialplan has to say is rendered once, in a worker thread, when the gateway
starts; what is only known in a call (a summary, say) is rendered there then. 24 kHz 16-bit mono
PCM, by language and text.
"""

import asyncio
from collections.abc import Iterable, Sequence

import structlog

from bridge.errors import BridgeError
from bridge.live.turn_policy import turn_phrases
from bridge.routing.models import Dialplan
from bridge.routing.tools import fillers
from bridge.speech.synthesis import Synthesizer, voice_of

log = structlog.get_logger(__name__)

_KEPT = 2_000
"""Phrases, of a quarter of a megabyte each at most."""

_Key = tuple[str | None, str]
"""Language (BCP 47) and text."""


class Phrases:
    """Rendered phrases; empty until :meth:`render`."""

    def __init__(self) -> None:
        self._audio: dict[_Key, bytes] = {}

    async def render(self, dialplans: Iterable[Dialplan]) -> None:
        """Render what these dialplans have to say; what can't be is warned of once.

        A phrase that is missing is no reason to take no calls: its callers hear a tone.
        """
        wanted = {key: None for dialplan in dialplans for key in _keys(dialplan)}
        missing = await asyncio.to_thread(self._render, list(wanted)) if wanted else {}
        if missing:
            errors = "; ".join(sorted(set(missing.values())))
            log.warning("phrases_not_rendered", count=len(missing), error=errors, instead="a tone")

    async def render_text(self, language: str | None, text: str) -> bytes | None:
        """Render a phrase in a call, and keep it; None where it can't be."""
        if (language, text) not in self._audio:
            missing = await asyncio.to_thread(self._render, [(language, text)])
            for error in missing.values():
                log.warning("phrases_not_rendered", count=1, error=error, instead="a tone")
            while len(self._audio) > _KEPT:  # those of the dialplans came first, and stay
                self._audio.popitem()
        return self._audio.get((language, text))

    def audio(self, language: str | None, text: str) -> bytes | None:
        """Return a phrase's audio; None where it was not rendered."""
        return self._audio.get((language, text))

    def at_hand(self, language: str | None, text: str | None) -> str | None:
        """Return ``text`` if it was rendered, else None."""
        return None if text is None or self.audio(language, text) is None else text

    def _render(self, keys: Sequence[_Key]) -> dict[_Key, str]:
        """Render in the caller's thread; return what failed, and why."""
        missing = {}
        for language, text in keys:
            try:
                samples = Synthesizer(voice_of(language)).say(text)
            except (BridgeError, OSError) as error:  # OSError: the engine's library can't be loaded
                missing[language, text] = str(error)
                continue
            if len(samples):
                self._audio[language, text] = samples.astype("<i2").tobytes()
            else:
                missing[language, text] = "a phrase without a word"
        return missing


def _keys(dialplan: Dialplan) -> Iterable[_Key]:
    language = dialplan.agent.language
    spoken = (
        dialplan.recovery.phrase,
        *dialplan.fallback.phrases,
        *fillers(dialplan.agent.tools),
        *turn_phrases(dialplan),
    )
    for text in spoken:
        if text is not None:
            yield language, text
