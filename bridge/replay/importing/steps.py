"""The steps of a script, drafted from a recorded call. Pure.

What the caller said while the agent was heard is anchored to the agent's begin, not to the clock:
in a replay the agent speaks at other times.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from bridge.live.recording import NOT_RECORDED
from bridge.realtime.conversation import NOT_TRANSCRIBED
from bridge.replay.importing.hiding import Hider
from bridge.replay.importing.recorded import (
    OVER_AGENT_MS,
    RecordedCall,
    RecordedHold,
    RecordedKeys,
    RecordedSpeech,
    Stretch,
    stretches_of,
)

Fields = dict[str, Any]  # Any: a part of a script, as YAML has it

_SHORTEST_GAP_MS = 400
"""Synthetic speech pauses for 360 ms between two sentences: less is no turn's end."""
_BACKCHANNEL_MS = 700
_NO_WORDS_MS = 400
"""A shorter sound that nothing made words of is a cough or the line."""
_MURMUR = "mm-hmm"
_HANGS_UP_WITHIN_MS = 400
_WITHOUT_WORDS = {NOT_RECORDED: "not to be recorded", NOT_TRANSCRIBED: "not transcribed"}
"""What a record has in the place of words, and how it came to that."""


@dataclass(frozen=True, slots=True)
class VoiceCut:
    """A stretch of the caller's channel that becomes a file of its own, ms into the recording."""

    start_ms: int
    end_ms: int


@dataclass(slots=True)
class DraftStep:
    """A drafted step of a script.

    Attributes:
        does: its action, as YAML has it, under its name; empty for a step that only listens.
        cut: the audio of what it says; None where a voice says it.
        notes: for the person who edits it.
        said: what is said, as a rule of the simulated agent would hear it.
    """

    at_ms: int
    does: Fields
    expect: Fields = field(default_factory=dict)
    cut: VoiceCut | None = None
    notes: list[str] = field(default_factory=list)
    said: str | None = None


