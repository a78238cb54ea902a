"""Finds where a call left the recording that it was answered from. Pure.

The recorded service says what it said then, whatever it gets now. So the check reports where the
bridge first sends something else, or in another order, than then: from there on the call shows
nothing of what the service would have answered.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile

from bridge.replay.checks.check import Check, CheckStatus
from bridge.replay.checks.protocol import (
    ArmEvents,
    DifferenceKind,
    ProtocolDifference,
    Wire,
    common_name,
    compare,
)
from bridge.replay.evidence.evidence import Evidence, WireEvent
from bridge.replay.json_fields import part_of

RECORDING = "its recording"
"""What an arm is compared with that is played from one."""

_APPEND = "input_audio_buffer.append"
_LEEWAY_MS = 2_000.0
"""Near the end of either call a command may be missing because the caller hung up before it."""


@dataclass(frozen=True, slots=True)
class Departure:
    """The moment at which a call left its recording; whatever comes later says nothing.

    Attributes:
        what: the bridge did that it had not done, or not then.
    """

    at_ms: float
    what: str


@dataclass(frozen=True, slots=True)
class _Command:
    """A command of the bridge, audio apart, or a connection it opened; equal by its name."""

    at_ms: float = field(compare=False)
    name: str


def find_departure(evidence: Evidence) -> Departure | None:
    """Return where the order of the bridge's commands first is another than in the recording.

    Audio is left out: how many pieces of it come between two commands is chance.

    Returns:
        None for a call that was answered from no recording, or not at all, or that followed it.
    """
    if evidence.recorded is None or evidence.log is None or evidence.wire is None:
        return None
    then, now = _commands(evidence.recorded), _commands(evidence.wire)
    at, later_by_ms = 0, 0.0
    while (stretch := _stretch(now[at:])) and stretch == _stretch(then[at:]):
        at += len(stretch)
        later_by_ms = now[at - 1].at_ms - then[at - 1].at_ms
    ends_ms = evidence.log.duration_ms
    ended_ms = max((event.at_ms for event in evidence.recorded), default=0.0)
    if now[at:]:
        is_late = not then[at:] and now[at].at_ms >= max(ends_ms, ended_ms) - _LEEWAY_MS
    else:
        is_late = not then[at:] or then[at].at_ms >= ends_ms - _LEEWAY_MS
    return None if is_late else _leave(then[at:], now[at:], later_by_ms)


def check_followed(evidence: Evidence) -> tuple[Check, ...]:
    """Return whether the bridge sent what it had sent when the call was recorded, in that order.

    Returns:
        Inconclusive with the departure: what would have been answered is not known. Nothing for a
        call that was answered from no recording, or not at all.
    """
    if evidence.recorded is None or evidence.log is None or evidence.wire is None:
        return ()
    kind, expected = "recording_followed", "the bridge to send what it sent when this was recorded"
    left = find_departure(evidence)
    if left is None:
        return (Check(None, kind, expected, "it did", CheckStatus.PASS),)
    found = f"{left.what}; from there on nobody knows what the service would have said"
    at_ms = round(left.at_ms)
    return (Check(None, kind, expected, found, CheckStatus.INCONCLUSIVE, at_ms),)


def _commands(wire: Wire) -> list[_Command]:
    found, session = [], 1
    for event in wire:
        if event.session > session:
            session = event.session
            found.append(_Command(event.at_ms, f"session {session}"))
        if event.direction == "sent" and event.type != _APPEND:
            found.append(_Command(event.at_ms, _name(event)))
    return found


def _name(event: WireEvent) -> str:
    name, kind = common_name(event.type), part_of(event.raw, "item").get("type")
    return name if kind is None else f"{name} ({kind})"


def _stretch(commands: Sequence[_Command]) -> list[_Command]:
    return list(takewhile(lambda each: each == commands[0], commands))


def _gap(before: Sequence[_Command], today: Sequence[_Command], later_by_ms: float) -> int:
    """Return which command of the longer stretch the other one lacks: where times fit best."""
    ours = [each.at_ms + later_by_ms for each in before]
    shorter, longer = sorted((ours, [each.at_ms for each in today]), key=len)

    def apart_ms(gap: int) -> float:
        others = [*longer[:gap], *longer[gap + 1 :]]
        return sum(abs(at - other) for at, other in zip(shorter, others, strict=False))

    return min(range(len(shorter) + 1), key=apart_ms)


def _leave(then: Sequence[_Command], now: Sequence[_Command], later_by_ms: float) -> Departure:
    """Return how two orders differ whose first stretches do: their names, or how long they are."""
    before, today = _stretch(then), _stretch(now)
    place = agreed = min(len(before), len(today)) if before[:1] == today[:1] else 0
    after, after_today = then[len(before) :], now[len(today) :]
    if agreed and after[:2] == after_today[:2]:
        # What comes next is as it was, so one of these is missing: names don't show which.
        place = _gap(before, today, later_by_ms)
    if place == agreed:
        return _explain(then[place:], now[place:])
    if len(before) > len(today):
        return _left_out(then[place], now[place])
    return _added(now[place], then[place])


def _explain(then: Sequence[_Command], now: Sequence[_Command]) -> Departure:
    """Return how two orders differ from their begin on: by what explains most of the rest.

    Where two explanations do so, the number of commands decides.
    """
    if not now:
        return _left_out(then[0], None)
    if not then:
        return _added(now[0], None)
    was, came, more = then[0], now[0], len(now) - len(then)
    explained = [
        (1 + _agreed(then[1:], now[1:]), more == 0, _replaced(was, came)),
        (_agreed(then, now[1:]), more > 0, _added(came, was)),
        (_agreed(then[1:], now), more < 0, _left_out(was, came)),
    ]
    if len(then) > 1 and then[:2] == [*reversed(now[:2])]:
        explained.append((2 + _agreed(then[2:], now[2:]), more == 0, _swapped(was, came)))
    return max(explained, key=lambda each: each[:2])[2]


def _agreed(then: Sequence[_Command], now: Sequence[_Command]) -> int:
    """Return how many commands come in one order from their begin on."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(then, now, strict=False)))


def _left_out(was: _Command, came: _Command | None) -> Departure:
    after = "nothing more came" if came is None else f"{came.name} came next"
    return Departure(was.at_ms, f"{was.name} did not come, which the recording has here; {after}")


def _replaced(was: _Command, came: _Command) -> Departure:
    return Departure(came.at_ms, f"{came.name} came in the place of {was.name}")


def _swapped(was: _Command, came: _Command) -> Departure:
    what = f"{came.name} came before {was.name}, which the recording has the other way round"
    return Departure(came.at_ms, what)


def _added(came: _Command, was: _Command | None) -> Departure:
    place = "here" if was is None else f"before {was.name}"
    return Departure(came.at_ms, f"{came.name} came, which the recording has not {place}")


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
) -> tuple[ProtocolDifference, ...]:
    """Return how the events of an arm differ from those of its recording.

    What was understood then and is not now blocks: the decoder has lost it. Everything else is
    only reported: a bridge may learn to read and to say more than it did.
    """
    found = compare(ArmEvents(RECORDING, dialect, recorded), ArmEvents(arm, dialect, played))
    differences = [replace(each, blocks=each.blocks and _is_lost(each)) for each in found]
    return tuple(sorted(differences, key=lambda each: not each.blocks))


def _is_lost(found: ProtocolDifference) -> bool:
    return found.direction == "received" and found.kind is DifferenceKind.FIELD_MISSING
