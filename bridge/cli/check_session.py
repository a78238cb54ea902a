"""`bridge check --convert-session`: a beta session's settings in the GA form."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from bridge.errors import ConfigError
from bridge.realtime.conversion import convert_session


def print_converted(path: Path, *, as_json: bool) -> None:
    """Print the GA form on stdout, and what changed on stderr; all in one object with ``as_json``.

    Raises:
        ConfigError: the file can't be read, is no JSON, or holds no beta session.
        SystemExit: with 1, once all is printed: keys were dropped that neither dialect has.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", path=str(path)) from error
    except json.JSONDecodeError as error:
        raise ConfigError(f"no JSON: {error.msg}", path=str(path), line=error.lineno) from error
    except UnicodeDecodeError as error:
        raise ConfigError("no JSON: it is not UTF-8", path=str(path)) from error
    try:
        converted = convert_session(content)
    except ConfigError as error:
        raise ConfigError(error.what, path=str(path), remedy=error.remedy) from error
    if as_json:
        changes = [asdict(change) for change in converted.changes]
        told = {"ga": converted.content, "changes": changes, "unknown": converted.unknown}
        click.echo(json.dumps(told))
    else:
        click.echo(json.dumps(converted.content, indent=2, ensure_ascii=False))
        for change in converted.changes:
            click.echo(str(change), err=True)
        if converted.unknown:
            names = ", ".join(converted.unknown)
            click.echo(
                f"NOT CONVERTED: {names}. Is a name mistyped? Mend it in {path}, or take it out,"
                " and convert again.",
                err=True,
            )
    if converted.unknown:
        raise SystemExit(1)
