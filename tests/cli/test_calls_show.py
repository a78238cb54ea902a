"""How turns are drawn."""

from io import StringIO

from rich.console import Console

from bridge.cli.calls_show import print_waterfall
from bridge.telemetry.turn_latency import TurnLatency


def drawn(*turns: TurnLatency) -> list[str]:
    written = StringIO()
    print_waterfall(turns, Console(width=160, file=written))
    return written.getvalue().splitlines()


def test_call_without_turns_draws_nothing() -> None:
    assert drawn() == []
    assert drawn(TurnLatency(100)) == []


def test_short_stages_do_not_lengthen_a_bar() -> None:
    stages_ms = {"capture": 4.0, "uplink": 4.0, "endpoint": 4.0, "model": 984.0, "playback": 4.0}
    (row,) = (line for line in drawn(TurnLatency(0, 1_000.0, stages_ms)) if "█" in line)
    assert row.count("█") == 48


def test_answers_that_slow_down_are_said_to() -> None:
    turns = [TurnLatency(n * 15_000, 800.0 + n * 20, {"model": 800.0 + n * 20}) for n in range(12)]
    assert any("+80 ms for each minute" in line for line in drawn(*turns))
