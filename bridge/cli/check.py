"""`bridge check`: validates dialplans, scripts and settings; explains and converts them."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

import click
import yaml
from pydantic import ValidationError

from bridge.app.start.traces import check_tracing
from bridge.cli import explain
from bridge.cli.errors import exits_cleanly
from bridge.cli.event_map import event_map, to_json, to_markdown
from bridge.cli.explain import Explanation, call_of, read_moment
from bridge.config.complaints import explain as explain_errors
from bridge.config.loading import load_settings
from bridge.config.parts import Part, document_schema
from bridge.config.session_template import SessionTemplate
from bridge.config.settings import Settings
from bridge.config.sip import SipSettings
from bridge.config.trunk_presets import lines_of
from bridge.config.yaml_source import load_yaml
from bridge.errors import ConfigError
from bridge.realtime.conversion import convert_session, template_of
from bridge.recordings.shipping import check_archive
from bridge.replay.checks.advice import advise
from bridge.replay.script import CallScript, load_script
from bridge.replay.script.packs import load_packs
from bridge.routing.matching import (
    check_arms,
    check_together,
    check_trunks,
    load_dialplans,
)
from bridge.routing.models import Dialplan
from bridge.routing.rollout.targets import check_overrides
from bridge.routing.session_checks import check_sessions, session_warnings
from bridge.routing.sip_arm_checks import check_sip_arms, sip_arm_warnings
from bridge.routing.verstat import Verstat
from bridge.simulator.scenario import load_scenario
from bridge.speech.synthesis import Synthesizer
from bridge.store.address import read_address

_KINDS: dict[str, Callable[[Path], object]] = {
    "callscript/v1": load_script,
    "packs/v1": load_packs,
    "dialplan/v1": lambda path: Dialplan.from_source(load_yaml(path)),
}

_SCHEMAS: dict[str, type[Part]] = {"dialplan": Dialplan, "callscript": CallScript}


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("--config", type=click.Path(path_type=Path), help="YAML settings to check against.")
@click.option("--event-map", "show_map", is_flag=True, help="Print every event in each dialect.")
@click.option(
    "--schema",
    "schema_of",
    type=click.Choice(sorted(_SCHEMAS)),
    is_flag=False,
    flag_value="dialplan",
    help="Print a JSON Schema: of dialplans, or of call scripts.",
)
@click.option("--explain", "called", metavar="NUMBER", help="Say what a call to NUMBER would get.")
@click.option("--caller", default="", help="With --explain: who calls.")
@click.option("--header", "headers", multiple=True, metavar="NAME=VALUE", help="A SIP header.")
@click.option("--trunk", default="", help="The trunk that it comes from.")
@click.option(
    "--stir",
    type=click.Choice([level.value for level in Verstat]),
    default="none",
    help="Its STIR level.",
)
@click.option(
    "--at",
    metavar="MOMENT",
    callback=read_moment,
    help="When, like 2026-12-24T18:00:00-05:00; default: now.",
)
@click.option(
    "--convert-session",
    "beta_session",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Print a beta session's JSON in the GA form.",
)
@click.option(
    "--template",
    "as_template",
    is_flag=True,
    help="With --convert-session: print it as YAML for arms.NAME.session.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@exits_cleanly
def check(
    paths: tuple[Path, ...],
    config: Path | None,
    show_map: bool,
    schema_of: str | None,
    called: str | None,
    caller: str,
    headers: tuple[str, ...],
    trunk: str,
    stir: str,
    at: datetime | None,
    beta_session: Path | None,
    as_template: bool,
    as_json: bool,
) -> None:
    """Check dialplans, call scripts and scenarios; errors name file and line.

    Warnings name scripts that are valid and prove less than they seem to; they don't change the
    exit code.

    PATHS are files, or directories that hold them. Without any, the settings and the dialplans
    that `bridge serve` would use are checked.

    What the connections of each arm would carry is shown, too, with secrets masked.

    With --explain it says which rule of which dialplan a call would meet, on which arm, and why the
    rules before did not take it (1: none does), and each field of the Realtime session that would
    be asked for, with the place where it is written. PATHS is then the dialplans' directory.

    \b
    Example:
      bridge check --explain +15551234567 --caller +15550100 --header X-Vip=gold \\
        --stir A --at 2026-12-24T18:00:00-05:00

    `--convert-session beta.json` reads the `session` of a beta client, or its `session.update`,
    writes what a GA server takes to stdout, and says on stderr what moved and what was dropped.
    With --template it writes what a session template has of it, and says what belongs elsewhere.
    """
    if beta_session is not None:
        _print_converted(beta_session, as_template=as_template, as_json=as_json)
        return
    if show_map:
        rows = event_map()
        click.echo(to_json(rows) if as_json else to_markdown(rows), nl=as_json)
        return
    if schema_of is not None:
        click.echo(json.dumps(document_schema(_SCHEMAS[schema_of], schema_of), indent=2))
        return
    if called is not None:
        settings = load_settings(config, os.environ) if config or not paths else Settings()
        moment, sip = at or datetime.now(UTC), settings.sip
        call = call_of(called, caller, headers, trunk, Verstat(stir), moment, sip)
        found = explain.explain(_dialplans(paths, config), call)
        found = explain.with_trunk(found, headers, Verstat(stir), sip)
        found = _with_arm(found, config, given=not paths)
        _show(explain.with_sessions(found, settings), as_json=as_json)
        return
    warnings: list[str] = []
    notes: dict[str, list[str]] = {"presets": [], "codecs": [], "arms": []}
    problems = _problems(paths, warnings) if paths else _serve_problems(config, notes, warnings)
    errors = [str(error) for error in problems]
    if as_json:
        said = {"ok": not errors, "errors": errors, "warnings": warnings, **notes}
        click.echo(json.dumps(said))
    else:
        for line in chain.from_iterable(notes.values()):
            click.echo(line)
        for line in [*errors, *(f"warning: {each}" for each in warnings)]:
            click.echo(line, err=True)
        if not errors:
            click.echo("no errors, but see the warnings" if warnings else "all good")
    if errors:
        raise SystemExit(2)


def _print_converted(path: Path, *, as_template: bool, as_json: bool) -> None:
    """Print the GA form on stdout, and what changed on stderr; all in one object with ``as_json``.

    Args:
        path: of the beta session.
        as_template: print the template of an arm instead of the whole session.
        as_json: likewise, the one as well as the other.

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
        if as_template:
            converted = template_of(converted)
            SessionTemplate.model_validate(converted.content)
    except ValidationError as error:
        said = "\n".join(what for _, what in explain_errors(error, SessionTemplate))
        raise ConfigError(said, path=str(path), remedy="mend it there") from None
    except ConfigError as error:
        raise ConfigError(error.what, path=str(path), remedy=error.remedy) from error
    if as_json:
        changes = [asdict(change) for change in converted.changes]
        found = {"ga": converted.content, "changes": changes, "unknown": converted.unknown}
        click.echo(json.dumps(found))
    else:
        if as_template:
            click.echo(
                yaml.safe_dump(converted.content, sort_keys=False, allow_unicode=True), nl=False
            )
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


