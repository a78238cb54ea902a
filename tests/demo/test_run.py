"""`bridge demo` as people start it: whole runs, with real speech over real RTP, and their ends.

Every process of a run inherits a variable that marks it, so that whatever is left is found, also
what has a session or a parent of its own. Redis writes over its environment, and is known by its
working directory, in a TMPDIR of the run's own.
"""

import asyncio
import json
import os
import pty
import re
import signal
import subprocess
import sys
import tempfile
import wave
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import numpy as np
import psutil
import pytest

from bridge.config.settings import RedisSettings
from bridge.store.local import LocalRedis, start_local_redis
from bridge.store.reader import CallReader
from tests.support.machine import Timing

pytestmark = [pytest.mark.sip, pytest.mark.redis, pytest.mark.speech, pytest.mark.slow]

MARK = "DEMO_TEST_MARK"
LAST_AGENT_TURN = "Thank you for calling Northwind. Goodbye."

SHORT_SCRIPT = """
schema: callscript/v1
id: short
hears:
  - Thanks for calling Northwind support.
  - I am an automated assistant, and this call may be recorded.
  - How can I help you?
  - Your order shipped on Monday and should arrive on Thursday.
  - Thank you for calling Northwind.
  - Goodbye.
pronunciations:
  northwind: N AO R TH W IH N D
caller:
  - expect:
      text_contains: may be recorded
  - say:
      text: "{words}"
    expect:
      text_contains: "{answer}"
end:
  by: {ends}
  max_duration_s: 40
"""


@dataclass
class Demo:
    """Runs `bridge demo`, all its processes marked."""

    recordings: Path
    temporary: Path
    mark: str = field(default_factory=lambda: uuid4().hex)
    started: "list[subprocess.Popen[str]]" = field(default_factory=list)

    def arguments(self, *more: str) -> list[str]:
        recordings = ("--recordings", str(self.recordings))
        return [sys.executable, "-m", "bridge", "demo", *recordings, *more]

    def environ(self, **more: str) -> dict[str, str]:
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("BRIDGE_") and name not in ("NO_COLOR", "FORCE_COLOR")
        }
        return {**inherited, MARK: self.mark, "TMPDIR": str(self.temporary), **more}

    def run(self, *more: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.arguments(*more),
            capture_output=True,
            text=True,
            env=self.environ(**environ),
            timeout=120,
            check=False,
        )

    def start(self, *more: str, **environ: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            self.arguments(*more),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environ(**environ),
        )
        self.started.append(process)
        return process

    def left_over(self) -> list[psutil.Process]:
        return [process for process in psutil.process_iter() if self.is_part(process)]

    def is_part(self, process: psutil.Process) -> bool:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            marked = process.environ().get(MARK) == self.mark
            return marked or process.cwd().startswith(str(self.temporary))
        except psutil.Error:
            return False

    def left_nothing(self) -> bool:
        return not self.left_over() and not list(self.temporary.iterdir())

    def part(self, command: str) -> psutil.Process:
        """Return the process of a subcommand."""
        return next(each for each in self.left_over() if command in each.cmdline())


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    # Not below tmp_path: the path of a unix socket must be short.
    with tempfile.TemporaryDirectory(prefix="demo-") as temporary:
        demo = Demo(tmp_path / "recordings", Path(temporary))
        yield demo
        for process in demo.left_over():  # for tests that fail
            process.kill()
        for started in demo.started:
            started.communicate()


def write_script(
    folder: Path,
    words: str = "Thank you, goodbye.",
    answer: str = "Goodbye",
    ends: str = "bridge",
) -> str:
    path = folder / "short.yaml"
    path.write_text(SHORT_SCRIPT.format(words=words, answer=answer, ends=ends))
    return str(path)


