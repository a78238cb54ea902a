"""The `bridge` command: its subcommands, each loaded only when it is used."""

import gc
import importlib
import os

# numpy reads this when it is first imported. The pump's matrix products are small: more threads
# than one only make the tick's time less steady.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import click

_COMMANDS = {
    "demo": ("bridge.cli.demo", "demo", "Place a call from end to end, with everything local."),
    "serve": ("bridge.cli.serve", "serve", "Run the gateway."),
    "simulate": ("bridge.cli.simulate", "simulate", "Run the local Realtime server alone."),
    "call": ("bridge.cli.call", "call", "Dial, speak, listen and record: a softphone."),
    "replay": ("bridge.cli.replay", "replay", "Play call scripts on every arm and compare."),
    "bench": ("bridge.cli.bench", "bench", "Measure the gateway under many calls."),
    "soak": ("bridge.cli.soak", "soak", "Let callers and everything around it wear the gateway."),
    "calls": ("bridge.cli.calls", "calls", "List, show and follow calls."),
    "rollout": ("bridge.cli.rollout", "rollout", "Move calls to a new arm, and back."),
    "recordings": ("bridge.cli.recordings", "recordings", "Keep, hold and delete recordings."),
    "check": ("bridge.cli.check", "check", "Validate settings, dialplans, scenarios, scripts."),
    "pjsip": ("bridge.cli.pjsip", "pjsip", "Say what the loaded PJSIP can do."),
}


class _Lazy(click.Group):
    """A group that imports a subcommand's module when it is called, not for every `--help`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order of a newcomer's interest."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a subcommand."""
        if cmd_name not in _COMMANDS:
            return None
        module, attribute, _ = _COMMANDS[cmd_name]
        # What an import makes stays: looking through it for garbage is a tenth of a start.
        gc.disable()
        try:
            command = getattr(importlib.import_module(module), attribute)
        finally:
            gc.enable()
        if not isinstance(command, click.Command):
            raise TypeError(f"{module}.{attribute} is no command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the subcommands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in _COMMANDS.items()])


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="telephony-bridge", prog_name="bridge")
def main() -> None:
    """A telephony bridge: SIP phone calls answered by a Realtime voice agent.

    Start with `bridge demo`: it needs no keys and no phone.

    Exit codes: 0 good, 1 the thing tested failed, 2 bad input, 3 infrastructure.
    """
