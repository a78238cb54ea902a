"""The agenda: every call once; workers stay with their environments, and share what is left."""

from collections.abc import Sequence

from bridge.replay.environment.environment import EnvironmentKey
from bridge.replay.runs.agenda import Agenda, Job, likely_s
from bridge.replay.script import CallScript

_A, _B = ("a", "ga"), ("b", "beta")
_A1, _A2, _A3, _B1, _B2 = Job(*_A, 1), Job(*_A, 2), Job(*_A, 3), Job(*_B, 1), Job(*_B, 2)


def agenda_of(jobs: Sequence[Job]) -> Agenda:
    """Return an agenda with one environment an arm."""
    return Agenda(jobs, lambda job: EnvironmentKey(job.arm))


def script_of(*steps: dict[str, object]) -> CallScript:
    document = {"schema": "callscript/v1", "id": "s", "caller": list(steps)}
    return CallScript.model_validate(document)


def test_every_job_is_taken_once() -> None:
    agenda = agenda_of([_A1, _A2, _B1])
    assert {agenda.take() for _ in range(3)} == {_A1, _A2, _B1}
    assert agenda.take() is None


def test_a_worker_stays_with_its_environment() -> None:
    agenda = agenda_of([_A1, _B1, _A2])
    assert agenda.take() == _A1
    agenda.done(_A1)
    assert agenda.take(EnvironmentKey("ga")) == _A2


def test_another_worker_takes_an_environment_that_nobody_plays() -> None:
    agenda = agenda_of([_A1, _A2, _B1])
    assert agenda.take() == _A1
    assert agenda.take() == _B1


def test_a_worker_without_a_call_helps_where_the_fewest_are() -> None:
    agenda = agenda_of([_A1, _A2, _A3, _B1, _B2])
    assert [agenda.take(), agenda.take(), agenda.take()] == [_A1, _B1, _A2]
    assert agenda.take() == _B2


def test_a_job_that_was_given_back_is_the_next() -> None:
    agenda = agenda_of([_A1, _B1])
    agenda.take()
    agenda.give_back(_A1)
    assert [agenda.take(), agenda.take()] == [_A1, _B1]


def test_a_run_is_named_by_script_arm_and_number() -> None:
    assert _A2.run == "a.ga.2"


def test_a_job_that_is_done_again_comes_last() -> None:
    agenda = agenda_of([_A1, _A2])
    assert agenda.take() == _A1
    agenda.again(_A1)
    agenda.done(_A1)
    assert [agenda.take(), agenda.take(), agenda.take()] == [_A2, _A1, None]


def test_scripts_with_more_to_do_are_likely_longer() -> None:
    one = script_of({"say": "Where is my order?"})
    two = script_of({"say": "Where is my order?"}, {"say": "When are you open?"})
    waits = script_of({"say": "Where is my order?"}, {"silence": {"ms": 20_000}})
    assert likely_s(one) < likely_s(two) < likely_s(waits)
