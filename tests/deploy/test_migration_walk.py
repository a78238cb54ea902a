"""The steps of MIGRATION.md, typed as they stand: other ports and another Redis, nothing else."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from bridge.store.local import start_local_redis
from tests.deploy.pages import ROOT, blocks, settings_files
from tests.deploy.rules import DEPLOY
from tests.support.ports import free_port
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.sip, pytest.mark.redis, pytest.mark.nightly, pytest.mark.timeout(900)]

GUIDE = (DEPLOY / "MIGRATION.md").read_text(encoding="utf-8")
STAYS = ("bridge simulate", "bridge serve")
"""What runs in a terminal of its own, as the last line of its block."""


def section(begin: str, end: str) -> str:
    return GUIDE.partition(f"\n{begin}\n")[2].partition(f"\n{end}\n")[0]


@dataclass
class Site:
    """A directory in which somebody types.

    Attributes:
        swaps: what is said otherwise here: ports, Redis.
    """

    directory: Path
    swaps: dict[str, str]
    http_port: int
    terminals: ExitStack

    def here(self, text: str) -> str:
        for said, ours in self.swaps.items():
            text = text.replace(said, ours)
        return text

    def _environment(self) -> dict[str, str]:
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith("BRIDGE_")
        }
        return {
            **inherited,
            "PATH": f"{self.directory / 'bin'}:{inherited['PATH']}",
            "PYTHONPATH": str(ROOT),
            "BRIDGE_HTTP_PORT": str(self.http_port),
        }

    def type(self, block: str) -> str:
        """Type a block; return what it printed on stdout."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", self.here(block)],
            cwd=self.directory,
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert done.returncode == 0, (
            f"{block}\nended with {done.returncode}:\n{done.stderr[-3000:]}"
        )
        return done.stdout

    def stay(self, block: str) -> None:
        """Type a block whose last command stays, in a terminal of its own."""
        self.terminals.enter_context(self._terminal(block))

    @contextmanager
    def _terminal(self, block: str) -> Iterator[None]:
        lines = self.here(block).rstrip().splitlines()
        lines[-1] = f"exec {lines[-1]}"
        with (self.directory / f"{len(lines)}.log").open("w", encoding="utf-8") as log:
            process = subprocess.Popen(
                ["bash", "-euo", "pipefail", "-c", "\n".join(lines)],
                cwd=self.directory,
                env=self._environment(),
                stdout=log,
                stderr=log,
            )
            try:
                yield
            finally:
                process.send_signal(signal.SIGINT)
                process.wait(60)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    for name in ("call_scripts", "dialplans"):
        shutil.copytree(ROOT / name, tmp_path / name)
    program = tmp_path / "bin" / "bridge"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m bridge "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    with start_local_redis() as redis, ExitStack() as terminals:
        swaps = {
            "redis://127.0.0.1:6379/0": redis.url,
            "8765": str(free_port()),
            "5060": str(free_port()),
        }
        yield Site(tmp_path, swaps, free_port(), terminals)


async def until_answered(site: Site, url: str) -> None:
    """Wait until something answers HTTP there with a status below 500."""

    def asked() -> bool:
        try:
            with urlopen(site.here(url), timeout=2.0):
                return True
        except URLError as error:
            return getattr(error, "code", 599) < 500

    async def answered() -> bool:
        return await asyncio.to_thread(asked)

    await wait_until(answered, f"nothing answers at {url}")


async def test_steps_walk_as_they_are_typed(site: Site) -> None:
    steps = section("## 4. Steps", "## 5. Rollback")
    for path, text in settings_files(steps).items():
        (site.directory / path).parent.mkdir(exist_ok=True)
        (site.directory / path).write_text(site.here(text), encoding="utf-8")
    exports = ""
    arms: list[list[str]] = []
    for block in blocks(steps, "sh"):
        if block.rstrip().splitlines()[-1].startswith(STAYS):
            await asyncio.to_thread(site.stay, block)
            is_gateway = "bridge serve" in block
            ready = f"http://127.0.0.1:{site.http_port}/readyz"
            await until_answered(site, ready if is_gateway else "http://127.0.0.1:8765/")
            continue
        exports = exports or block.splitlines(keepends=True)[0]  # one terminal has them for good
        assert exports.startswith("export ")
        await asyncio.to_thread(site.type, exports + block)
        if "bridge calls list" in block:
            listed = f"{exports}bridge calls list --config bridge.yaml --json"
            calls = json.loads(await asyncio.to_thread(site.type, listed))
            arms.append(
                [call["arm"] for call in sorted(calls, key=lambda call: call["started_at"])]
            )
    # 4.2 goes to the old arm, 4.4's test number to the new one, 4.5 there and back.
    assert arms == [["old", "new"], ["old", "new", "new", "old"]]
    history = f"{exports}bridge rollout history to-ga --config bridge.yaml --json"
    rows = json.loads(await asyncio.to_thread(site.type, history))
    shares = [int(row["share"]) / 10 for row in reversed(rows)]
    assert shares == [0, 0, 100, 0, 0, 1, 100, 0]


async def test_session_is_converted_as_it_is_typed(site: Site) -> None:
    beta = {"voice": "sage", "modalities": ["text", "audio"], "turn_detection": None}
    (site.directory / "beta.json").write_text(json.dumps(beta), encoding="utf-8")
    (command,) = blocks(section("## 3. Session settings", "## 4. Steps"), "sh")
    await asyncio.to_thread(site.type, command)
    converted = json.loads((site.directory / "ga.json").read_text(encoding="utf-8"))
    assert converted["output_modalities"] == ["audio"]
