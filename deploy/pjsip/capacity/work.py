"""What every step needs: a line of progress, programs whose output goes to a log, one error."""

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path


class BuildError(Exception):
    """The build cannot go on.

    Args:
        what: the thing, and what is wrong with it.
        remedy: what the reader can do.
        log: a file with more details.
    """

    def __init__(self, what: str, *, remedy: str = "", log: Path | None = None) -> None:
        super().__init__(what)
        self.what, self.remedy, self.log = what, remedy, log

    def __str__(self) -> str:
        lines = [self.what]
        if self.remedy:
            lines.append(f"  remedy: {self.remedy}")
        if self.log:
            lines.append(f"  log:    {self.log}")
        return "\n".join(lines)


def say(text: str) -> None:
    """Print one line of progress, at once."""
    print(f"pjsip: {text}", flush=True)


@contextlib.contextmanager
def step(text: str) -> Iterator[None]:
    """Say what begins, and how long it took."""
    say(f"{text} ...")
    begun = time.monotonic()
    yield
    say(f"    {time.monotonic() - begun:.1f} s")


class Log:
    """The build's log file, and the programs whose output it takes.

    Args:
        path: written anew.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")

    def run(
        self,
        command: Sequence[str | Path],
        *,
        failure: str,
        remedy: str = "",
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Run a program to its end.

        Raises:
            BuildError: it is not there or it failed; ``failure`` and ``remedy`` are the text.
        """
        words = [str(word) for word in command]
        with self.path.open("a") as output:
            output.write(f"\n$ {shlex.join(words)}\n")
            output.flush()
            try:
                process = subprocess.Popen(
                    words,
                    cwd=cwd,
                    env=env,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    process_group=0,
                )
            except FileNotFoundError as error:
                raise BuildError(f"{failure}: no program `{words[0]}`", remedy=remedy) from error
            status = _end_of(process)
        if status != 0:
            self._show_end()
            raise BuildError(f"{failure} (exit {status})", remedy=remedy, log=self.path)

    def _show_end(self, lines: int = 12) -> None:
        for line in self.path.read_text(errors="replace").splitlines()[-lines:]:
            print(f"  | {line}", file=sys.stderr)


def _end_of(process: subprocess.Popen[bytes]) -> int:
    """Wait; where this process is stopped meanwhile, the program and all it started stop."""
    try:
        return process.wait()
    except BaseException:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()
        raise
