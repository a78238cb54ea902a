"""`bridge replay packs`: lists the circumstances that a suite can be multiplied with."""

import json

import click
from rich.console import Console
from rich.table import Table

from bridge.cli.errors import exits_cleanly
from bridge.replay.script.packs import built_in_packs, choose_packs


@click.command("packs")
@click.argument("names", nargs=-1, metavar="[NAME|FILE]...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@exits_cleanly
def list_packs(names: tuple[str, ...], as_json: bool) -> None:
    """List packs: named accents, noises, lines and headsets that scripts can be played under.

    `bridge replay SCRIPTS --pack noises` plays each script as it is, and once for every item of the
    pack; `target: {packs: [noises]}` in a script does it for that one. A FILE (.yaml) has packs of
    your own, in the form of bridge/replay/script/packs.yaml; `bridge check FILE` checks it.

    \b
    Examples:
      bridge replay packs
      bridge replay packs headset --json
      bridge replay call_scripts --tag smoke --pack accents --pack my-packs.yaml

    \b
    Exit codes: 0 listed, 2 there is no such pack.
    """
    packs = choose_packs(names) if names else built_in_packs()
    if as_json:
        told = {
            name: pack.model_dump(mode="json", exclude_unset=True) for name, pack in packs.items()
        }
        click.echo(json.dumps(told))
        return
    table = Table("pack", "item", "what it is")
    for name, pack in packs.items():
        table.add_row(name, "", pack.about, style="bold")
        for item_name, item in pack.items.items():
            table.add_row("", item_name, item.about)
    Console(highlight=False).print(table)
