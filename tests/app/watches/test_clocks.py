"""An audio clock that stands still for good: no more calls, and the end of those there are."""

from typing import Any

from structlog.testing import capture_logs

from bridge.app.door.intake import NO_AUDIO, Intake
from bridge.app.watches.clocks import ENDS_AFTER, STILL_MS, SURE_AFTER, AudioWatch
from bridge.app.watches.troubles import Troubles
from bridge.telemetry.metrics import Metrics


class Call:
    """A call that is told."""

    def __init__(self) -> None:
        self.told: list[int] = []

    def audio_stopped(self, ms: int) -> None:
        self.told.append(ms)


def make_watch(calls: list[Any]) -> tuple[AudioWatch, Intake, Troubles]:  # Any: only told
    troubles = Troubles()
    watch = AudioWatch(lambda: calls, Metrics("0").media, troubles)
    intake = Intake(lambda: len(calls), lambda: NO_AUDIO if watch.stopped else None)
    intake.limit = 4
    return watch, intake, troubles


def test_calls_are_refused_and_at_last_ended() -> None:
    call = Call()
    watch, intake, troubles = make_watch([call])
    with capture_logs() as logged:
        for second in range(1, SURE_AFTER):
            watch.look(STILL_MS + 1000 * second)
            assert intake.closed() is None
        watch.look(STILL_MS + 1000 * SURE_AFTER)
        assert intake.closed() is NO_AUDIO
        assert list(troubles.words) == ["the audio clock stands still: callers hear nothing"]
        for second in range(SURE_AFTER + 1, ENDS_AFTER):
            watch.look(STILL_MS + 1000 * second)
        assert call.told == []
        watch.look(10_000)
    assert call.told == [10_000]
    assert [each["event"] for each in logged] == ["audio_stopped"]


def test_without_calls_nobody_can_see_that_it_moves_again() -> None:
    calls: list[Any] = [Call()]  # Any: only told
    watch, intake, _ = make_watch(calls)
    for _ in range(SURE_AFTER):
        watch.look(STILL_MS)
    calls.clear()
    watch.look(0)
    assert intake.closed() is NO_AUDIO


def test_a_clock_that_moves_again_takes_calls_again() -> None:
    watch, intake, troubles = make_watch([Call()])
    for _ in range(SURE_AFTER):
        watch.look(STILL_MS)
    watch.look(300)  # another call has come: nobody knows yet
    assert intake.closed() is NO_AUDIO
    watch.look(0)
    assert intake.closed() is None
    assert list(troubles.words) == []


def test_one_look_after_the_process_was_stopped_is_no_proof() -> None:
    call = Call()
    watch, intake, _ = make_watch([call])
    for _ in range(2 * ENDS_AFTER):
        watch.look(60_000)
        watch.look(0)
    assert intake.closed() is None
    assert call.told == []
