"""Dialplans as a replay's own gateway gets them: found, redirected, and written for it.

Every line leads to the arm under test, and no webhook leads out: each tool is answered by a mock.
Who is dialled at ``replay.invalid`` is another line of the same gateway: so a dialplan can be the
person that callers are put through to.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import yaml

from bridge.errors import ConfigError
from bridge.processes.starter import write_yaml

ARM = "replay"
"""The only arm of the gateway."""

_ITSELF = "@replay.invalid"
"""Never resolves (RFC 2606 section 2), so that it is dialled nowhere else."""

_REMEDY = "name a directory with --dialplans, or put one called dialplans beside the scripts"
_SECRETS = ("secret_env", "authorization_env")


def redirect(
    dialplan: Mapping[str, object], mocks_url: str, sip: str, *, greets_by_itself: bool = False
) -> dict[str, object]:
    """Return a dialplan, as read from its file, for the replay's gateway.

    Args:
        dialplan: the document.
        mocks_url: the tool mocks; a tool's own is below it.
        sip: the gateway's own ``host:port``.
        greets_by_itself: the bridge speaks the greeting, for the agent can't be asked to.
    """
    redirected = {key: _led_back(value, mocks_url, sip) for key, value in dialplan.items()}
    if "arm" in redirected or "rollout" in redirected:
        redirected.pop("rollout", None)
        redirected["arm"] = ARM
        agent = redirected.get("agent")
        if greets_by_itself and isinstance(agent, dict) and "greeting" in agent:
            redirected["agent"] = {**agent, "greeting_by": "cached"}
    return redirected


def trunks_of(dialplan: Mapping[str, object]) -> Iterator[str]:
    """Yield the trunks that a dialplan's rules name."""
    rules = dialplan.get("match")
    for rule in rules if isinstance(rules, list) else []:
        named = rule.get("trunk") if isinstance(rule, dict) else None
        yield from [named] if isinstance(named, str) else named or []


def _led_back(value: object, mocks_url: str, sip: str) -> object:
    """Return a part of a dialplan that leads nowhere outside."""
    match value:
        case str():
            return value.replace(_ITSELF, f"@{sip}")
        case list():
            return [_led_back(each, mocks_url, sip) for each in value]
        case dict():
            kept = {key: _led_back(each, mocks_url, sip) for key, each in value.items()}
            webhook = kept.get("webhook")
            if isinstance(webhook, dict):
                url = f"{mocks_url}/{kept['name']}"
                kept["webhook"] = {**webhook, "url": url, "allow_private": True}
            return {key: each for key, each in kept.items() if key not in _SECRETS}
        case _:
            return value


def find_dialplans(script: Path, chosen: Path | None) -> Sequence[Path]:
    """Return the files of a script's dialplans.

    Args:
        script: its file.
        chosen: a directory for every script; None: beside the script, or the project's.

    Raises:
        ConfigError: there are none.
    """
    directory = chosen or dialplans_beside(script) or _project_dialplans()
    found = sorted(directory.glob("*.yaml"))
    if not found:
        raise ConfigError("there is no dialplan here", path=str(directory), remedy=_REMEDY)
    return found


def dialplans_beside(script: Path) -> Path | None:
    """Return the directory of dialplans beside a script; None for none."""
    directory = script.parent / "dialplans"
    return directory if directory.is_dir() else None


def _project_dialplans() -> Path:
    """Find what a clone has at its root: beside the package, or in the working directory."""
    places = [Path(__file__).resolve().parents[3], Path.cwd()]
    for place in places:
        if (place / "dialplans").is_dir():
            return place / "dialplans"
    raise ConfigError("there are no dialplans for the replay's gateway", remedy=_REMEDY)


def write_dialplans(
    found: Sequence[Path],
    directory: Path,
    mocks_url: str,
    sip: str,
    *,
    greets_by_itself: bool = False,
) -> Sequence[str]:
    """Write dialplans for the gateway as :func:`redirect` has them; return the trunks of all.

    Raises:
        ConfigError: one can't be read.
    """
    trunks: set[str] = set()
    for path in found:
        document = _read_yaml(path)
        trunks.update(trunks_of(document))
        written = redirect(document, mocks_url, sip, greets_by_itself=greets_by_itself)
        write_yaml(directory / path.name, written)
    return sorted(trunks)


def _read_yaml(path: Path) -> dict[str, object]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot be read: {error}", path=str(path)) from error
    if not isinstance(document, dict):
        raise ConfigError("is no dialplan", path=str(path), remedy="see dialplans/README.md")
    return document
