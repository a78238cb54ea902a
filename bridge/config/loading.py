"""Settings from one YAML file with `BRIDGE_*` environment variables on top.

The variables' names are derived from the models: `BRIDGE_<SECTION>_<FIELD>` for a field of a
section (`BRIDGE_SIP_PORT`), `BRIDGE_<FIELD>` for one of `Settings` itself (`BRIDGE_NODE`). An empty
variable counts as not set, as compose files pass them on. Relative paths are relative to the
working directory. A value of the file that begins with `${CREDENTIALS_DIRECTORY}/` is a path in the
directory that systemd makes of a unit's `LoadCredential=` (systemd.exec(5), Credentials).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from bridge.config.complaints import Location, explain, suggest
from bridge.config.secret_places import SecretPlace, read_secret
from bridge.config.settings import Settings
from bridge.config.sip import SipSettings
from bridge.config.yaml_source import load_yaml
from bridge.errors import ConfigError

PREFIX = "BRIDGE_"
CONFIG_VARIABLE = "BRIDGE_CONFIG"
"""Names the YAML file where no path is given."""

CREDENTIALS_VARIABLE = "CREDENTIALS_DIRECTORY"
"""Names the directory of a unit's credentials; systemd sets it."""

_TEST_PREFIX = "BRIDGE_TEST_"


def load_settings(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Read the settings file, if any, then the environment over it.

    Args:
        path: the YAML file; None takes `BRIDGE_CONFIG`, and without that the defaults.
        environ: usually ``os.environ``.

    Raises:
        ConfigError: a mistake in the file (with its line) or in a variable (with its name); all
            mistakes of the one or the other are in the text.
    """
    given = {
        name: value
        for name, value in environ.items()
        if name.startswith(PREFIX) and not name.startswith(_TEST_PREFIX) and value
    }
    if path is None and CONFIG_VARIABLE in given:
        path = Path(given[CONFIG_VARIABLE])
    settings = Settings() if path is None else _read_file(path, environ)
    _refuse_unknown(given)
    return _override(settings, given)


def _read_file(path: Path, environ: Mapping[str, str]) -> Settings:
    source = load_yaml(path)
    # Without it the paths stay as they are: whoever reads them says so, and who doesn't needs none.
    if directory := environ.get(CREDENTIALS_VARIABLE, ""):
        source.data = _with_credentials(source.data, directory)
    return source.parse(Settings)


def _with_credentials(value: object, directory: str) -> object:
    """Return a part of the document, its paths of credentials in the directory that there is."""
    if isinstance(value, dict):
        return {key: _with_credentials(each, directory) for key, each in value.items()}
    if isinstance(value, list):
        return [_with_credentials(each, directory) for each in value]
    named = f"${{{CREDENTIALS_VARIABLE}}}/"
    if isinstance(value, str) and value.startswith(named):
        return f"{directory}/{value.removeprefix(named)}"
    return value


def variable_names() -> tuple[str, ...]:
    """Return every environment variable that :func:`load_settings` takes, sorted."""
    return tuple(sorted([CONFIG_VARIABLE, *(each.name for each in _variables(Settings))]))


def resolve_trunk_secrets(sip: SipSettings, environ: Mapping[str, str]) -> dict[str, str]:
    """Read the secrets of trunks' credentials from where their settings say, by trunk.

    Raises:
        ConfigError: a named variable or file is missing or empty.
    """
    found = {}
    for name, trunk in sip.trunks.items():
        if (given := trunk.credentials) is None:
            continue
        kind = "env" if given.secret_file is None else "file"
        found[name] = read_secret(
            SecretPlace(env=given.secret_env, file=given.secret_file),
            f"sip.trunks.{name}.credentials.secret_{kind}",
            "secret",
            environ,
        )
    return found


@dataclass(frozen=True, slots=True)
class _Variable:
    """An environment variable and the field it sets."""

    name: str
    location: tuple[str, ...]
    annotation: object

    def read(self, text: str) -> object:
        """Turn the variable's text into what the field's model takes.

        pydantic itself reads numbers and paths; a list is separated by commas, or JSON in brackets;
        a mapping (`BRIDGE_ARMS`), or a section that may be absent (`BRIDGE_SIP_TLS`), is YAML or
        JSON on one line.
        """
        kind = get_origin(self.annotation)
        if kind is Literal:
            return next((word for word in get_args(self.annotation) if str(word) == text), text)
        if kind is tuple and not text.lstrip().startswith("["):
            return [item.strip() for item in text.split(",")]
        if kind in (tuple, dict) or self._is_section:
            try:
                return yaml.safe_load(text)
            except yaml.YAMLError:
                wanted = "a list with commas, or JSON" if kind is tuple else "JSON or YAML"
                # Not chained: PyYAML's text quotes the value.
                raise ConfigError(f"{self.name} should be {wanted} on one line") from None
        return text

    @property
    def _is_section(self) -> bool:
        """Whether it sets a whole section, one that may be absent."""
        kinds = (each for each in get_args(self.annotation) if isinstance(each, type))
        return any(issubclass(each, BaseModel) for each in kinds)


def _variables(model: type[BaseModel], section: tuple[str, ...] = ()) -> Iterator[_Variable]:
    """Yield the variable of every field, sections opened."""
    for name, field in model.model_fields.items():
        location = (*section, name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _variables(field.annotation, location)
        else:
            yield _Variable(PREFIX + "_".join(location).upper(), location, field.annotation)


def _refuse_unknown(given: Iterable[str]) -> None:
    known = variable_names()
    unknown = [name for name in sorted(given) if name not in known]
    if not unknown:
        return
    said = [f"the environment variable {name} is not known{_hint(name, known)}" for name in unknown]
    raise ConfigError("\n".join(said), remedy="correct its name or unset it")


def _hint(name: str, known: Iterable[str]) -> str:
    # Stricter than for keys: all variables are alike in their prefix.
    hint = suggest(name, known, cutoff=0.75)
    return f", {hint}" if hint else ""


def _override(settings: Settings, given: Mapping[str, str]) -> Settings:
    """Validate the file's settings again with the variables' values in their places."""
    chosen = [each for each in _variables(Settings) if each.name in given]
    # The file is known to be good, so whatever fails now is a variable's doing.
    document = settings.model_dump(exclude_unset=True)
    for variable in chosen:
        holder = document
        for key in variable.location[:-1]:
            holder = holder.setdefault(key, {})
        holder[variable.location[-1]] = variable.read(given[variable.name])
    try:
        return Settings.model_validate(document)
    except ValidationError as error:
        said = [f"{_name_at(where, chosen)}: {what}" for where, what in explain(error, Settings)]
        # Not chained: pydantic's own text repeats the values, secrets among them.
        raise ConfigError("\n".join(said), remedy="correct the variable or unset it") from None


def _name_at(location: Location, chosen: Iterable[_Variable]) -> str:
    return next(
        (each.name for each in chosen if location[: len(each.location)] == each.location),
        "the environment",
    )
