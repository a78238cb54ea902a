"""`bridge` commands as processes of their own: started, waited for, told to stop, looked over.

Each one gets a temporary directory of its own, by which whatever it started is found, even when
its parent has gone before it: it stands in the environment, and a private Redis (which overwrites
its environment with its title) works in it.
"""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil
import yaml

import bridge
from tests.support.waiting import PATIENCE_S, wait_until

_READY_WITHIN_S = 90.0
_KILLED_AFTER_S = 15.0
_RUN_WITHIN_S = 150.0
"""What runs longest by itself is the benchmark."""
_PIPE_BYTES = 65_536
SIMULATOR_KEY = "sk-sim-1"


def _make_place() -> Path:
    """Make a temporary directory whose path is short enough for a unix socket in it."""
    return Path(tempfile.mkdtemp(prefix="bt-", dir="/tmp"))


def _environment(place: Path, extra: Mapping[str, str]) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not _is_setting(name)}
    # What the test imports is what runs, wherever the command's working directory is.
    source = str(Path(bridge.__file__).parent.parent)
    own = {"PYTHONPATH": source, "TMPDIR": str(place), "SIM_KEY": SIMULATOR_KEY}
    return {**inherited, **own, **extra}


def _is_setting(name: str) -> bool:
    return name.startswith("BRIDGE_")


def _command(arguments: tuple[str, ...]) -> list[str]:
    return [sys.executable, "-m", "bridge", *arguments]


def _living_in(place: Path) -> list[psutil.Process]:
    """Return a command and all that it started, as far as they live."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            works_here = place in Path(process.cwd()).parents
            if works_here or process.environ().get("TMPDIR") == str(place):
                found.append(process)
        except psutil.Error:  # gone meanwhile, or another user's
            continue
    return found


class Running:
    """A `bridge` command that has said it is ready.

    Attributes:
        ready: what its one JSON line said.
    """

    def __init__(self, popen: "subprocess.Popen[str]", stderr: Path, place: Path) -> None:
        self.ready: dict[str, str] = {}
        self.pid = popen.pid
        self._popen = popen
        self._stderr = stderr
        self._place = place

    @property
    def stderr(self) -> str:
        """What it has written to standard error up to now."""
        return self._stderr.read_text(encoding="utf-8")

    @property
    def printed(self) -> bytes:
        """What it has written to standard output after its JSON line, as far as nobody read it."""
        assert self._popen.stdout is not None
        readable, _, _ = select.select([self._popen.stdout], [], [], 0.0)
        return os.read(self._popen.stdout.fileno(), _PIPE_BYTES) if readable else b""

    @property
    def logged(self) -> list[dict[str, object]]:
        """Its log lines (``telemetry.log_format: json``)."""
        return [json.loads(line) for line in self.stderr.splitlines() if line.startswith("{")]

    @property
    def processes(self) -> list[psutil.Process]:
        """It and everything that it started, as far as they live."""
        return _living_in(self._place)

    @property
    def litter(self) -> list[str]:
        """What lies in its temporary directory."""
        return os.listdir(self._place)

    def tell(self, number: signal.Signals) -> None:
        """Send a signal, to it alone."""
        self._popen.send_signal(number)

    async def ended(self, within_s: float = PATIENCE_S) -> int:
        """Wait for its end; return its exit code."""
        await wait_until(
            lambda: self._popen.poll() is not None, f"process {self.pid} did not end", within_s
        )
        return self._popen.returncode

    def end(self) -> None:
        """End it with all that it started, whatever state it is in. Blocks."""
        if self._popen.poll() is None:
            self._popen.send_signal(signal.SIGINT)  # a gateway would drain on SIGTERM
            try:
                self._popen.wait(_KILLED_AFTER_S)
            except subprocess.TimeoutExpired:
                self._popen.kill()
                self._popen.wait()
        for process in self.processes:
            process.kill()
        shutil.rmtree(self._place, ignore_errors=True)
        if self._popen.stdout is not None:
            self._popen.stdout.close()

    def wait_ready(self, within_s: float = _READY_WITHIN_S) -> None:
        """Wait for the JSON line. Blocks."""
        assert self._popen.stdout is not None
        readable, _, _ = select.select([self._popen.stdout], [], [], within_s)
        line = self._popen.stdout.readline() if readable else ""
        assert line, f"not ready within {within_s:g} s, and said:\n{self.stderr}"
        self.ready = json.loads(line)


def spawn(
    *arguments: str, directory: Path, files: tuple[int, int] | None = None, **environ: str
) -> Running:
    """Start a command that runs until it is told to stop. Does not wait for anything.

    Args:
        arguments: of `bridge`.
        directory: its working directory, and where its standard error is kept.
        files: its soft and its hard limit of open files.
        environ: more environment variables.
    """
    place = _make_place()
    limited = () if files is None else ("prlimit", "--nofile={}:{}".format(*files))
    stderr = directory / f"{arguments[0]}-{place.name}.stderr"
    with stderr.open("w", encoding="utf-8") as log:
        popen = subprocess.Popen(
            [*limited, *_command(arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=directory,
            env=_environment(place, environ),
            start_new_session=True,
        )
    return Running(popen, stderr, place)


@contextmanager
def running(
    *arguments: str, directory: Path, files: tuple[int, int] | None = None, **environ: str
) -> Iterator[Running]:
    """Run a command from the moment it is ready; end it at the latest with the block."""
    command = spawn(*arguments, directory=directory, files=files, **environ)
    try:
        command.wait_ready()
        yield command
    finally:
        command.end()


@contextmanager
def simulating(directory: Path, scenario: Path | None = None) -> Iterator[str]:
    """Run `bridge simulate`; give its URL."""
    chosen = () if scenario is None else ("--scenario", str(scenario))
    with running("simulate", "--json", *chosen, directory=directory) as command:
        yield command.ready["url"]


class Ended:
    """A command that has run to its end by itself.

    Attributes:
        left: processes of it that outlived it.
    """

    def __init__(
        self, done: "subprocess.CompletedProcess[str]", left: list[psutil.Process]
    ) -> None:
        self.code = done.returncode
        self.stdout = done.stdout
        self.stderr = done.stderr
        self.left = left


def run_to_end(*arguments: str, directory: Path, **environ: str) -> Ended:
    """Run a command that ends by itself. Blocks."""
    place = _make_place()
    try:
        done = subprocess.run(
            _command(arguments),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd=directory,
            env=_environment(place, environ),
            timeout=_RUN_WITHIN_S,
            check=False,
        )
    finally:
        left = _living_in(place)
        for process in left:
            process.kill()
        shutil.rmtree(place, ignore_errors=True)
    return Ended(done, left)


def write_yaml(path: Path, content: object) -> Path:
    """Write a settings file, dialplan or scenario."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path
