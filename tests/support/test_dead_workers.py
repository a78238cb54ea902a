"""A run of pytest whose worker dies: red within seconds, with the worker's last words."""

import subprocess
import sys
from pathlib import Path

from tests.support.native_death import DIE_IN_A_NATIVE_THREAD, LAST_WORDS

_REPOSITORY = Path(__file__).resolve().parents[2]
_AT_ONCE_S = 120
"""Of a busy machine; alone it takes 4 s to the death and 10 until the last worker is killed."""


def _run(directory: Path, **files: str) -> "subprocess.CompletedProcess[str]":
    """Run files of tests by two workers, with this project's own options."""
    for name, text in files.items():
        (directory / f"{name}.py").write_text(text)
    options = [
        "-c",
        f"{_REPOSITORY}/pyproject.toml",
        "--rootdir",
        str(directory),
        "-p",
        "tests.conftest",
    ]
    workers = ["-n", "2", "--dist", "loadfile", "-p", "no:cacheprovider"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, *workers, str(directory)],
        cwd=_REPOSITORY,
        capture_output=True,
        text=True,
        timeout=_AT_ONCE_S,
    )


_QUICK = "def test_one(): pass\ndef test_two(): pass\ndef test_three(): pass\n"
_SLOW = "import time\ndef test_sleeps(): time.sleep(300)\n" + _QUICK


def test_a_worker_that_dies_turns_the_run_red_at_once_with_its_last_words(tmp_path: Path) -> None:
    dying = f"{DIE_IN_A_NATIVE_THREAD}\ndef test_dies(): die_in_a_native_thread()\n"

    ended = _run(tmp_path, test_dying=dying, test_slow=_SLOW)

    assert ended.returncode == 1, ended.stdout
    assert "died in or after test_dying.py::test_dies" in ended.stdout
    assert LAST_WORDS in ended.stdout
    assert "Fatal Python error: Aborted" in ended.stdout
    assert "in die_in_a_native_thread" in ended.stdout  # where Python's threads were


def test_a_death_while_nobody_else_has_work_left_does_not_hang(tmp_path: Path) -> None:
    busy = "import time\ndef test_one(): time.sleep(1)\ndef test_two(): pass\n"
    dying = f"{DIE_IN_A_NATIVE_THREAD}{_LATE}def test_three(): pass\n"

    ended = _run(tmp_path, test_a=_QUICK, test_b=busy, test_c=dying)

    assert ended.returncode == 1, ended.stdout
    assert "died in or after test_c.py::test_dies" in ended.stdout


def test_a_death_after_the_last_test_is_no_green_run(tmp_path: Path) -> None:
    dying = f"{DIE_IN_A_NATIVE_THREAD}{_AFTER}"

    ended = _run(tmp_path, test_a=dying, test_b=_QUICK)

    assert ended.returncode == 1, ended.stdout
    assert "died in or after test_a.py::test_passes" in ended.stdout
    assert LAST_WORDS in ended.stdout


def test_a_run_without_a_death_is_as_ever(tmp_path: Path) -> None:
    noisy = "import os\ndef test_one(): os.write(2, b'a word from below')\n"

    ended = _run(tmp_path, test_a=noisy, test_b=_QUICK)

    assert ended.returncode == 0, ended.stdout
    assert "4 passed" in ended.stdout
    assert "last words" not in ended.stdout


_LATE = """
def test_waits(): time.sleep(4)
def test_dies(): die_in_a_native_thread()
"""

_AFTER = """
import pytest

@pytest.fixture(scope="session", autouse=True)
def dies_at_the_end():
    yield
    die_in_a_native_thread()

def test_passes(): pass
"""
