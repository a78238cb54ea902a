"""Faults planted into the GA adapter of a gateway are caught by what every call is judged by, and
the results say where.

The product knows nothing of it: Python imports a `sitecustomize` of ours into the gateway, which
changes its adapter before `bridge serve` begins. The beta arm beside it stays as it is.
"""

import asyncio
from pathlib import Path

import pytest

from bridge.replay.results.run import RunVerdict
from bridge.store.local import start_local_redis
from tests.support.replaying import (
    ASKS,
    GO_AHEAD,
    INTERRUPTION,
    LONG_ANSWER,
    LONG_QUESTION,
    Document,
    Played,
    arms_of,
    play,
    write_script,
)

pytestmark = [pytest.mark.sip, pytest.mark.redis, pytest.mark.speech, pytest.mark.slow]

_IN_THE_GATEWAY = """
import sys

if "serve" in sys.argv:
    from bridge.realtime import ga
    from bridge.realtime.commands import TruncateItem
    from bridge.realtime.events import (AudioDelta, ResponseDone)
    from dataclasses import replace
    import time
"""

_RENAMED = """
    ga._EVENTS["response.output_audio_transcript.finished"] = ga._EVENTS.pop(
        "response.output_audio_transcript.done"
    )
"""
_FIELD_DROPPED = """
    decode = ga.GaDialect.decode

    def without_usage(self, frame):
        event = decode(self, frame)
        return replace(event, usage=None) if isinstance(event, ResponseDone) else event

    ga.GaDialect.decode = without_usage
"""
_DELAYED = """
    import asyncio
    from bridge.session.realtime import RealtimeSession

    on_frame = RealtimeSession._on_frame

    def late(self, frame, received_ns):
        if self._dialect.name != "ga" or self._state.name != "OPEN":
            return on_frame(self, frame, received_ns)
        asyncio.get_running_loop().call_later(0.3, on_frame, self, frame, received_ns)

    RealtimeSession._on_frame = late
"""
_BY_WALL_CLOCK = """
    decode, encode = ga.GaDialect.decode, ga.GaDialect.encode
    begun = {}

    def noting(self, frame):
        event = decode(self, frame)
        if isinstance(event, AudioDelta):
            begun.setdefault(event.item_id, time.monotonic())
        return event

    def by_the_clock(self, command, event_id=None):
        if isinstance(command, TruncateItem):
            passed_ms = round((time.monotonic() - begun[command.item_id]) * 1000)
            command = replace(command, audio_end_ms=passed_ms)
        return encode(self, command, event_id)

    ga.GaDialect.decode, ga.GaDialect.encode = noting, by_the_clock
"""

_INTERRUPTS: Document = {
    **ASKS,
    "id": "interrupts",
    "hears": [LONG_ANSWER, GO_AHEAD],
    "realtime": {
        "scenario": "scenario.yaml",
        # The answer stands still for a while: what was heard is less than what has passed.
        "pacing": {"speedup": 1.0},
        "faults": [{"at": "audio", "kind": "stall", "ms": 1200, "nth": 8}],
    },
    "caller": [
        {"say": LONG_QUESTION},
        {
            "interrupt": {
                "text": INTERRUPTION,
                "after": {"event": "agent_audio_started", "delay_ms": 3000},
            },
            "expect": {"text_contains": "go ahead"},
        },
    ],
}

_PLANTED = {
    "renamed": (_RENAMED, ASKS, ("beta", "ga")),
    "field dropped": (_FIELD_DROPPED, ASKS, ("beta", "ga")),
    "delayed": (_DELAYED, ASKS, ("ga",)),
    "by wall clock": (_BY_WALL_CLOCK, _INTERRUPTS, ("beta", "ga")),
}
"""Code, script, and arms: the beta is left alone, and there to compare with."""


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Played]:
    """Play all of them at once, each with a gateway of its own for both arms."""
    with start_local_redis() as redis:
        return asyncio.run(_play_all(tmp_path_factory, redis.url))


async def _play_all(places: pytest.TempPathFactory, redis_url: str) -> dict[str, Played]:
    found = await asyncio.gather(
        *(
            _plant(places.mktemp("planted"), code, script, arms, redis_url)
            for code, script, arms in _PLANTED.values()
        )
    )
    return dict(zip(_PLANTED, found, strict=True))


async def _plant(
    place: Path, code: str, script: Document, arms: tuple[str, ...], redis_url: str
) -> Played:
    (place / "sitecustomize.py").write_text(_IN_THE_GATEWAY + code)
    return await play(
        place,
        [write_script(place, script)],
        arms_of(*arms),
        redis_url,
        jobs=2,
        environ={"PYTHONPATH": str(place)},
    )


@pytest.mark.parametrize("name", ["renamed", "field dropped", "by wall clock"])
async def test_the_arm_that_was_left_alone_passes(played: dict[str, Played], name: str) -> None:
    info, _ = played[name].run("beta")
    assert info.verdict is RunVerdict.PASS, info.reason


async def test_a_renamed_event_is_named(played: dict[str, Played]) -> None:
    found = played["renamed"]
    info, _ = found.run("ga")
    assert info.verdict is RunVerdict.FAIL
    assert "'response.output_audio_transcript.done' is unknown to the dialect" in info.reason
    assert info.at_ms is not None
    blocking = [f for f in found.results.protocol if f.difference.blocks]
    assert [(f.arm, f.difference.kind, f.difference.event) for f in blocking] == [
        ("ga", "unknown", "response.output_audio_transcript.done")
    ]


async def test_a_dropped_field_is_named(played: dict[str, Played]) -> None:
    found = played["field dropped"]
    blocking = [f.difference for f in found.results.protocol if f.difference.blocks]
    assert [(d.kind, d.event, d.detail) for d in blocking] == [
        ("field_missing", "response.done", "usage is never there on ga")
    ]


async def test_deltas_that_come_late_are_timed(played: dict[str, Played]) -> None:
    info, _ = played["delayed"].run("ga")
    assert info.verdict is RunVerdict.FAIL
    assert "the bridge to add at most 200 ms to the caller; it added " in info.reason


async def test_a_truncation_by_wall_clock_is_told_with_what_was_heard(
    played: dict[str, Played],
) -> None:
    info, files = played["by wall clock"].run("ga")
    assert info.verdict is RunVerdict.FAIL
    (check,) = (c for c in files.detail.checks if c.kind == "default_truncated_as_heard")
    assert info.reason == str(check)
    assert check.owner == "bridge"
    assert info.at_ms == check.at_ms is not None
