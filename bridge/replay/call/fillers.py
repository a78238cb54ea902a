"""Finds the fillers in a call: the bridge's tones by ear, its phrases by its events. Pure.

A filler is no answer. Whatever judges how soon the agent spoke leaves it out, and mentions it.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from bridge.audio.levels import DEFAULT_HANGOVER_MS, find_speech
from bridge.audio.tones import find_tones
from bridge.replay.call.timeline import CallLog, HeardFiller
from bridge.replay.evidence.evidence import CallerEvidence, GatewayEvent
from bridge.softphone.ear import EAR_HZ, HeardUtterance
from bridge.speech.recognition import HeardPiece

_BEGINS_WITHIN_MS = 1_000.0
"""From the bridge's event to the caller's hearing it: two clocks, packets and jitter buffer."""
_EARLY_MS = 60.0
_CUT_MS = 500
"""A caller who speaks silences a phrase within so long."""


def find_fillers(
    audio: npt.NDArray[np.int16], utterances: Sequence[HeardUtterance]
) -> tuple[tuple[HeardFiller, ...], npt.NDArray[np.int16]]:
    """Find the waiting tones in what a caller heard.

    Args:
        audio: (n,) int16 at 24 kHz.
        utterances: when something was heard in it.

    Returns:
        The tones, and the audio with silence in their place, for the recogniser.
    """
    voice = audio.copy()
    found = []
    for start_ms, end_ms in find_tones(audio, EAR_HZ):
        if any(_overlap_ms(start_ms, end_ms, each) > 0 for each in utterances):
            found.append(HeardFiller(start_ms, end_ms, "tone"))
            voice[start_ms * EAR_HZ // 1000 : end_ms * EAR_HZ // 1000] = 0
    starts = [start * 1000 // EAR_HZ for start, _ in find_speech(voice, EAR_HZ)]
    return tuple(_up_to_voice(each, starts) for each in found), voice


def _up_to_voice(filler: HeardFiller, starts: Sequence[int]) -> HeardFiller:
    """Let a tone last to the voice behind it, where a pause of one utterance is between them."""
    behind = (at for at in starts if 0 <= at - filler.end_ms <= DEFAULT_HANGOVER_MS)
    return replace(filler, end_ms=next(behind, filler.end_ms))


def with_phrases(side: CallerEvidence, events: Sequence[GatewayEvent]) -> CallerEvidence:
    """Return a caller's side with the fillers that the gateway says it played as phrases."""
    log = side.log
    if log is None:
        return side
    fillers = list(log.fillers)
    for event in events:
        length = event.fields.get("ms", "") if event.kind == "filler" else ""
        start_ms = _heard_from_ms(log, event.at_ms)
        if length.isdigit() and start_ms is not None:
            spoken = (deed.start_ms for deed in log.deeds if deed.start_ms > start_ms)
            end_ms = min(start_ms + int(length), next(spoken, log.duration_ms) + _CUT_MS)
            fillers.append(HeardFiller(start_ms, end_ms, "phrase"))
    pieces = tuple(each for each in log.pieces if each.text or not _is_filler(each, fillers))
    fillers.sort(key=lambda each: each.start_ms)
    return replace(side, log=replace(log, fillers=tuple(fillers), pieces=pieces))


def _heard_from_ms(log: CallLog, at_ms: float) -> int | None:
    """Return when a filler that began at a moment was heard; None where a tone is known there."""
    begins_ms, ends_ms = at_ms - _EARLY_MS, at_ms + _BEGINS_WITHIN_MS
    if any(begins_ms <= each.start_ms <= ends_ms for each in log.fillers):
        return None
    starts = (each.start_ms for each in log.utterances if begins_ms <= each.start_ms <= ends_ms)
    return next(starts, None)


def _is_filler(piece: HeardPiece, fillers: Sequence[HeardFiller]) -> bool:
    within_ms = sum(_overlap_ms(each.start_ms, each.end_ms, piece) for each in fillers)
    return 2 * within_ms > piece.end_ms - piece.start_ms


def _overlap_ms(start_ms: int, end_ms: int, heard: HeardUtterance | HeardPiece) -> int:
    heard_end_ms = end_ms if heard.end_ms is None else heard.end_ms
    return max(0, min(end_ms, heard_end_ms) - max(start_ms, heard.start_ms))