def read_until(process: "subprocess.Popen[str]", text: str) -> list[str]:
    """Read lines up to the one that holds ``text``: they must come while the demo goes on."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return lines
    raise AssertionError(f"no line with '{text}' in {lines}")


def wait_until_gone(demo: Demo, timeout_s: float) -> None:
    psutil.wait_procs(demo.left_over(), timeout=timeout_s)
    assert demo.left_over() == []


@pytest.mark.parametrize("dialect", ["ga", "beta", "live"])
def test_demo_json_is_good_and_leaves_nothing(demo: Demo, dialect: str, timing: Timing) -> None:
    done = demo.run("--json", "--dialect", dialect)

    check_times(done.stderr, timing)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert demo.left_nothing()
    shown = json.loads(done.stdout)
    assert set(shown) == {"ok", "calls"}
    assert shown["ok"] is True
    (call,) = shown["calls"]
    assert set(call) == {
        *("call_id", "arm", "dialect", "outcome", "turns"),
        *("recording", "agent_heard_ms", "interruptions"),
    }
    assert (call["arm"], call["dialect"], call["outcome"]) == ("local", dialect, "completed")
    assert call["interruptions"] == 1
    assert call["agent_heard_ms"] > 5000
    check_turns(call["turns"])
    check_stereo(Path(call["recording"]))


def check_times(errors: str, timing: Timing) -> None:
    """Hold the times that the demo complains of against the script's limits for them."""
    for limit_ms, took_ms in re.findall(r"within (\d+) ms; it took (\d+) ms", errors):
        timing.check("the demo's caller", int(took_ms), most_ms=int(limit_ms))


def check_turns(turns: list[dict[str, object]]) -> None:
    assert all(set(turn) == {"speaker", "text", "latency_ms"} for turn in turns)
    speakers = [turn["speaker"] for turn in turns]
    assert speakers[0] == speakers[-1] == "agent"
    assert {"agent", "caller"} == set(speakers)
    assert turns[-1]["text"] == LAST_AGENT_TURN
    for turn in turns:
        latency_ms = turn["latency_ms"]
        if turn["speaker"] == "caller":
            assert latency_ms is None
        else:
            assert isinstance(latency_ms, int)
            assert latency_ms > 0


def check_stereo(path: Path) -> None:
    with wave.open(str(path)) as recording:
        assert (recording.getnchannels(), recording.getsampwidth()) == (2, 2)
        seconds = recording.getnframes() / recording.getframerate()
        samples = np.frombuffer(recording.readframes(recording.getnframes()), dtype="<i2")
    assert seconds > 10
    caller, agent = samples.reshape(-1, 2).T
    assert np.abs(caller).max() > 1000
    assert np.abs(agent).max() > 1000
    assert not np.array_equal(caller, agent)


def test_demo_on_a_terminal_shows_the_call(demo: Demo, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        demo.arguments("--script", write_script(tmp_path)),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=demo.environ(TERM="xterm-256color", COLUMNS="100", LINES="40"),
    )
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 65536):
            shown += piece
    except OSError:  # Linux tells the end of a terminal so
        pass
    finally:
        os.close(ours)

    assert process.wait(10) == 0
    assert demo.left_nothing()
    text = shown.decode()
    for wanted in ("\x1b[", "the agent speaks", "Thank you, goodbye.", " ms", "✔"):
        assert wanted in text
    assert text.count("Thank you, goodbye.") == 1  # settled lines are not drawn again
    assert "\x1b[?25h" in text  # the cursor is back


def test_demo_fails_when_the_caller_expected_another_answer(demo: Demo, tmp_path: Path) -> None:
    script = write_script(tmp_path, answer="on Thursday")

    done = demo.run("--script", script, "--json")

    assert done.returncode == 1
    assert re.search(r'step 2 at [\d.]+ s: expected the agent to say "on Thursday"', done.stderr)
    shown = json.loads(done.stdout)
    assert shown["ok"] is False
    assert [turn["speaker"] for turn in shown["calls"][0]["turns"]] == ["agent", "caller", "agent"]


