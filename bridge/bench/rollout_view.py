"""The rollout demo's table."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bridge.bench.rollout_demo import RolloutResult

_COLUMNS = (
    *("rollout", "verdict", "what the bridge did", "after", "calls of the new arm"),
    *("callers harmed", "rescued", "to the fallback", "calls", ""),
)


def rollout_table(result: RolloutResult) -> Table:
    """Return a row a story."""
    table = Table(*_COLUMNS)
    for told in result.stories:
        table.add_row(
            told.title,
            told.verdict,
            told.action,
            "-" if told.seconds is None else f"{told.seconds:.1f} s",
            str(told.new_arm_calls),
            str(told.harmed),
            str(told.rescued),
            str(told.to_fallback),
            str(told.all_calls),
            Text("ok", style="green") if told.ok else Text("FAILED", style="bold red"),
        )
    return table


def print_rollout(result: RolloutResult, width: int | None = None) -> None:
    """Print the table, and why each was decided."""
    console = Console(highlight=False, width=width)
    console.print(rollout_table(result))
    for told in result.stories:
        console.print(f"{told.title}: {told.why}", soft_wrap=True)
    console.print(
        "Short calls and steps of seconds, so that it fits into two minutes; harmed are callers who"
        f" got no agent or a slow one. {result.took_s:.0f} s in all.",
        soft_wrap=True,
    )
