"""A call on a machine of which one thing breaks: what its caller hears, and who is told.

Each case runs a Redis, a `bridge serve` and a Prometheus with the rules of deploy/ (no alert's
``for:`` longer than 8 s), places a call, breaks one thing, places another call, and looks at what
everybody says. All of them: ``pytest -m nightly tests/calls/test_broken_machine.py``. The rows of
[deploy/BROKEN.md](../../deploy/BROKEN.md) are what they expect; to write that page anew:
``python -m tests.calls.test_broken_machine``.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import show
from tests.support.broken_cases import BEGIN, CASES, END, PAGE, Case, table, table_in_page
from tests.support.broken_machine import Seen, Stage, make_scenario
from tests.support.machine import Timing
from tests.support.processes import simulating

QUICK = [case for case in CASES if case.quick]


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the agent hears and says."""
    return make_scenario(tmp_path_factory.mktemp("scenario"))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, scenario: Path) -> Iterator[str]:
    """The URL of a Realtime service."""
    with simulating(tmp_path_factory.mktemp("simulator"), scenario) as url:
        yield url


async def _play(case: Case, directory: Path, service: str, scenario: Path) -> Seen:
    wanted = [alert.name for alert in case.alerts]
    stage = Stage(directory, service, scenario, wanted)
    try:
        await case.play(stage)
    finally:
        stage.redis.close()
    return stage.seen


@pytest.mark.sip
@pytest.mark.redis
@pytest.mark.speech
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=case.name, marks=() if case.quick else pytest.mark.nightly)
        for case in CASES
    ],
)
async def test_somebody_is_told(
    case: Case,
    tmp_path: Path,
    service: str,
    scenario: Path,
    timing: Timing,
    pytestconfig: pytest.Config,
) -> None:
    seen = await _play(case, tmp_path, service, scenario)
    complaints = list(case.complaints(seen))
    verdict = "; ".join(complaints) or "as the page says"
    show(pytestconfig, "a broken machine", [f"{case.name}: {verdict}"])
    assert complaints == []
    case.check_times(seen, timing)


def test_the_page_has_what_is_expected() -> None:
    assert table_in_page() == table()


def test_no_row_where_nobody_is_told() -> None:
    assert len(CASES) > 15
    assert [case.name for case in CASES if not case.alerts] == []
    by_metrics_alone = [
        case.name for case in CASES if not (case.logged or case.refuses or not case.ready)
    ]
    assert by_metrics_alone == ["cpu_taken"]  # whether a line comes, too, hangs on the scheduler


def test_every_alert_of_the_page_is_in_the_runbook() -> None:
    runbook = (PAGE.parent / "RUNBOOK.md").read_text(encoding="utf-8")
    for case in CASES:
        for alert in case.alerts:
            assert f"\n### {alert.name}\n" in runbook
            assert "{{" not in alert.words


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    between = f"{re.escape(BEGIN)}.*{re.escape(END)}"
    new = f"{BEGIN}\n{table()}\n{END}"
    PAGE.write_text(re.sub(between, lambda _: new, text, flags=re.DOTALL), encoding="utf-8")
