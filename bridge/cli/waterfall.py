"""Draws the latency of each turn as a bar on the terminal, one colour per stage."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bridge.telemetry.labels import INFERENCE, Stage
from bridge.telemetry.turn_latency import TurnLatency, drift, percentiles

_BAR_CHARS = 48
_STAGES = {
    Stage.CAPTURE: ("yellow", "the caller's last sound in our ring, to its append"),
    Stage.UPLINK: ("bright_yellow", "to the socket"),
    Stage.ENDPOINT: ("bright_blue", "to speech_stopped"),
    Stage.MODEL: ("blue", "to response.created"),
    Stage.TOOL: ("magenta", "to response.created after a tool"),
    Stage.FIRST_DELTA: ("cyan", "to the first audio on the socket"),
    Stage.DOWNLINK: ("green", "to its first sample in our ring"),
    Stage.PLAYBACK: ("bright_green", "to PJSIP's taking it"),
}
_SUMMED = {"inference": "the service: " + ", ".join(INFERENCE), "response": "all of it"}


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
    for stage, (colour, _) in _STAGES.items():
        spent_ms += turn.stages_ms.get(stage, 0.0)
        ends = round(spent_ms * _BAR_CHARS / longest_ms)
        bar.append("█" * (ends - drawn), style=colour)
        drawn = ends
    return bar


def _summary(turns: Sequence[TurnLatency]) -> Table:
    table = Table(box=None, padding=(0, 2))
    for column, side in (("", "left"), ("p50 ms", "right"), ("p95 ms", "right"), ("", "left")):
        table.add_column(column, justify="right" if side == "right" else "left")
    for name, span in percentiles(turns).items():
        colour, meaning = _STAGES[Stage(name)] if name in _STAGES else ("", _SUMMED[name])
        mark = Text("■ " if colour else "  ", style=colour)
        table.add_row(
            mark.append(name, style="default"),
            f"{span.p50_ms:.0f}",
            f"{span.p95_ms:.0f}",
            Text(meaning, style="dim"),
        )
    return table
