"""Shows one call for `bridge calls show`: its words, its turns' latency as bars, its events."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bridge.bench.plot import check_can_plot, save
from bridge.errors import ConfigError
from bridge.store.reader import History
from bridge.telemetry.labels import INFERENCE, TurnStage
from bridge.telemetry.turn_latency import TurnLatency, drift, latency_report, percentiles

_SHOWN_APART = frozenset({"turn", "measured"})
_BAR_CHARS = 48
_TURN_INCHES, _REST_INCHES = 0.3, 1.6


class _Drawn(NamedTuple):
    """A stage's colour on the terminal and in the PNG, and its meaning."""

    on_terminal: str
    in_plot: str
    meaning: str


_STAGES = {
    TurnStage.CAPTURE: _Drawn(
        "yellow", "tab:olive", "the caller's last sound in our ring, to its append"
    ),
    TurnStage.UPLINK: _Drawn("bright_yellow", "gold", "to the socket"),
    TurnStage.ENDPOINT: _Drawn("bright_blue", "tab:cyan", "to speech_stopped"),
    TurnStage.MODEL: _Drawn("blue", "tab:blue", "to response.created"),
    TurnStage.TOOL: _Drawn("magenta", "tab:purple", "to response.created after a tool"),
    TurnStage.FIRST_DELTA: _Drawn("cyan", "navy", "to the first audio on the socket"),
    TurnStage.DOWNLINK: _Drawn("green", "tab:green", "to its first sample in our ring"),
    TurnStage.PLAYBACK: _Drawn("bright_green", "limegreen", "to PJSIP's taking it"),
}
_SUMMED = {"inference": "the service: " + ", ".join(INFERENCE), "response": "all of it"}


class CallStory(History):
    """A call as Redis has it, and as it is shown."""

    def as_json(self) -> dict[str, object]:
        """Return all of it as JSON values."""
        return {
            "call": dict(self.fields),
            "events": [
                {"at_ms": self.at_ms(event_id), **fields} for event_id, fields in self.events
            ],
            "latency": latency_report(self.latency()),
        }

    def latency(self) -> list[TurnLatency]:
        """Return the turns that were measured."""
        return [
            TurnLatency.of(self.at_ms(event_id), fields)
            for event_id, fields in self.events
            if fields.get("kind") == "measured"
        ]


def print_story(story: CallStory, console: Console) -> None:
    """Print a call's story for a person."""
    _print_fields(story, console)
    _print_turns(story, console)
    print_waterfall(story.latency(), console)
    console.print("\n[bold]Timeline[/]")
    for event_id, fields in story.events:
        kind = fields.get("kind", "?")
        if kind not in _SHOWN_APART:
            rest = "  ".join(f"{name}={value}" for name, value in fields.items() if name != "kind")
            console.print(
                Text(f"  {story.at_ms(event_id) / 1000:8.2f} s  {kind:<18}{rest}"), soft_wrap=True
            )


def _print_fields(story: CallStory, console: Console) -> None:
    table = Table(box=None, show_header=False)
    table.add_column(style="bold")
    table.add_column()
    for name in (
        "call_id", "node", "dialplan", "arm", "dialect", "model", "phase", "outcome", "fault",
        "from", "verstat", "asserted", "privacy", "to", "sip_call_id", "diversion", "history_info",
        "user_to_user", "headers", "consent", "consent_version",
    ):  # fmt: skip
        if name in story.fields:
            table.add_row(name, Text(story.fields[name]))
    console.print(table)


def _print_turns(story: CallStory, console: Console) -> None:
    console.print("\n[bold]Conversation[/] (redacted)")
    for turn in story.turns():
        cut = " [cut by the caller]" if turn.get("interrupted") == "1" else ""
        latency = f"  {turn['latency_ms']} ms" if "latency_ms" in turn else ""
        console.print(Text(f"  {turn.get('speaker', '?'):<7}{turn.get('text', '')}{cut}{latency}"))


def print_waterfall(turns: Sequence[TurnLatency], console: Console) -> None:
    """Print every measured turn, the percentiles of its stages, and the drift."""
    measured = [turn for turn in turns if turn.stages_ms]
    if not measured:
        return
    longest_ms = max(sum(turn.stages_ms.values()) for turn in measured) or 1.0
    console.print("\n[bold]Where each turn's time went[/]")
    for turn in measured:
        words = ", ".join(f"{stage} {ms:.0f}" for stage, ms in turn.stages_ms.items())
        line = Text(f"  {turn.at_ms / 1000:8.2f} s  ").append(_bar(turn, longest_ms))
        whole_ms = sum(turn.stages_ms.values())
        console.print(line.append(f" {whole_ms:.0f} ms ({words})"), soft_wrap=True)
    console.print(_summary(measured))
    found = drift(measured)
    if found is not None:
        console.print(
            f"  Answers take {found.ms_per_min:+.0f} ms for each minute of the call's age "
            f"({found.turns} turns, time in tools left out)"
        )


def _bar(turn: TurnLatency, longest_ms: float) -> Text:
    """Draw a turn to scale; each stage ends at its own place, so that errors don't add up."""
    bar = Text()
    spent_ms, drawn = 0.0, 0
    for stage, drawn_as in _STAGES.items():
        spent_ms += turn.stages_ms.get(stage, 0.0)
        ends = round(spent_ms * _BAR_CHARS / longest_ms)
        bar.append("█" * (ends - drawn), style=drawn_as.on_terminal)
        drawn = ends
    return bar


def _summary(turns: Sequence[TurnLatency]) -> Table:
    table = Table(box=None, padding=(0, 2))
    for column, side in (("", "left"), ("p50 ms", "right"), ("p95 ms", "right"), ("", "left")):
        table.add_column(column, justify="right" if side == "right" else "left")
    for name, span in percentiles(turns).items():
        drawn = _STAGES[TurnStage(name)] if name in _STAGES else _Drawn("", "", _SUMMED[name])
        mark = Text("■ " if drawn.on_terminal else "  ", style=drawn.on_terminal)
        table.add_row(
            mark.append(name, style="default"),
            f"{span.p50_ms:.0f}",
            f"{span.p95_ms:.0f}",
            Text(drawn.meaning, style="dim"),
        )
    return table


def plot_waterfall(title: str, turns: Sequence[TurnLatency], path: Path) -> None:
    """Draw every measured turn, the first on top.

    Args:
        title: of the plot.
        turns: at least one of them measured.
        path: PNG file.

    Raises:
        ConfigError: matplotlib is missing, no turn was measured, or the file can't be written.
    """
    check_can_plot()
    measured = [turn for turn in turns if turn.stages_ms]
    if not measured:
        raise ConfigError(
            "the call has no measured turn to plot", remedy="leave --png out, or name another call"
        )
    from matplotlib.figure import Figure

    size = (12, _REST_INCHES + _TURN_INCHES * len(measured))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    spent_ms = [0.0] * len(measured)
    for stage, drawn in _STAGES.items():
        took_ms = [turn.stages_ms.get(stage, 0.0) for turn in measured]
        axes.barh(
            range(len(measured)), took_ms, left=spent_ms, color=drawn.in_plot, label=stage.value
        )
        spent_ms = [before + took for before, took in zip(spent_ms, took_ms, strict=True)]
    axes.set_yticks(range(len(measured)), [f"{turn.at_ms / 1000:.1f} s" for turn in measured])
    axes.invert_yaxis()
    axes.set_xlabel("ms since the caller's last sound")
    axes.set_title(title)
    figure.legend(ncols=len(_STAGES), loc="outside lower center")
    save(figure, path)
