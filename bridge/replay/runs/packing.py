"""Multiplies a suite with packs: each script as it is, and once for every item. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from bridge.replay.results.run import PackRow, RunVerdict, ScriptInfo, TableRow
from bridge.replay.script import CallScript, Utterance
from bridge.replay.script.files import Circumstance, ScriptFile, under
from bridge.replay.script.packs import Pack, PackItem, choose_packs

_MARK = "@"
"""Between a script's id and the circumstance in the id of what is played; no id has it."""


def multiplied(
    files: Sequence[ScriptFile], packs: Mapping[str, Pack]
) -> tuple[tuple[ScriptFile, ...], tuple[str, ...]]:
    """Return what is played, and what is not and why.

    Args:
        packs: for every script, beside those that it names itself (`target.packs`).

    Raises:
        ConfigError: a script names a pack that is not there.
    """
    played: list[ScriptFile] = []
    left_out: list[str] = []
    for file in files:
        played.append(file)
        own = [name for name in file.script.target.packs if name not in packs]
        for name, pack in {**packs, **choose_packs(own)}.items():
            for item_name, item in pack.items.items():
                why = _changes_nothing(file.script, item)
                if why:
                    left_out.append(f"{file.script.id} under {name}/{item_name}: {why}")
                else:
                    played.append(_under(file, Circumstance(name, item_name, item)))
    return tuple(played), tuple(left_out)


def pack_rows(scripts: Sequence[ScriptInfo], table: Sequence[TableRow]) -> tuple[PackRow, ...]:
    """Sum a run up by circumstance and arm, the plain scripts first; nothing without packs."""
    if not any(script.item for script in scripts):
        return ()
    infos = {script.id: script for script in scripts}
    verdicts = {(row.script, row.arm): row.verdict for row in table}
    sums: dict[tuple[str, str, str], PackRow] = {}
    for row in table:
        info = infos[row.script]
        key = (info.pack, info.item, row.arm)
        before = sums.get(key, PackRow(*key, 0, 0))
        plain = verdicts.get((info.base or info.id, row.arm))
        broken = before.broken
        if info.item and row.verdict is not RunVerdict.PASS and plain is RunVerdict.PASS:
            broken = (*broken, info.base)
        runs = row.passes + row.fails + row.inconclusive + row.infrastructure
        sums[key] = replace(
            before, passes=before.passes + row.passes, runs=before.runs + runs, broken=broken
        )
    order = list(_order(scripts))
    return tuple(sorted(sums.values(), key=lambda row: order.index((row.pack, row.item))))


def _order(scripts: Sequence[ScriptInfo]) -> Iterator[tuple[str, str]]:
    yield "", ""
    yield from dict.fromkeys((each.pack, each.item) for each in scripts if each.item)


def _under(file: ScriptFile, circumstance: Circumstance) -> ScriptFile:
    name = f"{file.script.id}{_MARK}{circumstance.pack}-{circumstance.name}"
    script = under(file.script, circumstance.item).model_copy(update={"id": name})
    return replace(file, script=script, circumstance=circumstance, base=file.script.id)


def _changes_nothing(script: CallScript, item: PackItem) -> str:
    """Return why an item makes no difference to a script; "" where it does."""
    spoken = [step.action for step in script.caller if isinstance(step.action, Utterance)]
    if item.model_fields_set - {"about"} == {"voice"} and script.persona is None:
        if not spoken:
            return "its caller says nothing"
        if all(action.audio is not None for action in spoken):
            return "its words are recordings, which have the voice that they have"
    return ""
