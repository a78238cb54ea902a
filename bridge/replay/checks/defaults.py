"""Checks that every call must pass, whatever its script expects. Pure.

The bridge is to know every event, to be refused nothing, to add little to an answer's time, and to
report to the service how much of an interrupted answer was really heard.
"""

from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from pydantic import JsonValue

from bridge.errors import Fault
from bridge.realtime.event_values import ApiError
from bridge.realtime.failures import classify_event
from bridge.replay.call.timeline import CallLog, Doing
from bridge.replay.checks.check import Check, CheckStatus
from bridge.replay.checks.protocol import common_name, unknown_events
from bridge.replay.evidence.evidence import Evidence, WireEvent
from bridge.replay.json_fields import number_of, part_of, parts_of

BRIDGE_ADDS_MS = 200.0
"""Median of a call's turns, each way. A call at rest takes under 60 ms each way (`NEEDS.md`
section 5); more than three times that is no busy machine any more."""

TRUNCATED_WITHIN_MS = 300.0
"""How far a truncation may be from what the caller's ear says: the ear is 20 ms coarse, the way to
it takes a jitter buffer's time, and speech may begin with a silence that nobody hears."""

_WAYS = {"to the service": ("capture", "uplink"), "to the caller": ("downlink", "playback")}
_TO_EAR_MS = 80.0
"""From PJSIP's taking a sample to the caller's hearing it: packets and jitter buffer."""


def default_checks(evidence: Evidence, *, faulty: bool) -> tuple[Check, ...]:
    """Judge a call by what holds for all of them.

    Args:
        evidence: of the call.
        faulty: the script has the Realtime service fail, so that its events are no measure.

    Returns:
        None of what needs an answered call for one that was not answered.
    """
    log = evidence.log
    if log is None:
        return ()
    if evidence.wire is None or evidence.figures is None:
        source = "wire" if evidence.wire is None else "figures"
        if evidence.record is None:
            return ()  # another's gateway, which shows nothing; what needs it says so itself
        found = evidence.why_missing(source)
        return (Check(None, "default_evidence", f"its {source}", found, CheckStatus.INCONCLUSIVE),)
    checks = [*_check_shares(evidence.figures), *_check_truncations(evidence.wire, log)]
    if not switched_off(faulty=faulty):
        checks += [*_check_known(evidence.wire), *_check_errors(evidence.wire)]
    return tuple(checks)


def switched_off(*, faulty: bool) -> tuple[str, ...]:
    """Return the checks that a script's faults switch off: its service fails on purpose."""
    return ("default_known_events", "default_no_errors") if faulty else ()


def _check_known(wire: Sequence[WireEvent]) -> Iterator[Check]:
    expected = "every event of the service to be known"
    unknown = next(unknown_events(wire), None)
    if unknown is None:
        yield Check(None, "default_known_events", expected, "they were", CheckStatus.PASS)
        return
    _, name, at_ms = unknown
    found = f"'{name}' is unknown to the dialect, or not what it promises"
    yield Check(
        None, "default_known_events", expected, found, CheckStatus.FAIL, round(at_ms), "bridge"
    )


def _check_errors(wire: Sequence[WireEvent]) -> Iterator[Check]:
    expected = "the service to refuse nothing that the bridge sends"
    for event in wire:
        if event.direction != "received" or event.type != "error":
            continue
        error = _api_error(part_of(event.raw, "error"))
        if classify_event(error).fault in (Fault.BRIDGE, Fault.CONFIG):
            found = f"it refused something: {error.code or error.type}"
            if error.param:
                found += f" at {error.param}"
            at_ms = round(event.at_ms)
            yield Check(
                None, "default_no_errors", expected, found, CheckStatus.FAIL, at_ms, "bridge"
            )
            return
    yield Check(None, "default_no_errors", expected, "it refused nothing", CheckStatus.PASS)


def _api_error(error: Mapping[str, JsonValue]) -> ApiError:
    def text(name: str) -> str | None:
        value = error.get(name)
        return value if isinstance(value, str) else None

    return ApiError(text("type") or "error", "", text("code"), text("param"))