def test_demo_fails_when_the_agent_hears_something_else(demo: Demo, tmp_path: Path) -> None:
    scenario = tmp_path / "deaf.yaml"
    scenario.write_text(
        "name: deaf\ngreeting: Thank you for calling Northwind.\n"
        "rules:\n- hears: ['Thank you, bye.']\n"
        "  say: Thank you for calling Northwind. Goodbye.\n"
        "  tool: {name: end_call}\n"
        "fallback: Thank you for calling Northwind. Goodbye.\n"
        "pronunciations: {northwind: N AO R TH W IH N D}\n"
    )
    script = write_script(tmp_path, words="Where is my order?", ends="anyone")

    done = demo.run("--script", script, "--scenario", str(scenario))

    assert done.returncode == 1
    assert "fault: caller utterance 1 was " in done.stdout
    assert "\x1b" not in done.stdout


def test_ctrl_c_in_the_call_ends_everything_in_order(demo: Demo, tmp_path: Path) -> None:
    with start_local_redis() as redis:
        environ = {"BRIDGE_REDIS_URL": redis.url}
        process = demo.start("--script", write_script(tmp_path), **environ)
        read_until(process, "Thanks for calling")

        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)

        assert process.returncode == 130
        assert errors == "stopped by SIGINT; nothing is left running\n"
        assert demo.left_nothing()
        (record,) = demo.recordings.glob("c_*.json")
        assert how_it_ended(redis, record.stem) == ("ended", "completed")


def how_it_ended(redis: LocalRedis, call_id: str) -> tuple[str, str]:
    async def read() -> tuple[str, str]:
        async with CallReader(RedisSettings(), redis.url) as reader:
            assert await reader.active() == []
            fields = await reader.call(call_id) or {}
            return fields["phase"], fields["outcome"]

    return asyncio.run(read())


def test_kill_9_of_the_demo_leaves_nothing(demo: Demo, tmp_path: Path) -> None:
    process = demo.start("--script", write_script(tmp_path))
    read_until(process, "Thanks for calling")
    assert len(demo.left_over()) == 5  # the demo, Redis, Realtime server, gateway, caller

    process.kill()
    process.communicate(timeout=10)

    wait_until_gone(demo, timeout_s=20)


def test_gateway_that_dies_is_an_infrastructure_failure(demo: Demo, tmp_path: Path) -> None:
    process = demo.start("--script", write_script(tmp_path))
    read_until(process, "Thanks for calling")

    demo.part("serve").kill()
    _, errors = process.communicate(timeout=30)

    assert process.returncode == 3
    assert errors.startswith("error: the gateway ended with status -9")
    assert demo.left_nothing()


@pytest.mark.parametrize(
    ("option", "text", "said"),
    [
        ("--script", "schema: callscript/v1\n", "bad.yaml"),
        ("--scenario", "name: nothing\n", "error: the local Realtime server: "),
        ("--dialplans", "", "error: the gateway: "),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    demo: Demo, tmp_path: Path, option: str, text: str, said: str
) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(text)

    done = demo.run(option, str(bad), "--json")

    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ")
    assert said in done.stderr
    assert json.loads(done.stdout) == {"ok": False, "calls": []}
    assert demo.left_nothing()


def test_unreachable_redis_is_one_line_and_status_3(demo: Demo, tmp_path: Path) -> None:
    done = demo.run(BRIDGE_REDIS_URL=f"unix://{tmp_path}/nobody.sock")

    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert "BRIDGE_REDIS_URL" in done.stderr
    assert demo.left_nothing()


def test_settings_for_serve_do_not_reach_the_demo(demo: Demo, tmp_path: Path) -> None:
    taken = {"BRIDGE_SIP_PORT": "1", "BRIDGE_ARMS": "{}", "BRIDGE_CONFIG": "/nowhere"}
    process = demo.start("--script", write_script(tmp_path), **taken)

    read_until(process, "Thanks for calling")
    process.terminate()
    process.communicate(timeout=30)

    assert process.returncode == 143
