"""The table of `bridge replay trend`."""

from io import StringIO

from rich.console import Console

from bridge.cli.replay_trend import print_trends, sparkline
from bridge.replay.results.history import ScriptSummary, Summary, Timing, trends
from bridge.replay.results.run import RunVerdict, TableRow


def _run(day: int, passes: int, p95_ms: float | None, again: int = 0) -> Summary:
    verdict = RunVerdict.PASS if passes == 4 else RunVerdict.FAIL
    row = TableRow("greeting", "ga", passes, 4 - passes, 0, 0, verdict, placed_again=again)
    script = ScriptSummary("greeting", "ga", "", row, Timing(600.0, p95_ms, 4, 180.0))
    return Summary(f"2026-11-{day:02d}T08:00:00+00:00", f"c{day}", "0.1.0", "", (), (script,))


def _printed(*history: Summary) -> str:
    out = StringIO()
    print_trends(trends(history), Console(file=out, width=110, color_system=None))
    return out.getvalue()


def test_sparkline_scales_to_its_top() -> None:
    assert sparkline([0.0, 0.5, 1.0], top=1.0) == "▁▅█"
    assert sparkline([100.0, None, 200.0]) == "▅·█"
    assert sparkline([0.0, 0.0]) == "▁▁"
    assert sparkline([]) == ""


def test_a_row_shows_the_runs_and_the_newest_figures() -> None:
    told = _printed(_run(1, 4, 800.0), _run(2, 2, None), _run(3, 4, 820.0))
    assert told.splitlines()[1].split() == ["greeting", "ga", "█▅█", "100%", "█·█", "820", "180"]
    assert "worse" not in told


def test_what_got_worse_is_marked() -> None:
    assert "✕ worse" in _printed(_run(1, 4, 800.0), _run(2, 4, 1900.0))


def test_what_was_placed_again_in_the_newest_run_is_told() -> None:
    assert "2 placed again" in _printed(_run(1, 4, 800.0), _run(2, 4, 820.0, again=2))
    assert "again" not in _printed(_run(1, 4, 800.0, again=2), _run(2, 4, 820.0))
