"""A gateway that dies in a thread of C's: what it said is kept, and its next start logs it."""

import contextlib
import signal
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.support.gateways import write_dialplan, write_settings
from tests.support.native_death import (
    DIE_IN_A_NATIVE_THREAD,
    DIE_IN_PJSIP,
    LAST_WORDS,
    PJSIPS_LAST_WORDS,
)
from tests.support.processes import Running, running

pytestmark = [pytest.mark.sip, pytest.mark.redis]

_NOWHERE = "ws://127.0.0.1:9/v1/realtime"
_HAS_ASSERTIONS = "+capacity" not in version("pjsua2-python")


class Node:
    """One node's directory, in which its processes start one after another."""

    def __init__(self, place: Path, death: str) -> None:
        self.place = place
        (place / "sitecustomize.py").write_text(
            f"{death}\nimport signal\n"
            "signal.signal(signal.SIGUSR1, lambda *_: die_in_a_native_thread())\n"
        )
        dialplans = write_dialplan(place / "dialplans")
        self._settings = write_settings(place, _NOWHERE, dialplans)

    @property
    def words(self) -> list[Path]:
        return sorted(self.place.glob("state/last_words/*"))

    def start(self) -> contextlib.AbstractContextManager[Running]:
        return running(
            *("serve", "--json", "--no-preflight", "--config", str(self._settings)),
            directory=self.place,
            PYTHONPATH=str(self.place),
            BRIDGE_NODE="n1",
        )

    async def lives_and_dies(self, by: signal.Signals, code: int) -> Running:
        with self.start() as process:
            process.tell(by)
            assert await process.ended() == code
        return process


def deaths_told(process: Running) -> list[dict[str, object]]:
    return [line for line in process.logged if line["event"] == "previous_process_died"]


@pytest.mark.parametrize(
    ("death", "words"),
    [
        pytest.param(DIE_IN_A_NATIVE_THREAD, LAST_WORDS, id="c-library"),
        pytest.param(
            DIE_IN_PJSIP,
            PJSIPS_LAST_WORDS,
            id="pjsip",
            marks=pytest.mark.skipif(not _HAS_ASSERTIONS, reason="PJSIP without its assertions"),
        ),
    ],
)
async def test_what_is_said_at_death_is_kept_and_told_by_the_next_start(
    tmp_path: Path, death: str, words: str
) -> None:
    node = Node(tmp_path, death)

    died = await node.lives_and_dies(signal.SIGUSR1, -signal.SIGABRT)

    assert all(line.startswith("{") for line in died.stderr.splitlines())  # JSON stays JSON
    (left,) = node.words
    assert left.name == f"n1.{died.pid}.txt"
    said = left.read_text()
    assert words in said
    assert "Fatal Python error: Aborted" in said
    assert "in die_in_a_native_thread" in said

    with node.start() as process:
        (told,) = deaths_told(process)
        assert told["level"] == "error"
        assert told["pid"] == died.pid
        assert words in str(told["last_words"])
        kept = Path(str(told["path"]))
        assert (tmp_path / kept).read_text() == said
    with node.start() as process:
        assert not deaths_told(process)  # once is enough
    assert [path.name for path in node.words] == [kept.name]


async def test_a_death_without_a_word_is_told_too(tmp_path: Path) -> None:
    node = Node(tmp_path, DIE_IN_A_NATIVE_THREAD)

    died = await node.lives_and_dies(signal.SIGKILL, -signal.SIGKILL)

    with node.start() as process:
        (told,) = deaths_told(process)
        assert told["pid"] == died.pid
        assert "killed" in str(told["last_words"])


async def test_an_end_in_order_leaves_nothing_to_tell(tmp_path: Path) -> None:
    node = Node(tmp_path, DIE_IN_A_NATIVE_THREAD)

    await node.lives_and_dies(signal.SIGINT, 0)

    assert node.words == []
    with node.start() as process:
        assert not deaths_told(process)


async def test_a_place_that_cannot_be_written_to_stops_no_calls(tmp_path: Path) -> None:
    node = Node(tmp_path, DIE_IN_A_NATIVE_THREAD)
    (tmp_path / "state").write_text("no directory")

    with node.start() as process:
        (told,) = [line for line in process.logged if line["event"] == "last_words_not_kept"]
    assert told["level"] == "warning"
