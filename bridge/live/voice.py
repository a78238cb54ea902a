"""Plays the bridge's own sounds to a caller: tones, and phrases rendered before the call."""

import asyncio
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import structlog

from bridge.engine.effects import (
    DuckPlayout,
    Effect,
    PlayFiller,
    PlayPhrase,
    RestorePlayout,
    StopFiller,
)
from bridge.live.filler import FILLER_ITEM, TONE_MS, filler_audio
from bridge.live.phrases import Phrases
from bridge.realtime.ids import ItemId
from bridge.realtime.session_config import AudioFormat
from bridge.telephony.lines import Line
from bridge.telephony.pump import Pump

log = structlog.get_logger(__name__)


class BridgeVoice:
    """The bridge's own sounds in one call.

    Args:
        line: the call's line; None before there is media, and after its end.
        language: of the dialplan's phrases.
        record: writes an event, its kind and fields, to the call's stream.
    """

    def __init__(
        self,
        pump: Pump,
        line: Callable[[], Line | None],
        phrases: Phrases,
        language: str | None,
        record: Callable[[str, Mapping[str, str | int | None]], None],
    ) -> None:
        self._pump = pump
        self._line = line
        self._phrases = phrases
        self._language = language
        self._rendering: set[asyncio.Task[None]] = set()
        self._record = record

    @property
    def effects(self) -> Mapping[type[Effect], Callable[[Any], None]]:  # the key is its argument
        """The effects that are carried out here."""
        return MappingProxyType(
            {
                PlayFiller: self._tone,
                PlayPhrase: self._phrase,
                StopFiller: self._stop,
                DuckPlayout: lambda effect: self._duck(effect.by_db),
                RestorePlayout: lambda _: self._duck(0.0),
            }
        )

    async def aclose(self) -> None:
        """Give up what is being rendered for this call."""
        rendering = list(self._rendering)
        for task in rendering:
            task.cancel()
        await asyncio.gather(*rendering, return_exceptions=True)

    def _tone(self, effect: PlayFiller) -> None:
        self._record("filler", {"ms": TONE_MS})
        self._play(FILLER_ITEM, filler_audio(pause=effect.pause))

    def _phrase(self, effect: PlayPhrase) -> None:
        audio = self._phrases.audio(self._language, effect.text)
        length_ms = None if audio is None else len(audio) // AudioFormat.PCM_24KHZ.bytes_per_ms
        self._record("filler" if effect.bids_wait else "phrase", {"ms": length_ms})
        if audio is not None:
            self._play(effect.item_id, audio)
            return
        task = asyncio.create_task(self._render(effect), name=f"render-{effect.item_id}")
        self._rendering.add(task)
        task.add_done_callback(self._rendering.discard)

    async def _render(self, effect: PlayPhrase) -> None:
        audio = await self._phrases.spoken(self._language, effect.text)
        # A phrase that can't be rendered must be heard as something: its end is awaited.
        self._play(effect.item_id, audio or filler_audio(pause=False))

    def _stop(self, effect: StopFiller) -> None:
        line = self._line()
        if line is not None:
            self._pump.downlink.flush(line.row)

    def _duck(self, by_db: float) -> None:
        line = self._line()
        if line is not None:
            self._pump.downlink.duck(line.row, by_db)
        if math.isinf(by_db):
            self._record("agent_yielded", {})
            log.info("agent_yielded")

    def _play(self, item_id: ItemId, audio: bytes) -> None:
        line = self._line()
        if line is not None:
            self._pump.downlink.play(line.row, item_id, 0, audio)