def _check_shares(figures: Mapping[str, JsonValue]) -> Iterator[Check]:
    turns = turns_of(figures)
    for way, stages in _WAYS.items():
        shares = [
            sum(stages_ms[stage] for stage in stages)
            for _, _, stages_ms in turns
            if all(stage in stages_ms for stage in stages)
        ]
        if not shares:
            continue
        share_ms = median(shares)
        ok = share_ms <= BRIDGE_ADDS_MS
        yield Check(
            None,
            "default_bridge_adds",
            f"the bridge to add at most {BRIDGE_ADDS_MS:.0f} ms {way}",
            f"it added {share_ms:.0f} ms (median of {len(shares)} turns)",
            CheckStatus.PASS if ok else CheckStatus.FAIL,
            owner=None if ok else "bridge",
        )


def turns_of(
    figures: Mapping[str, JsonValue],
) -> list[tuple[float, float | None, dict[str, float]]]:
    """Return the turns of a gateway's figures.

    Returns:
        For each: ms from the INVITE to its first sample, ms from the caller's last sound to that,
        and ms of its stages.
    """
    found = []
    for turn in parts_of(part_of(figures, "latency"), "turns"):
        if isinstance(stages := turn.get("stages_ms"), dict):
            known = {name: float(ms) for name, ms in stages.items() if isinstance(ms, int | float)}
            found.append((number_of(turn, "at_ms") or 0.0, number_of(turn, "response_ms"), known))
    return found


def _check_truncations(wire: Sequence[WireEvent], log: CallLog) -> Iterator[Check]:
    for event in wire:
        if event.direction != "sent" or event.type != "conversation.item.truncate":
            continue
        cut_ms, item_id = event.raw.get("audio_end_ms"), event.raw.get("item_id")
        deltas = _deltas(wire, item_id, before_ms=event.at_ms)
        if not isinstance(cut_ms, int) or not deltas:
            continue
        heard_ms = _heard_ms(deltas, log, event.at_ms)
        if heard_ms is None:
            continue
        off = abs(cut_ms - heard_ms) > TRUNCATED_WITHIN_MS
        yield Check(
            None,
            "default_truncated_as_heard",
            f"the interrupted answer to be cut at about {heard_ms:.0f} ms, as it was heard",
            f"it was cut at {cut_ms} ms",
            CheckStatus.FAIL if off else CheckStatus.PASS,
            round(event.at_ms),
            "bridge" if off else None,
        )


def _deltas(
    wire: Sequence[WireEvent], item_id: JsonValue, *, before_ms: float
) -> list[tuple[float, float]]:
    """Return when an item's audio came, and how long it is."""
    found = []
    for event in wire:
        if common_name(event.type) != "response.output_audio.delta" or event.at_ms > before_ms:
            continue
        audio = event.raw.get("delta")
        if event.raw.get("item_id") == item_id and isinstance(audio, dict):
            found.append((event.at_ms, number_of(audio, "ms") or 0.0))
    return found


def _heard_ms(deltas: Sequence[tuple[float, float]], log: CallLog, until_ms: float) -> float | None:
    """Return how much of an item the caller can have heard up to a moment.

    It began when the caller's ear heard it begin, and stood still whenever nothing had come, and
    while the caller had the call on hold.

    Returns:
        ms; None where it followed other speech at once, so that its begin was not heard.
    """
    came_ms = deltas[0][0]
    starts = [each.start_ms for each in log.utterances if came_ms <= each.start_ms <= until_ms]
    if not starts:
        spoke = any(
            each.start_ms < came_ms and each.goes_beyond(round(came_ms)) for each in log.utterances
        )
        return None if spoke else 0.0
    at_ms, heard_ms = _talk_ms(log, starts[0]) - _TO_EAR_MS, 0.0
    ends_ms = _talk_ms(log, until_ms)
    for piece_came_ms, ms in deltas:
        at_ms = max(at_ms, _talk_ms(log, piece_came_ms))
        if at_ms >= ends_ms:
            break
        heard_ms += min(ms, ends_ms - at_ms)
        at_ms += ms
    return heard_ms


def _talk_ms(log: CallLog, at_ms: float) -> float:
    """Return a moment on a clock that stands still while the caller holds the call."""
    holds = [deed for deed in log.deeds if deed.doing is Doing.HOLD]
    return at_ms - sum(max(0.0, min(at_ms, each.end_ms) - each.start_ms) for each in holds)
