"""Writes `deploy/handbook/CONFIGURATION.md` from the settings models.

After a change: `python -m tests.docs.settings_page > deploy/handbook/CONFIGURATION.md`.
"""

import inspect
import re
import typing
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from bridge.config.loading import CONFIG_VARIABLE, variable_names
from bridge.config.settings import Settings
from bridge.config.sip_arm import SipArmSettings

HEAD = f"""\
# Configuration

One YAML file (`--config`, or the variable `{CONFIG_VARIABLE}`), and variables that win over it:
`BRIDGE_SIP_PORT` for `sip.port`, `BRIDGE_NODE` for `node`. A list in a variable is separated by
commas or written as JSON, a mapping (`BRIDGE_ARMS`) as JSON or YAML on one line. Secrets come
only from variables or files that the settings name. `bridge check --config FILE` says what is
wrong, with its line. What an agent says and does is not here but in
[dialplans](../../dialplans/README.md); how an arm reaches its service, with examples (Azure, a
proxy), in [ARMS.md](ARMS.md); how the console is reached, in [CONSOLE.md](../CONSOLE.md);
how a rollout is run, in [ROLLOUT.md](../ROLLOUT.md); what becomes of recordings, in
[RECORDINGS.md](RECORDINGS.md).

`_s` is seconds, `_ms` milliseconds. This page is written from the settings models
(`bridge/config/settings.py`); after a change:
`python -m tests.docs.settings_page > deploy/handbook/CONFIGURATION.md`.
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One setting: its name within its section, its default, what it is for."""

    name: str
    default: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Section:
    """The settings of one model, by the place that they have in the file (`sip`, `arms.<name>`)."""

    place: str
    about: str
    rows: tuple[Row, ...]


def sections(model: type[BaseModel] = Settings, place: str = "") -> Iterator[Section]:
    """Yield a model's section, then those of the models in it."""
    summary, words = described(model)
    held = {name: _models_in(field.annotation) for name, field in model.model_fields.items()}
    rows = tuple(
        Row(name, _default(field), words.get(name, ""))
        for name, field in model.model_fields.items()
        if not held[name] or name in words
    )
    yield Section(place, summary, rows)
    for name, models in held.items():
        many = _is_many(model.model_fields[name].annotation)
        for inner in models:
            kind = " (by SIP)" if inner is SipArmSettings else ""
            yield from sections(inner, f"{place}{'.' if place else ''}{name}{many}{kind}")


def described(model: type[BaseModel]) -> tuple[str, dict[str, str]]:
    """Return a model's own words: its summary, and its `Attributes` by name."""
    words: dict[str, str] = {}
    for each in reversed([base for base in model.__mro__ if issubclass(base, BaseModel)]):
        text = (inspect.getdoc(each) or "") if each is not BaseModel else ""
        summary, _, rest = text.partition("\nAttributes:\n")
        for entry in re.split(r"^ {4}(?=[a-z])", rest, flags=re.MULTILINE)[1:]:
            name, _, meaning = " ".join(entry.split()).partition(": ")
            words[name] = meaning
    return " ".join(summary.split()), words


def page() -> str:
    """Return the page."""
    parts = [HEAD]
    for section in sections():
        parts.append(f"## {f'`{section.place}`' if section.place else 'At the top'}\n")
        parts.append(f"{_plain(section.about)}\n")
        parts.append("| setting | default | what it is |\n|---|---|---|")
        parts += [
            f"| `{row.name}` | {row.default} | {_plain(row.meaning)} |" for row in section.rows
        ]
        parts.append("")
    names = [f"`{name}`" for name in variable_names()]
    return "\n".join([*parts, "## Variables\n", _wrapped(", ".join(names)) + "."])


def _plain(text: str) -> str:
    text = re.sub(r":(?:meth|class|func|mod|data):`~?([^`]+)`", r"`\1`", text)
    text = re.sub(r"\bNone\b", "null", text)
    text = re.sub(r"\b(?:True|False)\b", lambda match: match[0].lower(), text)
    return text.replace("``", "`").replace("|", "\\|")


def _wrapped(text: str) -> str:
    lines = [""]
    for word in text.split(" "):
        if len(lines[-1]) + len(word) > 100:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return "\n".join(lines)


def _models_in(annotation: object) -> tuple[type[BaseModel], ...]:
    """Return the model that a setting holds; of the two kinds of arms, both."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return (annotation,)
    found = [model for each in typing.get_args(annotation) for model in _models_in(each)]
    return tuple(model for model in found if model in (found[0], SipArmSettings))


def _is_many(annotation: object) -> str:
    origin = typing.get_origin(annotation)
    return ".<name>" if origin is dict else "[]" if origin is tuple else ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "must be given"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return "see below"
    if value is None or value in ((), {}, ""):
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ", ".join(
            f"`{each:g}`" if isinstance(each, float) else f"`{each}`" for each in value
        )
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


__all__ = ["Row", "Section", "described", "page", "sections"]

if __name__ == "__main__":
    print(page(), end="\n")
