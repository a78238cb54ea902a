"""Prints one call's story: its words, the latency of its turns, its events."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bridge.cli.waterfall import print_waterfall
from bridge.store.reader import History
from bridge.telemetry.turn_latency import TurnLatency, latency_report

_SHOWN_APART = frozenset({"turn", "measured"})


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
