"""In which order a core's inputs and effects come, with a core that does as it is told."""

import weakref
from collections.abc import Mapping, Sequence

from bridge.clock import ManualClock
from bridge.engine.core import CallCore
from bridge.engine.effects import CloseSession, Effect, FlushPlayout, HangUp
from bridge.engine.inputs import CallAnswered, CallOffered, DigitReceived, Input, SessionFailed
from bridge.engine.media import AudioAppended, PlayoutFlushed
from bridge.errors import TelephonyError, UpstreamError
from bridge.live.driver import CoreDriver, Handlers
from tests.support.policies import call_policy

NOW_NS = 7


class ToldCore(CallCore):
    """Answers an input with the effects that it is told to, and remembers both."""

    def __init__(self, answers: Mapping[Input, Sequence[Effect]]) -> None:
        super().__init__(call_policy())
        self.answers = answers
        self.fed: list[tuple[Input, int]] = []

    def feed(self, event: Input, now_ns: int) -> list[Effect]:
        self.fed.append((event, now_ns))
        return list(self.answers.get(event, ()))

    @property
    def inputs(self) -> list[Input]:
        return [event for event, _ in self.fed]


def driven(answers: Mapping[Input, Sequence[Effect]]) -> tuple[CoreDriver, ToldCore]:
    core = ToldCore(answers)
    return CoreDriver(core, ManualClock(NOW_NS), "c_1"), core


def test_appends_are_told_in_one_piece_before_the_next_input() -> None:
    driver, core = driven({})
    handlers = Handlers({}, SessionFailed)
    driver.attach(handlers)
    for ms in (40.0, 80.0):
        driver.appended.ms, driver.appended.captured_ns = ms, int(ms)
        driver.appended.pieces += 1
    driver.feed(DigitReceived("1"), 5)
    driver.feed(DigitReceived("2"))
    assert core.fed == [
        (AudioAppended(80.0, 80, 2), 5),
        (DigitReceived("1"), 5),
        (DigitReceived("2"), NOW_NS),
    ]


def test_what_an_effect_brings_in_waits_for_the_other_effects() -> None:
    driver, core = driven({CallOffered(): [FlushPlayout(), CloseSession(), HangUp()]})
    done: list[Effect] = []

    def flush(effect: FlushPlayout) -> None:
        driver.feed(CallAnswered())
        driver.put(DigitReceived("1"))
        driver.put_first(PlayoutFlushed(()))

    handlers = Handlers(
        {FlushPlayout: flush, CloseSession: done.append, HangUp: done.append}, SessionFailed
    )
    driver.attach(handlers)
    driver.feed(CallOffered())
    assert done == [CloseSession(), HangUp()]
    assert core.inputs == [
        CallOffered(),
        PlayoutFlushed(()),
        CallAnswered(),
        DigitReceived("1"),
    ]


def test_effect_that_fails_is_a_lost_session_and_the_rest_is_carried_out() -> None:
    driver, core = driven({CallOffered(): [CloseSession(), FlushPlayout(), HangUp()]})
    stuck, refused = UpstreamError("stuck", code="stuck"), TelephonyError("no")
    done: list[Effect] = []

    def close(effect: CloseSession) -> None:
        raise stuck

    def flush(effect: FlushPlayout) -> None:
        raise refused

    handlers = Handlers(
        {CloseSession: close, FlushPlayout: flush, HangUp: done.append}, SessionFailed
    )
    driver.attach(handlers)
    driver.feed(CallOffered())
    assert done == [HangUp()]
    assert core.inputs == [CallOffered(), SessionFailed(stuck), SessionFailed(refused)]


def test_a_driver_keeps_no_handlers_and_drops_what_is_fed_after_them() -> None:
    driver, core = driven({CallOffered(): [HangUp()]})
    done: list[Effect] = []
    handlers = Handlers({HangUp: done.append}, SessionFailed)
    driver.attach(handlers)
    driver.feed(CallOffered())
    gone = weakref.ref(handlers)
    del handlers
    assert gone() is None  # by its reference count: nothing collects here
    driver.feed(CallOffered())
    assert (done, core.inputs) == ([HangUp()], [CallOffered()])
