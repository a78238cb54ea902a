"""Published Realtime clients hold a whole conversation with `bridge simulate`.

Each client is a program in `programs/`, run in the environment that `tests/clients/install` makes;
see the README beside this file.
"""

import asyncio
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from bridge.speech.recognition import Recognizer
from bridge.speech.words import sentences_of
from tests.clients.tap import Tap, tapped
from tests.simulator.client import spoken
from tests.support.processes import SIMULATOR_KEY, simulating

pytestmark = [pytest.mark.clients, pytest.mark.speech, pytest.mark.timeout(300)]

HERE = Path(__file__).parent
PYTHON = Path(os.environ.get("CLIENTS_VENV", HERE.parents[1] / ".venv-clients")) / "bin/python"
TALK_WITHIN_S = 240.0

QUESTIONS = {
    "order": "Where is my order?",
    "invoice": "How much is my invoice?",
    "policy": "What is your return policy?",
    "stop": "Stop, I have another question.",
}
GREETING = (
    "Thank you for calling Northwind support. I am an automated assistant, and this call may be "
    "recorded. How can I help you?"
)
ORDER = "Your order shipped on Monday and should arrive on Thursday."
INVOICE = "Your invoice is 99 dollars, and it is due on Friday."
POLICY_BEGINS = "You can return anything"
POLICY_ENDS = "the card that you paid with."
STOPPED = "Sure, go ahead."
BETA = "realtime=v1"
RACES = {"response_cancel_not_active"}
"""LiveKit cancels what turn detection has cancelled already; the service says the same."""


@dataclass(frozen=True)
class Case:
    """One client, in one dialect."""

    program: str
    dialect: str = "ga"


CASES = [
    pytest.param(Case("openai_client"), id="openai-ga"),
    pytest.param(Case("openai_client", "beta"), id="openai-beta"),
    pytest.param(Case("openai_agents_client"), id="openai-agents"),
    pytest.param(Case("livekit_client"), id="livekit"),
    pytest.param(Case("pipecat_client"), id="pipecat"),
]


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    assert PYTHON.exists(), f"{PYTHON} is missing: run tests/clients/install"
    with simulating(tmp_path_factory.mktemp("simulator")) as url:
        yield url


async def run(case: Case, url: str, place: Path) -> tuple[str, str]:
    """Run a client's program to its end; return what it wrote to stdout and stderr."""
    for name, sentence in QUESTIONS.items():
        (place / f"{name}.pcm").write_bytes(spoken(sentence).astype("<i2").tobytes())
    program = await asyncio.create_subprocess_exec(
        str(PYTHON),
        str(HERE / "programs" / f"{case.program}.py"),
        *(url, SIMULATOR_KEY, str(place), case.dialect),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(TALK_WITHIN_S):
            stdout, stderr = await program.communicate()
    finally:
        if program.returncode is None:
            program.kill()
            await program.wait()
    told = stderr.decode()
    assert program.returncode == 0, f"ended with {program.returncode}:\n{told[-6000:]}"
    return stdout.decode(), told


def understood(path: Path, sentence: str) -> str:
    """Return what is heard in an answer's audio."""
    (heard,) = Recognizer(sentences_of(sentence)).hear_all(np.fromfile(path, "<i2"), 24_000)
    return heard.text or ""


def check_conversation(report: dict[str, list[object]]) -> None:
    """Check what was said, looked up and cut short."""
    greeting, order, _, invoice, policy, stopped = report["said"]
    assert (greeting, order, invoice, stopped) == (GREETING, ORDER, INVOICE, STOPPED)
    assert str(policy).startswith(POLICY_BEGINS)
    assert not str(policy).endswith(POLICY_ENDS)
    assert report["tools"] == [{"which": "latest"}]


def check_wire(case: Case, tap: Tap) -> None:
    """Check what went over the socket: the round trips, no error, and the end."""
    assert [error for error in tap.errors if error["code"] not in RACES] == []
    assert tap.dialects == [BETA if case.dialect == "beta" else None]
    for kind in ("input_audio_buffer.append", "conversation.item.create", "response.create"):
        assert kind in tap.sent
    assert "conversation.item.truncate" in tap.sent
    assert "conversation.item.truncated" in tap.got
    assert tap.closed == [1000]


@pytest.mark.parametrize("case", CASES)
async def test_client_holds_a_conversation(case: Case, simulator: str, tmp_path: Path) -> None:
    async with tapped(simulator) as tap:
        stdout, stderr = await run(case, tap.url, tmp_path)
    check_conversation(json.loads(stdout.splitlines()[-1]))
    assert understood(tmp_path / "heard-order.pcm", ORDER) == ORDER
    check_wire(case, tap)
    assert "Traceback" not in stderr
    assert "ERROR" not in stderr
