"""The demo on the screen: steps, the conversation as it happens, the summary.

Three views behind one interface: a live one (colours, a status line that moves) on a terminal,
plain lines elsewhere, none at all. Everything is written at once and flushed.
"""

from collections.abc import Iterable
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.rule import Rule
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from bridge.demo.follow import EndLine, FollowedCall, InterruptionLine, Line, TurnLine
from bridge.demo.result import DemoResult, seconds, summary_rows

_GOOD_LATENCY_MS = 1000
_FAIR_LATENCY_MS = 1500
"""`NEEDS.md` section 5: p95 of a reply under 1.5 s."""

_PHASE_WORDS = {
    "idle": "the phone rings",
    "listening": "the agent listens",
    "thinking": "the agent thinks",
    "speaking": "the agent speaks",
    "cancelling": "the agent is cut off",
    "ended": "the call is over",
}
_STOP_HINT = "  (Ctrl-C hangs up)"
_SPEAKER_STYLES = {"agent": "bold cyan", "caller": "bold magenta", "bridge": "bold yellow"}


class View:
    """Shows nothing; the views below show the demo, each in its way."""

    def __enter__(self) -> Self:
        """Begin to show."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Leave the screen in order."""

    def doing(self, what: str) -> None:
        """Say what is being waited for."""

    def step(self, what: str, detail: str) -> None:
        """Show that a part is up."""

    def call(self, call: FollowedCall, lines: Iterable[Line]) -> None:
        """Show the call's phase, and the lines that are new."""

    def result(self, result: DemoResult) -> None:
        """Show the summary."""


def make_view(*, as_json: bool, plain: bool, no_color: bool) -> View:
    """Choose a view.

    Args:
        as_json: stdout belongs to the JSON: progress goes to stderr, and only to a terminal.
        plain: lines are asked for, even on a terminal.
        no_color: the user wants no colours (`NO_COLOR`, https://no-color.org).
    """
    console = Console(stderr=as_json, highlight=False)
    live = console.is_terminal and not console.is_dumb_terminal and not plain and not no_color
    if live:
        return LiveView(console)
    if as_json and not console.is_terminal:
        return View()
    return PlainView(console)


class PlainView(View):
    """One line for each thing, never wrapped, for pipes and logs."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def step(self, what: str, detail: str) -> None:
        """Print a step."""
        self._print(f"{what:<16} {detail}")

    def call(self, call: FollowedCall, lines: Iterable[Line]) -> None:
        """Print the new lines."""
        for line in lines:
            self._print(f"{seconds(line.at_ms):>8}  {_plain(line)}")

    def result(self, result: DemoResult) -> None:
        """Print the summary."""
        self._print("")
        for name, value in summary_rows(result):
            self._print(f"{name:<16} {value}")
        for fault in result.faults:
            self._print(f"fault: {fault}")
        self._print(_verdict(result))

    def _print(self, text: str) -> None:
        self._console.print(Text(text), soft_wrap=True)
        self._console.file.flush()


class LiveView(View):
    """What is settled scrolls up; below it one line moves."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._spinner = Spinner("dots", style="cyan")
        self._live = Live(
            Padding(self._spinner, (1, 0, 0, 2)),
            console=console,
            refresh_per_second=10,
            transient=True,
        )
        self._talking = False

    def __enter__(self) -> Self:
        self._console.print()
        self._live.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._live.stop()

    def doing(self, what: str) -> None:
        """Say it in the moving line."""
        self._spinner.update(text=Text(what, style="dim"))

    def step(self, what: str, detail: str) -> None:
        """Print a step."""
        grid = Table.grid(padding=(0, 1))
        grid.add_column(width=16)
        grid.add_column(overflow="fold")
        grid.add_row(Text(what, style="bold"), Text(detail, style="dim"))
        self._console.print(Group(Padding(grid, (0, 0, 0, 2))))

    def call(self, call: FollowedCall, lines: Iterable[Line]) -> None:
        """Print the new lines above the moving one."""
        if not self._talking:
            self._talking = True
            self._console.print(Padding(Rule(style="dim"), (1, 2)))
        for line in lines:
            self._console.print(Padding(_coloured(line), (0, 2, 0, 2)))
        self.doing(_PHASE_WORDS.get(call.phase, call.phase) + ("" if call.ended else _STOP_HINT))

    def result(self, result: DemoResult) -> None:
        """Print the summary."""
        self._live.stop()
        table = Table.grid(padding=(0, 2))
        table.add_column(style="dim", no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in summary_rows(result):
            table.add_row(name, Text(value))
        self._console.print(Padding(Rule(style="dim"), (1, 2)))
        self._console.print(Padding(table, (0, 2)))
        for fault in result.faults:
            self._console.print(Padding(Text(f"✘ {fault}", style="red"), (1, 2, 0, 2)))
        mark, style = ("✔", "bold green") if result.ok else ("✘", "bold red")
        self._console.print(Padding(Text(f"{mark} {_verdict(result)}", style=style), (1, 2)))


def _verdict(result: DemoResult) -> str:
    if result.ok:
        return (
            "Good: the caller heard what the agent said, and was understood. Nothing is left "
            "running."
        )
    return "The call failed its check. Nothing is left running."


def _plain(line: Line) -> str:
    match line:
        case TurnLine():
            latency = "" if line.latency_ms is None else f"  [{line.latency_ms} ms]"
            return f"{line.speaker:<7} {line.text}{latency}"
        case InterruptionLine() | EndLine():
            return f"{'':<7} -- {_remark(line)}"


def _remark(line: InterruptionLine | EndLine) -> str:
    match line:
        case InterruptionLine():
            return f"interrupted: the agent fell silent, {seconds(line.played_ms)} into its turn"
        case EndLine():
            return f"{line.outcome} ({line.reason.replace('_', ' ')})"


def _coloured(line: Line) -> RenderableType:
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(width=7, justify="right", style="dim")
    grid.add_column(width=7)
    grid.add_column(ratio=1, overflow="fold")
    grid.add_column(width=8, justify="right")
    at = seconds(line.at_ms)
    match line:
        case TurnLine():
            speaker = Text(line.speaker, style=_SPEAKER_STYLES.get(line.speaker, "bold"))
            grid.add_row(at, speaker, Text(line.text), _latency(line.latency_ms))
        case InterruptionLine():
            grid.add_row(at, "", Text(f"✂ {_remark(line)}", style="yellow"), "")
        case EndLine():
            grid.add_row(at, "", Text(f"☎ {_remark(line)}", style="dim"), "")
    return grid


def _latency(latency_ms: int | None) -> Text:
    if latency_ms is None:
        return Text()
    good, fair = latency_ms < _GOOD_LATENCY_MS, latency_ms < _FAIR_LATENCY_MS
    return Text(f"{latency_ms} ms", style="green" if good else "yellow" if fair else "red")
