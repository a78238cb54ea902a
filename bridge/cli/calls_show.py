"""One call's story: what was said, where each turn's time went, what happened when."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

_BAR_CHARS = 48
_STAGES = {
    "endpoint": ("yellow", "the caller's last sound to the end of the turn, as the server saw it"),
    "model": ("blue", "end of the turn to response.created"),
    "tool": ("magenta", "tools"),
    "first_delta": ("cyan", "response.created to the first audio"),
    "pacing": ("green", "first audio to the first sample that PJSIP took"),
}
_SHOWN_APART = frozenset({"turn", "measured"})


@dataclass(frozen=True, slots=True)
class CallStory:
    """A call as Redis has it.

    Attributes:
        fields: of its hash.
        events: (id, fields), in order; an id begins with ms since the Unix epoch.
    """

    fields: Mapping[str, str]
    events: tuple[tuple[str, Mapping[str, str]], ...]

    def as_json(self) -> dict[str, object]:
        """Return all of it as JSON values."""
        return {
            "call": dict(self.fields),
            "events": [
                {"at_ms": self.at_ms(event_id), **fields} for event_id, fields in self.events
            ],
        }

    def at_ms(self, event_id: str) -> int:
        """Return an event's time, ms since the call began."""
        started_ms = int(self.fields.get("started_at", 0))
        return int(event_id.split("-", maxsplit=1)[0]) - started_ms

    def turns(self) -> list[Mapping[str, str]]:
        """Return the conversation; the last word on each item counts."""
        turns: dict[str, Mapping[str, str]] = {}
        for event_id, fields in self.events:
            if fields.get("kind") == "turn":
                turns[fields.get("item_id", event_id)] = fields
        return list(turns.values())

    def waterfalls(self) -> Iterator[tuple[int, Mapping[str, int]]]:
        """Yield when each measured turn was heard, ms, and its stages in ms, in order."""
        for event_id, fields in self.events:
            if fields.get("kind") == "measured":
                yield (
                    self.at_ms(event_id),
                    {
                        stage: int(fields[f"{stage}_ms"])
                        for stage in _STAGES
                        if f"{stage}_ms" in fields
                    },
                )


def print_story(story: CallStory, console: Console) -> None:
    """Print a call's story for a person."""
    _print_fields(story, console)
    _print_turns(story, console)
    _print_waterfalls(story, console)
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
        "from", "verstat", "to", "consent", "consent_version",
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


def _print_waterfalls(story: CallStory, console: Console) -> None:
    falls = [(at_ms, stages) for at_ms, stages in story.waterfalls() if stages]
    if not falls:
        return
    longest_ms = max(sum(stages.values()) for _, stages in falls) or 1
    console.print("\n[bold]Where each turn's time went[/]")
    for at_ms, stages in falls:
        bar = Text(f"  {at_ms / 1000:8.2f} s  ")
        for stage, took_ms in stages.items():
            bar.append("█" * round(took_ms * _BAR_CHARS / longest_ms), style=_STAGES[stage][0])
        words = ", ".join(f"{stage} {took_ms}" for stage, took_ms in stages.items())
        console.print(bar.append(f" {sum(stages.values())} ms ({words})"), soft_wrap=True)
    for stage, (colour, meaning) in _STAGES.items():
        console.print(Text("  ■ ", style=colour).append(f"{stage}: {meaning}", style="dim"))
