"""The plot of a run."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.bench.figures import BenchResult
from bridge.bench.plot import plot
from bridge.errors import ConfigError
from tests.bench.test_verdicts import BRIDGE, FLOOR, INSIDE, PLAIN

pytest.importorskip("matplotlib")

RESULT = BenchResult({}, {}, {}, {"floor": FLOOR, "bridge": BRIDGE, "plain": PLAIN})


def test_run_is_drawn_as_png(tmp_path: Path) -> None:
    plot(RESULT, tmp_path / "bench.png")

    assert (tmp_path / "bench.png").read_bytes().startswith(b"\x89PNG")


def test_figure_beyond_the_last_bucket_does_no_harm(tmp_path: Path) -> None:
    inside = replace(INSIDE, down_p99_ms=math.inf, up_p99_ms=math.nan)
    ways = {"bridge": replace(BRIDGE, inside=inside, curve=((0.5, 3.0, 1 << 20),))}

    plot(replace(RESULT, ways=ways), tmp_path / "bench.png")

    assert (tmp_path / "bench.png").stat().st_size > 1000


def test_file_that_cannot_be_written_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        plot(RESULT, tmp_path / "missing" / "bench.png")
