"""The table of the library's verdicts on every arm, as `deploy/handbook/ARMS.md` has it.

`python -m tests.support.verdict_table OUT...` writes it anew from the reports that `bridge replay
call_scripts --arm NAME --report OUT` wrote; of a script that stands in several, the last counts.
What was not decided, for the machine was too busy, stays as it was: a dash, if nothing was before.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from bridge.config.models import load_models
from bridge.realtime.dialect import Dialect
from bridge.replay.checks.needs import CHECK_NEEDS, SCRIPT_NEEDS, Need, why_not_played
from bridge.replay.environment.arms import choose_arms
from bridge.replay.results.files import read_results
from bridge.replay.results.run import Results, RunVerdict
from bridge.replay.script import CallScript, load_script

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "call_scripts"
PAGE = ROOT / "deploy" / "handbook" / "ARMS.md"
ARMS = ("live", "azure", "xai", "inworld", "qwen", "vllm-omni", "localai")
"""Those beside beta and GA, on which every change plays the library."""
BEGIN, END = "<!-- verdicts: begin -->", "<!-- verdicts: end -->"

NEEDS: Sequence[Need] = (*CHECK_NEEDS, *SCRIPT_NEEDS)
"""A need's number in the table is its place here, from 1."""


def services() -> dict[str, Dialect]:
    """Return the service of each arm of the simulator's."""
    return {arm.name: arm.service for arm in choose_arms(ARMS, None, {}, load_models())}


def asks_for(script: CallScript, need: Need) -> bool:
    """Return whether a script's call is judged by what needs it, in every run."""
    match need.of:
        case "realtime.credentials":
            return script.realtime.credentials == "token"
        case "default_truncated_as_heard":
            by_steps = any(step.interrupt is not None for step in script.caller)
            replies = () if script.persona is None else script.persona.script
            return by_steps or any(reply.interrupt for reply in replies)
        case kind:
            expected = (step.expect for step in script.caller)
            return any(getattr(each, kind, None) for each in expected if each is not None)


def cell(script: CallScript, service: Dialect) -> str:
    """Return what the table has to have: by the rows of needs, and a pass of everything else."""
    if why_not_played(script, service):
        return _noted("not played", [need for need in SCRIPT_NEEDS if asks_for(script, need)])
    lacking = [n for n in CHECK_NEEDS if asks_for(script, n) and n.why_not(service)]
    return _noted("pass", lacking)


def _noted(verdict: str, needs: Iterable[Need]) -> str:
    notes = ", ".join(str(NEEDS.index(need) + 1) for need in needs)
    return f"{verdict} ({notes})" if notes else verdict


def found(results: Iterable[Results]) -> dict[tuple[str, str], str]:
    """Return the cells that runs have, by script and arm."""
    cells: dict[tuple[str, str], str] = {}
    for each in results:
        for row in each.table:
            numbers = [n for n in CHECK_NEEDS if any(_is_of(n, w) for w in row.not_applicable)]
            cells[row.script, row.arm] = _noted(row.verdict.value, numbers)
        for left in each.not_played:
            cells[left.script, left.arm] = _noted("not played", SCRIPT_NEEDS)
    return cells


def _is_of(need: Need, line: str) -> bool:
    return any(why in line for service in services().values() if (why := need.why_not(service)))


def table(cells: dict[tuple[str, str], str]) -> Iterator[str]:
    """Yield the lines of the page between its marks."""
    yield "| script | " + " | ".join(f"`{arm}`" for arm in ARMS) + " |"
    yield "|---|" + "---|" * len(ARMS)
    for path in sorted(LIBRARY.glob("*.yaml")):
        row = (cells.get((path.stem, arm), "–") for arm in ARMS)
        yield f"| `{path.stem}` | " + " | ".join(row) + " |"
    yield ""
    for number, need in enumerate(NEEDS, start=1):
        yield f"{number}. `{need.of}` needs the service {need.what}. Not so:"
        reasons: dict[str, list[str]] = {}
        for arm, service in services().items():
            if why := need.why_not(service):
                reasons.setdefault(why, []).append(f"`{arm}`")
        yield from (f"   - {', '.join(arms)}: {why}" for why, arms in reasons.items())


def read_page() -> dict[tuple[str, str], str]:
    """Return the cells of the page's table, by script and arm."""
    text = PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| `")]
    return {
        (row[0].strip("`"), arm): each
        for row in rows
        for arm, each in zip(ARMS, row[1:], strict=True)
    }


def write_page(directories: Sequence[Path]) -> None:
    """Write the table anew: what these reports don't have stays as it was."""
    decided = (RunVerdict.PASS.value, RunVerdict.FAIL.value, "not played")
    cells = read_page()
    for each in map(read_results, directories):
        cells |= {at: said for at, said in found([each]).items() if said.startswith(decided)}
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    lines = "\n".join(table(cells))
    PAGE.write_text(f"{before}{BEGIN}\n{lines}\n{END}{after}", encoding="utf-8")


def scripts() -> list[CallScript]:
    """Return the library."""
    return [load_script(path) for path in sorted(LIBRARY.glob("*.yaml"))]


if __name__ == "__main__":
    write_page([Path(each) for each in sys.argv[1:]])
