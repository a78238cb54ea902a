"""Names the likely cause of a step that went wrong, where the call itself shows it. Pure.

A cause is a hint beside the finding. It never changes a status.
"""

from collections.abc import Callable, Sequence

from bridge.replay.call.timeline import CallLog, Deed, Doing
from bridge.replay.checks.check import CheckStatus
from bridge.replay.evidence.evidence import Evidence, WireEvent
from bridge.replay.script import CallScript
from bridge.speech.synthesis import speaks_english

_SPOKEN = (Doing.SAY, Doing.INTERRUPT)
_CUTS = (Doing.SAY, Doing.INTERRUPT, Doing.DTMF, Doing.HANGUP)
_AWAITS_MS = 1_500
"""A caller who goes on sooner after their own words has hardly let anybody answer."""

_Cause = Callable[[CallScript, Evidence, CallLog, Deed], str | None]


def likely_cause(
    status: CheckStatus, script: CallScript, evidence: Evidence, log: CallLog, deed: Deed
) -> str:
    """Return what is to be added to the finding about a step; "" where nothing is known."""
    if status is CheckStatus.PASS:
        return ""
    named = (cause(script, evidence, log, deed) for cause in _CAUSES)
    found = next((each for each in named if each is not None), None)
    return "" if found is None else f"; likely cause: {found}"


def _not_english(script: CallScript, evidence: Evidence, _: CallLog, deed: Deed) -> str | None:
    simulated = evidence.faults_struck is not None
    if deed.doing not in _SPOKEN or not simulated or speaks_english(script.voice):
        return None
    speaks = f"the caller's voice is '{script.voice}'"
    return f"{speaks}, and the simulated service understands English alone"


def _unheard(script: CallScript, evidence: Evidence, log: CallLog, deed: Deed) -> str | None:
    if deed.doing not in _SPOKEN or evidence.wire is None:
        return None
    later = (each.start_ms for each in log.deeds if each.step > deed.step and each.closes)
    ends_ms = next(later, log.duration_ms)
    heard = {
        event.type.removeprefix("input_audio_buffer.")
        for event in _received(evidence.wire, deed.start_ms, ends_ms)
    }
    if "committed" in heard:
        return None
    what = (
        "noticed no end of the caller's words"
        if _begun(evidence.wire, ends_ms)
        else "did not hear the caller"
    )
    noise = "" if script.noise is None else f", in {_noise(script)}"
    return f"the service {what}{noise}"


def _cut_off(script: CallScript, _: Evidence, log: CallLog, deed: Deed) -> str | None:
    following = next((each for each in log.deeds if each.step > deed.step and each.closes), None)
    if following is None or following.doing not in _CUTS:
        return None
    at_ms = following.start_ms
    speaking = next(
        (
            each
            for each in log.utterances
            if deed.answers_count_from_ms <= each.start_ms < at_ms and each.goes_beyond(at_ms)
        ),
        None,
    )
    if speaking is not None:
        return (
            f"step {following.step + 1} cut the answer off after {at_ms - speaking.start_ms} ms: a"
            " longer delay_ms would let it be heard"
        )
    if deed.doing in _SPOKEN and 0 <= at_ms - deed.end_ms < _AWAITS_MS:
        return f"step {following.step + 1} came {at_ms - deed.end_ms} ms after the caller's words"
    return None


def _received(wire: Sequence[WireEvent], from_ms: int, to_ms: int) -> list[WireEvent]:
    return [e for e in wire if e.direction == "received" and from_ms <= e.at_ms < to_ms]


def _begun(wire: Sequence[WireEvent], until_ms: int) -> bool:
    """Return whether the service was hearing speech that it saw no end of."""
    turns = [
        event.type
        for event in _received(wire, -60_000, until_ms)
        if event.type in ("input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped")
    ]
    return bool(turns) and turns[-1].endswith("speech_started")


def _noise(script: CallScript) -> str:
    noise = script.noise
    assert noise is not None
    kind = noise.kind or "the noise of its file"
    return f"{kind} at {noise.snr_db:g} dB"


_CAUSES: Sequence[_Cause] = (_not_english, _cut_off, _unheard)
"""The first that is seen is named."""
