"""The test call of deploy/prometheus: what its exit code becomes for Prometheus."""

import os
import subprocess
import time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.deploy.rules import DEPLOY

SCRIPT = DEPLOY / "prometheus" / "synthetic-call"


def figures(path: Path) -> dict[str, float]:
    families = text_string_to_metric_families(path.read_text(encoding="utf-8"))
    return {each.name: each.value for family in families for each in family.samples}


@pytest.mark.parametrize(
    ("command", "code"),
    [("true", 0), ("exit 1", 1), ("exit 3", 3), ("exec sleep 60", 124)],
)
def test_an_exit_code_becomes_a_textfile(tmp_path: Path, command: str, code: int) -> None:
    file = tmp_path / "call.prom"
    done = subprocess.run(
        [str(SCRIPT), str(file), "sh", "-c", command],
        env={**os.environ, "SYNTHETIC_CALL_TIMEOUT_S": "1"},
        check=False,
        timeout=30,
    )
    assert done.returncode == code
    told = figures(file)
    assert told["bridge_synthetic_call_success"] == (code == 0)
    assert told["bridge_synthetic_call_exit_code"] == code
    assert abs(told["bridge_synthetic_call_timestamp_seconds"] - time.time()) < 60
    assert list(tmp_path.iterdir()) == [file]
