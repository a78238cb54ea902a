"""All calls of this folder again, on arms of G.711: what they rest on is the same on any audio."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(3 * 3600)]

RUNS = {
    "calls": ("-n", "2", "--dist", "loadfile", "-m", "not nightly"),
    "times": ("-n", "0", "-m", "timed and not nightly"),
}


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("audio", ["pcmu", "pcma"])
def test_calls_pass_on_arms_of_g711(audio: str, run: str, tmp_path: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", "-q", *RUNS[run], f"--basetemp={tmp_path / 'calls'}"]
    found = subprocess.run(
        [*command, str(Path(__file__).parent)],
        cwd=ROOT,
        env={**environ, "TEST_AUDIO": audio},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout
    assert " passed" in found.stdout
