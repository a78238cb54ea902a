"""The table of models (`models.yaml`), and the choice of model and voice for an arm.

Pure but for reading the file. Dates are calendar days; prices are USD per million tokens. A model
that the table lacks is no mistake (an Azure deployment, another vendor's server): nothing is known
about it, so nothing is checked.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from bridge.config.settings import ArmSettings
from bridge.config.yaml_source import load_yaml_model
from bridge.errors import ConfigError
from bridge.realtime.dialects import PROTOCOLS

MODELS_FILE = Path(__file__).with_name("models.yaml")

SUNSET_DAYS = 60
"""A model that ends sooner is warned of (`NEEDS.md` section 3, alert ModelSunset)."""

_SNAPSHOT = re.compile(r"-\d{4}-\d{2}-\d{2}$")
_CUSTOM_VOICE = "voice_"
"""Ids of a customer's own voices begin so (`PROTOCOL.md` section 4, GA)."""

ModelName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{0,63}$")]
Word = Annotated[str, StringConstraints(pattern=r"^[a-z]{1,32}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Price(_Part):
    """USD per million tokens of one modality; no output is made of images.

    Attributes:
        written: of input that was written to the cache, where that has a price of its own.
    """

    input: float = Field(ge=0)
    cached: float = Field(ge=0)
    written: float | None = Field(None, ge=0)
    output: float | None = Field(None, ge=0)


class ModelPrices(_Part):
    """The prices of a model's tokens."""

    text: Price
    audio: Price | None = None
    image: Price | None = None


class Model(_Part):
    """A model, with its prices and dates.

    Attributes:
        kind: `conversation` for an arm, `transcription` for a dialplan's transcription, `backend`
            for what a full-duplex voice delegates to.
        dialects: in which the service offers it.
        voices: name of its set of voices.
        shutdown: first day without it.
        usd_per_minute: where it is billed by time.
    """

    kind: Literal["conversation", "transcription", "backend"] = "conversation"
    dialects: tuple[Literal["ga", "beta", "live", "translate"], ...] = Field(min_length=1)
    voices: Word | None = None
    released: date | None = None
    shutdown: date | None = None
    replacement: ModelName | None = None
    price_source: Literal["official", "announced", "unverified"] | None = None
    prices: ModelPrices | None = None
    usd_per_minute: float | None = Field(None, ge=0)


class ModelTable(_Part):
    """All models.

    Attributes:
        last_checked: when a person last compared the file with the service.
        binding_hosts: servers that the dates are about; elsewhere they only make a warning.
        removed_dialects: dialect -> first day without it.
        voices: sets of voices by name; each one's first is the default.
        models: of each dialect, the newest first.
    """

    last_checked: date
    binding_hosts: tuple[str, ...]
    removed_dialects: dict[Word, date]
    voices: dict[Word, Annotated[tuple[Word, ...], Field(min_length=1)]]
    models: dict[ModelName, Model]

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        for name, model in self.models.items():
            if model.voices is not None and model.voices not in self.voices:
                raise ValueError(f"has the model {name} with unknown voices {model.voices}")
            if model.replacement is not None and model.replacement not in self.models:
                raise ValueError(f"has the model {name} with unknown replacement")
        return self

    def find(self, name: str) -> Model | None:
        """Return a model, also by a snapshot's name; None if the table lacks it."""
        return self.models.get(name) or self.models.get(_SNAPSHOT.sub("", name))

    def binds(self, url: str) -> bool:
        """Return whether the dates are about the server at ``url``."""
        return urlsplit(url).hostname in self.binding_hosts

    def shutdown_at(self, url: str, name: str) -> date | None:
        """Return the first day without a model at a server; None where the table knows of none."""
        model = self.find(name)
        return model.shutdown if model is not None and self.binds(url) else None

    def newest(self, dialect: str) -> str:
        """Return the model that a dialect's conversations have by default.

        Raises:
            ConfigError: none speaks it.
        """
        for name, model in self.models.items():  # newest first, as in the file
            if dialect in model.dialects and model.kind == "conversation":
                return name
        raise ConfigError(f"no model speaks the {dialect} dialect", remedy="choose another dialect")

    def voices_of(self, name: str) -> tuple[str, ...]:
        """Return a model's voices, the default first; empty where nothing is known of them."""
        model = self.find(name)
        return self.voices[model.voices] if model is not None and model.voices else ()


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A model to connect with.

    Attributes:
        voice: for the session's settings; None leaves the server's default.
        warnings: what the operator should read once at the start.
    """

    model: str
    voice: str | None = None
    warnings: tuple[str, ...] = ()


def load_models(path: Path = MODELS_FILE) -> ModelTable:
    """Read the table.

    Raises:
        ConfigError: the file is not what it should be; with its line.
    """
    return load_yaml_model(path, ModelTable)


def choose_model(
    arm: ArmSettings, table: ModelTable, today: date, *, voice: str | None = None
) -> tuple[ModelChoice, ...]:
    """Choose the models to try, in order, each with its voice.

    Only where no session could be had with one is the next one tried; a session that was lost
    later comes back with the model it had.

    Args:
        arm: what the operator wants.
        today: to compare shutdown dates with.
        voice: what the dialplan wants; stands above the arm's.

    Returns:
        One choice, or with `auto` and a legacy model two; never none.

    Raises:
        ConfigError: the arm's host has the dialect or every one of the models no more, one is not
            for this dialect, or (with `auto_select_voice: false`) one lacks the voice.
    """
    binding = table.binds(arm.url)
    removed = table.removed_dialects.get(arm.dialect)
    if binding and removed is not None and removed <= today:
        raise ConfigError(
            f"{urlsplit(arm.url).hostname} has not taken the {arm.dialect} dialect since {removed}",
            remedy="set the arm's dialect to ga, or its url to a server that speaks the other",
        )
    names = _selected(arm)
    ended = [name for name in names if binding and _has_ended(table.find(name), today)]
    if len(ended) == len(names):
        raise ConfigError(
            "; ".join(_sunset(name, table.find(name), today) for name in ended),
            remedy=f"set the arm's {'model' if names[0] == arm.model else 'legacy_model'} to one"
            " that lives",
        )
    first, *others = (
        _choice(name, arm, table, today, voice or arm.voice, binding=binding)
        for name in names
        if name not in ended
    )
    passed_over = tuple(sunsets(ended, table, today).values())
    return (replace(first, warnings=(*passed_over, *first.warnings)), *others)


def sunsets(
    names: Iterable[str], table: ModelTable, today: date, *, within_days: int = SUNSET_DAYS
) -> Mapping[str, str]:
    """Warn of models that have ended or will end soon.

    Args:
        names: models of arms and of transcriptions; unknown ones pass.

    Returns:
        Model -> a sentence for the operator.
    """
    found = {}
    for name in names:
        model = table.find(name)
        if model is None or model.shutdown is None:
            continue
        if (model.shutdown - today).days < within_days:
            found[name] = _sunset(name, model, today)
    return found


def _selected(arm: ArmSettings) -> tuple[str, ...]:
    legacy = (arm.legacy_model,) if arm.legacy_model is not None else ()
    match arm.model_selection:
        case "new":
            return (arm.model,)
        case "legacy":
            return legacy
        case "auto":
            # The same name twice would be the same refusal twice.
            return tuple(dict.fromkeys((arm.model, *legacy)))


def _choice(
    name: str,
    arm: ArmSettings,
    table: ModelTable,
    today: date,
    voice: str | None,
    *,
    binding: bool,
) -> ModelChoice:
    warnings = list(sunsets((name,), table, today).values())
    model = table.find(name)
    if model is not None and (arm.dialect not in model.dialects or model.kind != "conversation"):
        offered = " and ".join(model.dialects)
        what = f"model '{name}' is for {model.kind} in the {offered} dialect, not for an arm"
        what += f" in {arm.dialect}"
        # A clone may offer any model in either spelling, but no model changes kind or protocol.
        protocols = {PROTOCOLS.get(each) for each in model.dialects}
        foreign = PROTOCOLS[arm.dialect] not in protocols
        if binding or model.kind != "conversation" or foreign:
            raise ConfigError(what, remedy="choose another model for the arm")
        warnings.append(what)
    chosen, warning = _voice(voice, name, arm, table.voices_of(name))
    return ModelChoice(name, chosen, (*warnings, *((warning,) if warning else ())))


def _voice(
    wanted: str | None, model: str, arm: ArmSettings, voices: tuple[str, ...]
) -> tuple[str | None, str]:
    """Return the voice to ask for, and a warning where it is not the wanted one."""
    custom = wanted is not None and wanted.startswith(_CUSTOM_VOICE) and arm.dialect != "beta"
    if wanted is None or not voices or custom or wanted in voices:
        return wanted, ""
    what = f"model '{model}' has no voice '{wanted}'"
    if not arm.auto_select_voice:
        raise ConfigError(
            what,
            remedy=f"choose one of {', '.join(sorted(voices))}, or set auto_select_voice: true",
        )
    chosen = arm.voice_fallback if arm.voice_fallback in voices else voices[0]
    return chosen, f"{what}; '{chosen}' speaks in its place"


def _has_ended(model: Model | None, today: date) -> bool:
    return model is not None and model.shutdown is not None and model.shutdown <= today


def _sunset(name: str, model: Model | None, today: date) -> str:
    if model is None or model.shutdown is None:
        return f"model '{name}' has no known end"
    tense = "ended" if model.shutdown <= today else "ends"
    instead = f"; its replacement is '{model.replacement}'" if model.replacement else ""
    return f"model '{name}' {tense} on {model.shutdown}{instead}"