class Drafter:
    """Drafts the steps of one call.

    Args:
        call: the call.
        hider: takes out what nobody may read.
        revoice: keep none of the caller's own voice.
    """

    def __init__(self, call: RecordedCall, hider: Hider, *, revoice: bool = False) -> None:
        self._call = call
        self._hider = hider
        self._revoice = revoice
        self._asked = ""

    def steps(self) -> Iterator[tuple[DraftStep, Stretch | None]]:
        """Yield the steps in order, each with what followed it; None where it knows by itself."""
        stretches = stretches_of(self._call)
        for stretch, following in zip(stretches, [*stretches[1:], None], strict=True):
            step = self._step(stretch)
            if step is not None:
                yield step, stretch
            self._asked = " ".join(each.text or "" for each in stretch.words) or self._asked
            prompts = [at for at in self._call.prompted_ms if self._is_in(at, stretch)]
            if prompts:
                yield self._silence(stretch, prompts), None
            if following is None:
                yield from ((step, None) for step in self._hangup(stretch))

    def _is_in(self, at_ms: int, stretch: Stretch) -> bool:
        return (0 if stretch.act is None else stretch.act.start_ms) <= at_ms < stretch.until_ms

    def _step(self, stretch: Stretch) -> DraftStep | None:
        match stretch.act:
            case RecordedSpeech():
                return self._speech(stretch.act)
            case RecordedKeys() as keys:
                return _press(keys)
            case RecordedHold() as held:
                return DraftStep(held.start_ms, {"hold": {"ms": held.end_ms - held.start_ms}})
            case None:
                return DraftStep(self._call.answered_ms, {}) if self._greeted(stretch) else None

    def _greeted(self, stretch: Stretch) -> bool:
        """Return whether anything was said first; also where the recording paused meanwhile."""
        heard = any(start < stretch.until_ms for start, _ in self._call.agent_spans)
        return heard or bool(stretch.words)

    def _speech(self, speech: RecordedSpeech) -> DraftStep | None:
        over = self._call.agent_span_at(speech.start_ms)
        text, notes = speech.text, list[str]()
        if text in _WITHOUT_WORDS:
            ms = speech.end_ms - speech.start_ms
            note = f"what was said here was {_WITHOUT_WORDS[text]}: write words in its place"
            return DraftStep(speech.start_ms, {"silence": {"ms": ms}}, notes=[note])
        is_short = speech.end_ms - speech.start_ms < _BACKCHANNEL_MS
        if text is None:
            if over is None or not is_short or speech.end_ms - speech.start_ms < _NO_WORDS_MS // 2:
                return None
            text, notes = _MURMUR, ["no words are known of this sound"]
        hidden = self._hider.hide(text, self._asked)
        says: Fields = {"text": hidden.text}
        spoken_anew = hidden.changed or self._revoice
        cut = None if spoken_anew else VoiceCut(speech.start_ms, speech.end_ms)
        if hidden.changed:
            notes.append("redacted: spoken by the script's voice, with stand-ins")
        if over is None:
            return self._said_in_turn(speech, says, cut, notes)
        goes_on = over[1] > speech.end_ms + OVER_AGENT_MS
        murmurs = speech.backchannel if speech.backchannel is not None else is_short and goes_on
        says["after"] = {
            "event": "agent_audio_started",
            "delay_ms": round_to(speech.start_ms - self._turn_began_ms(speech.start_ms), 10),
        }
        name = "backchannel" if murmurs else "interrupt"
        said = None if murmurs else hidden.text
        return DraftStep(speech.start_ms, {name: says}, cut=cut, notes=notes, said=said)

    def _turn_began_ms(self, at_ms: int) -> int:
        """Return where the agent began what it says at a moment, as an anchor finds it.

        That is the first that is heard of it after the caller's words before: between two sentences
        an agent pauses.
        """
        before = [act.end_ms for act in self._call.acts if act.start_ms < at_ms]
        since_ms = before[-1] if before else self._call.answered_ms
        return next(start for start, end in self._call.agent_spans if end > since_ms)

    def _said_in_turn(
        self, speech: RecordedSpeech, says: Fields, cut: VoiceCut | None, notes: list[str]
    ) -> DraftStep:
        before = [act for act in self._call.acts if act.start_ms < speech.start_ms]
        ended_ms = before[-1].end_ms if before else self._call.answered_ms
        heard = [end for _, end in self._call.agent_spans if ended_ms <= end <= speech.start_ms]
        if heard or not before:
            gap_ms = speech.start_ms - (heard[-1] if heard else ended_ms)
            says["gap_ms"] = max(round_to(gap_ms, 10), _SHORTEST_GAP_MS)
            return DraftStep(speech.start_ms, {"say": says}, {}, cut, notes, said=says["text"])
        # Nobody answered in between: to wait for an answer would be to wait in vain.
        delay_ms = round_to(speech.start_ms - ended_ms, 10)
        says["after"] = {"event": "caller_speech_ended", "delay_ms": delay_ms}
        return DraftStep(speech.start_ms, {"interrupt": says}, {}, cut, notes, said=says["text"])

    def _silence(self, stretch: Stretch, prompts: Sequence[int]) -> DraftStep:
        quiet_ms = max(
            (end for _, end in self._call.agent_spans if end <= prompts[0]),
            default=self._call.answered_ms,
        )
        step = DraftStep(quiet_ms, {"silence": {"ms": prompts[-1] - quiet_ms + 1_000}})
        step.expect["reprompt_within_ms"] = loosely(
            prompts[0] - quiet_ms, 1.3, 1_000, least_ms=2_000
        )
        step.notes.append(f"silent for {(stretch.until_ms - quiet_ms) / 1000:.1f} s")
        return step

    def _hangup(self, stretch: Stretch) -> Iterator[DraftStep]:
        """Yield the hanging up, where the caller did it in the middle of something."""
        call = self._call
        if call.ended_by != "caller":
            return
        limit_ms = call.ended_ms - _HANGS_UP_WITHIN_MS
        act = stretch.act
        if isinstance(act, RecordedSpeech) and act.end_ms > limit_ms:
            after = {"event": "caller_speech_started", "delay_ms": call.ended_ms - act.start_ms}
            yield DraftStep(call.ended_ms, {"hangup": {"after": after}})
            return
        over = next((each for each in call.agent_spans if each[1] > limit_ms), None)
        if over is not None:
            after = {
                "event": "agent_audio_started",
                "delay_ms": call.ended_ms - self._turn_began_ms(over[0]),
            }
            yield DraftStep(call.ended_ms, {"hangup": {"after": after}})


def _press(keys: RecordedKeys) -> DraftStep:
    if keys.digits is not None:
        return DraftStep(keys.start_ms, {"dtmf": {"digits": keys.digits}})
    note = f"which {keys.count} keys these were is nowhere kept: write them"
    return DraftStep(keys.start_ms, {"dtmf": {"digits": "1" * keys.count}}, notes=[note])


def round_to(ms: float, step: int) -> int:
    """Round a time to a multiple."""
    return round(ms / step) * step


def loosely(ms: float, factor: float, step_ms: int, *, least_ms: int) -> int:
    """Round a time up to a limit that only another behaviour breaks."""
    return max(least_ms, -int(-ms * factor // step_ms) * step_ms)
