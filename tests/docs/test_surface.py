"""What contributors and hosts start with leads to what is there."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml

from tests.docs.pages import ROOT, headings, read

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def test_hosted_ci_runs_what_any_machine_runs() -> None:
    (workflow,) = (yaml.safe_load(read(path)) for path in WORKFLOWS)
    steps = [step.get("run") for job in workflow["jobs"].values() for step in job["steps"]]
    assert ".ci/run" in steps
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_command_that_ci_takes_from_the_readme_is_there() -> None:
    (taking,) = re.findall(r"^command=.*$", read(ROOT / ".ci" / "run"), flags=re.MULTILINE)
    taken = subprocess.run(
        ["bash", "-c", f'{taking}; echo "$command"'], cwd=ROOT, capture_output=True, check=True
    )
    assert re.fullmatch(rb"pytest -n \d+ --dist loadfile && pytest -m timed\n", taken.stdout)


def test_hooks_are_programs_of_the_environment() -> None:
    repos = yaml.safe_load(read(ROOT / ".pre-commit-config.yaml"))["repos"]
    assert [repo["repo"] for repo in repos] == ["local"]
    programs = {Path(hook["entry"].split()[0]) for repo in repos for hook in repo["hooks"]}
    assert {str(program.parent) for program in programs} == {".venv/bin"}
    beside = Path(sys.executable).parent
    assert [program.name for program in programs if not (beside / program.name).exists()] == []


def test_recipes_run_programs_of_the_environment_or_of_the_repository() -> None:
    text = read(ROOT / ".justfile")
    recipes = re.findall(r"^    @?(\S+)", text, flags=re.MULTILINE)
    beside = Path(sys.executable).parent
    unknown = {
        program
        for program in {*recipes} - {"just", "python3", ".venv/bin/pip"}
        if not (beside / program).exists() and not (ROOT / program).exists()
    }
    assert unknown == set()


def test_changelog_is_by_versions_up_to_the_present_one() -> None:
    first, *released = [
        heading for heading in headings(ROOT / "deploy" / "CHANGELOG.md") if heading != "Changelog"
    ]
    assert first == "Unreleased"
    found = [re.fullmatch(r"(\d+)\.(\d+)\.(\d+), (\d{4}-\d\d-\d\d)", each) for each in released]
    versions = [tuple(map(int, match.groups()[:3])) for match in found if match is not None]
    assert len(versions) == len(released)
    assert versions == sorted(versions, reverse=True)
    present = tomllib.loads(read(ROOT / "pyproject.toml"))["project"]["version"]
    assert ".".join(map(str, versions[0])) == present


def test_names_in_worked_lists_are_in_the_files_they_are_said_to_be_in() -> None:
    rows = re.findall(
        r"^\| `(bridge/[\w/]+\.py)` \| (.*) \|$",
        read(ROOT / ".github" / "CONTRIBUTING.md"),
        flags=re.MULTILINE,
    )
    named = [
        (path, name)
        for path, step in rows
        for name in re.findall(r"`(_\w+|[A-Z]\w*)`", step)  # classes, constants, tables
    ]
    assert len(named) >= 15
    assert [(path, name) for path, name in named if not defines(ROOT / path, name)] == []


def defines(path: Path, name: str) -> bool:
    """Return whether a module has a name."""
    return re.search(rf"\b{name}\b", read(path)) is not None
