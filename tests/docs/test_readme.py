"""README is short, true, and leads to everything within three hops."""

import re
import tomllib
from pathlib import Path

import click
import pytest

from bridge.cli.main import main
from tests.docs.pages import ROOT, prose, read
from tests.docs.test_paths import paths_named_in

README = ROOT / "README.md"

WHERE = {
    "who decides that the agent stops": "bridge/engine/caller/barge_in.py",
    "may the agent answer just now": "bridge/engine/floor.py",
    "where the 503 comes from": "bridge/telephony/admission.py",
    "which file for a new vendor's header": "bridge/routing/origin.py",
    "where is the retention": "bridge/recordings/retention.py",
    "why was this call not on the new arm": "bridge/routing/rollout/decision.py",
    "why was the arm rolled back": "bridge/routing/rollout/verdict.py",
    "what happens when the service hangs up": "bridge/realtime/failures.py",
    "where do prices come from": "bridge/config/models.yaml",
    "who may listen to a call": "bridge/console/access/roles.py",
    "how is a webhook signed and bounded": "bridge/tools/webhook.py",
    "which keys does Redis hold": "bridge/store/keys.py",
    "why does the caller hear a tone": "bridge/engine/voice/filler.py",
    "how many calls does this machine hold": "bridge/app/start/capacity.py",
    "what is taken out of transcripts": "bridge/redaction/kinds.py",
    "how are 8 kHz made 24 kHz": "bridge/audio/resample.py",
    "what was heard of an answer": "bridge/telephony/playout.py",
    "keys of the phone are ignored": "bridge/telephony/keys.py",
    "the person did not get the call": "bridge/engine/handoff/transfer.py",
    "what may be truncated and when": "bridge/engine/caller/interruption.py",
    "the process died: what did it say": "bridge/app/loop.py",
    "which limits has PJSIP": "deploy/pjsip/capacity/recipe.py",
    "a stranger floods the SIP port": "bridge/telephony/tcp_door.py",
    "a node died: who ends its calls": "bridge/store/nodes.py",
    "what does the test caller check": "bridge/replay/checks/steps.py",
    "what does `arm` mean": "bridge/config/settings.py",
    "where is a setting declared": "bridge/config/settings.py",
}
"""Twenty users' questions and more, and the module that has the answer."""


def reached(hops: int) -> set[Path]:
    """Return what README leads to within so many hops; a hop is a link, or a path that is named."""
    seen: set[Path] = {README}
    edge = {README}
    for _ in range(hops):
        pages = [page for page in edge if page.suffix == ".md"]
        edge = {place.resolve() for page in pages for _, place in paths_named_in(page)} - seen
        seen |= edge
    return seen


@pytest.mark.parametrize(("question", "module"), WHERE.items())
def test_module_with_the_answer_is_three_hops_away(question: str, module: str) -> None:
    assert ROOT / module in reached(3)


def test_readme_is_short() -> None:
    assert len(read(README).splitlines()) <= 150


def test_floors_are_those_that_are_held() -> None:
    project = tomllib.loads(read(ROOT / "pyproject.toml"))
    (layers,) = (
        contract["layers"]
        for contract in project["tool"]["importlinter"]["contracts"]
        if contract.get("containers") == ["bridge"]
    )
    held = [set(re.findall(r"\w+", layer)) for layer in layers]
    drawn = re.findall(r"^F\d  ((?:\w+)(?: \| \w+)*)", read(README), flags=re.MULTILINE)
    assert [set(re.findall(r"\w+", floor)) for floor in drawn] == held
    table = read(ROOT / "bridge" / "ARCHITECTURE.md").partition("## 3. Floors")[2]
    rows = re.findall(r"^\| \d \| ([^|]+) \|", table.partition("\n## ")[0], flags=re.MULTILINE)
    assert [set(re.findall(r"\w+", row)) for row in rows] == held


def test_every_command_is_in_the_table() -> None:
    rows = re.findall(r"^\| `bridge (\w+)", prose(README), flags=re.MULTILINE)
    assert sorted(rows) == sorted(main.list_commands(click.Context(main)))
