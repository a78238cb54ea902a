"""How a call that was answered from a recording left it. Pure.

The recorded service says what it said then, whatever it is told now. So what the bridge sent then
and does not send now, or the other way round, is told: from there on the call shows nothing of what
the service would have answered.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

from bridge.replay.checks import Check, CheckStatus
from bridge.replay.evidence import Evidence, WireEvent
from bridge.replay.protocol import Difference, DifferenceKind, Side, Wire, common_name, compare

RECORDING = "its recording"
"""What an arm is compared with that is played from one."""

_APPEND = "input_audio_buffer.append"
_LEEWAY_MS = 2_000.0
"""Near the end of either call a command may be missing because the caller hung up before it."""


def check_followed(evidence: Evidence) -> tuple[Check, ...]:
    """Tell whether the bridge sent what it had sent when the call was recorded.

    Returns:
        Inconclusive with the first divergence: what would have been answered is not known. Nothing
        for a call that was answered from no recording, or not at all.
    """
    if evidence.recorded is None or evidence.log is None or evidence.wire is None:
        return ()
    return (_check(evidence.recorded, evidence.wire, evidence.log.duration_ms),)


def _check(recorded: Wire, played: Wire, duration_ms: float) -> Check:
    expected = "the bridge to send what it sent when this was recorded"
    found = sorted(_divergences(recorded, played, duration_ms))
    if not found:
        return Check(None, "recording_followed", expected, "it did", CheckStatus.PASS)
    at_ms, what = found[0]
    more = f", and {len(found) - 1} more" if len(found) > 1 else ""
    return Check(
        None,
        "recording_followed",
        expected,
        f"{what}{more}; the recorded service can't know what to say to that",
        CheckStatus.INCONCLUSIVE,
        round(at_ms),
    )


def _divergences(recorded: Wire, played: Wire, duration_ms: float) -> Iterator[tuple[float, str]]:
    sessions = max((event.session for event in played), default=0)
    taped = max((event.session for event in recorded), default=0)
    if sessions > taped:
        begun_ms = next(event.at_ms for event in played if event.session > taped)
        yield begun_ms, f"it opened session {sessions}, the recording has {taped}"
    then, now = _commands(recorded), _commands(played)
    for name in sorted(then.keys() | now.keys()):
        before, today = then.get(name, []), now.get(name, [])
        for event in today[len(before) :]:
            yield event.at_ms, f"it sent {name}, which the recording has {_times(len(before))}"
        for event in before[len(today) :]:
            if event.at_ms < duration_ms - _LEEWAY_MS:
                yield event.at_ms, f"it did not send {name}, which the recording has here"


def _commands(wire: Wire) -> dict[str, list[WireEvent]]:
    found: dict[str, list[WireEvent]] = defaultdict(list)
    for event in wire:
        if event.direction == "sent" and event.type != _APPEND:
            found[common_name(event.type)].append(event)
    return found


def _times(count: int) -> str:
    return {0: "not", 1: "once only"}.get(count, f"{count} times only")


def on_the_clock_of(played: Wire, recorded: Wire) -> tuple[WireEvent, ...]:
    """Return a recorded wire log with the times that its events have in the played call.

    Both begin with their first event.
    """
    if not played or not recorded:
        return tuple(recorded)
    begun_ms, zero_ns = played[0].at_ms, recorded[0].at_ns
    return tuple(
        replace(event, at_ms=round(begun_ms + (event.at_ns - zero_ns) / 1e6, 1))
        for event in recorded
    )


def compare_with_recording(
    arm: str, dialect: str, recorded: Sequence[Wire], played: Sequence[Wire]
) -> tuple[Difference, ...]:
    """Tell how the events of an arm differ from those of its recording.

    What was understood then and is not now blocks: the decoder has lost it. Everything else is told
    alone: a bridge may learn to read and to say more than it did.
    """
    found = compare(Side(RECORDING, dialect, recorded), Side(arm, dialect, played))
    told = [replace(each, blocks=each.blocks and _is_lost(each)) for each in found]
    return tuple(sorted(told, key=lambda each: not each.blocks))


def _is_lost(found: Difference) -> bool:
    return found.direction == "received" and found.kind is DifferenceKind.FIELD_MISSING
