"""The agenda: every call once, in order, and no more at once than a scene holds."""

from bridge.replay.agenda import Agenda, Job

_A, _B = ("a", "ga"), ("b", "ga")


def _jobs(*scenes: tuple[str, str]) -> list[Job]:
    counted: dict[tuple[str, str], int] = {}
    jobs = []
    for scene in scenes:
        counted[scene] = counted.get(scene, 0) + 1
        jobs.append(Job(*scene, counted[scene]))
    return jobs


def test_jobs_are_taken_in_order_and_once() -> None:
    jobs = _jobs(_A, _A, _B)
    agenda = Agenda(jobs, {_A: 4, _B: 4})
    assert [agenda.take() for _ in range(4)] == [*jobs, None]
    assert agenda.left == 0


def test_a_full_scene_lets_the_next_one_begin() -> None:
    first, second, other = _jobs(_A, _A, _B)
    agenda = Agenda([first, second, other], {_A: 1, _B: 1})
    assert agenda.take() == first
    assert agenda.take() == other
    assert agenda.take() is None
    assert agenda.left == 1
    agenda.done(first)
    assert agenda.take() == second


def test_a_scene_is_over_with_its_last_job() -> None:
    first, second, other = _jobs(_A, _A, _B)
    agenda = Agenda([first, second, other], {_A: 2, _B: 1})
    for job in (first, second):
        assert agenda.take() == job
    assert not agenda.done(first)
    assert agenda.done(second)
    assert agenda.take() == other
    assert agenda.done(other)


def test_a_run_is_named_by_script_arm_and_number() -> None:
    assert Job("a", "ga", 2).run == "a.ga.2"