def _dialplans(paths: tuple[Path, ...], config: Path | None) -> Sequence[Dialplan]:
    if len(paths) > 1:
        raise ConfigError("--explain takes one directory", remedy="name the dialplans' directory")
    return load_dialplans(paths[0] if paths else load_settings(config, os.environ).dialplans_dir)


def _with_arm(found: Explanation, config: Path | None, *, given: bool) -> Explanation:
    """Add how the call's arm connects, where there are settings that say so."""
    name = found.arm
    if name is None or not (given or config):
        return found
    settings = load_settings(config, os.environ)
    lines = tuple(explain.arm_lines(name, settings, os.environ)) if name in settings.arms else ()
    return replace(found, arm_lines=lines)


def _show(explained: Explanation, *, as_json: bool) -> None:
    for line in [explain.to_json(explained)] if as_json else explain.show(explained):
        click.echo(line)
    if explained.taken is None:
        raise SystemExit(1)


def _serve_problems(
    config: Path | None, notes: dict[str, list[str]], warnings: list[str]
) -> Iterator[ConfigError]:
    """Yield what is wrong; add what follows from the settings, and what will be wrong soon."""
    try:
        settings = load_settings(config, os.environ)
        if settings.redis.url is not None:
            read_address(settings.redis.url)
        check_archive(settings.recordings, os.environ)
        for name, trunk in settings.sip.trunks.items():
            place = f"preset {trunk.preset} fills in sip.trunks.{name}."
            notes["presets"] += [f"{place}{line}" for line in lines_of(trunk.filled)]
        notes["codecs"] += _codecs(settings.sip)
        for name in settings.arms:
            notes["arms"] += explain.arm_lines(name, settings, os.environ)
        check_tracing(settings.tracing, os.environ)
        dialplans = load_dialplans(settings.dialplans_dir)
        check_arms(dialplans, settings.arms, settings.rollouts)
        check_trunks(dialplans, settings.sip.trunks)
        check_overrides(settings.rollouts, settings.sip.trunks, dialplans)
        check_sessions(dialplans, settings.realtime_arms, settings.rollouts)
        check_sip_arms(dialplans, settings.sip_arms)
        warnings += session_warnings(dialplans, settings.realtime_arms, settings.rollouts)
        warnings += sip_arm_warnings(dialplans, settings.sip_arms, settings.rollouts)
    except ConfigError as error:
        yield error


def _codecs(sip: SipSettings) -> Iterator[str]:
    """Yield the codecs that any trunk has of its own, and the rate that follows from them."""
    if len(sip.codec_settings) > 1 or sip.wideband_settings:
        yield from (f"{name}: {', '.join(each)}" for name, each in sip.codec_settings.items())
        yield explain.audio_rate(sip)


def _problems(paths: tuple[Path, ...], warnings: list[str]) -> Iterator[ConfigError]:
    """Yield what is wrong; what is only weak is added to ``warnings``."""
    for path in paths:
        files = sorted(path.glob("*.yaml")) if path.is_dir() else [path]
        if not files:
            yield ConfigError("no .yaml file in this directory", path=str(path))
        dialplans = []
        for file in files:
            try:
                checked = _check_file(file)
            except ConfigError as error:
                yield error
            else:
                if isinstance(checked, Dialplan):
                    dialplans.append(checked)
                elif isinstance(checked, CallScript):
                    yield from _voice_problem(file, checked.voice)
                    warnings += [f"{file}: {each}" for each in advise(checked)]
        try:
            check_together(dialplans)
        except ConfigError as error:
            yield error


def _voice_problem(file: Path, voice: str) -> Iterator[ConfigError]:
    try:
        Synthesizer(voice)
    except ConfigError as error:
        yield ConfigError(f"voice: {error.what}", path=str(file), remedy=error.remedy)


def _check_file(path: Path) -> object:
    data = load_yaml(path).data
    schema = data.get("schema") if isinstance(data, dict) else None
    return _KINDS.get(str(schema), load_scenario)(path)
