"""Builds the plan of `bridge replay` from its options."""

import hashlib
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import click

from bridge.app.rollouts.secret import read_secret
from bridge.config.loading import load_settings
from bridge.config.models import load_models
from bridge.errors import ConfigError
from bridge.replay.chat.choosing import check_text_models, with_stand_ins
from bridge.replay.environment.arms import check_tapes, choose_arms
from bridge.replay.environment.environment import GatewayTraces, RunningGateway
from bridge.replay.environment.load import check_room
from bridge.replay.environment.target_arm import ArmSigner, find_flag
from bridge.replay.evidence.transcribing import Transcribe, at_endpoint
from bridge.replay.importing.gateway_call import shadow_calls, yesterday_of
from bridge.replay.runs.costs import texts_usd
from bridge.replay.runs.packing import multiplied
from bridge.replay.runs.plan import ReplayPlan
from bridge.replay.script import load_script
from bridge.replay.script.files import ScriptFile
from bridge.replay.script.packs import choose_packs
from bridge.speech.open_recognition import OpenRecognizer
from bridge.telephony.capabilities import examine

JOBS_A_CPU = 3
"""A call is real time and takes a quarter of a CPU; the rest is for what is started and heard."""
JOBS_AT_A_TARGET = 4
"""What a gateway holds on the pip wheel of pjsua2."""
MOST_JOBS = 32


@dataclass(frozen=True, slots=True)
class PlayOptions:
    """The options of `bridge replay` that say what is played, by their names."""

    scripts: tuple[Path, ...]
    arms: tuple[str, ...]
    config: Path | None
    repeat: int | None
    jobs: int | None
    tags: tuple[str, ...]
    target: str | None
    target_rollout: str | None
    target_recordings: Path | None
    target_wire_log: Path | None
    dialplans: Path | None
    shadow: Path | None
    day: datetime | None
    cost_cap: float | None
    transcribe: str | None
    stand_ins: bool
    packs: tuple[str, ...]
    load: int | None


def make_plan(options: PlayOptions, results: Path, stack: ExitStack) -> ReplayPlan:
    """Make the plan; name the scripts that can't be played.

    Args:
        options: of the command.
        results: directory for the runs' folders.
        stack: at its end the scripts are gone that were made for this run alone.

    Raises:
        ConfigError: an option is no good, or nothing is left to play.
    """
    scripts = options.scripts
    if options.shadow is not None:
        scripts = (*scripts, *_shadow(options, options.shadow, stack))
    files = find_scripts(scripts, options.tags)
    check_text_models(files, os.environ, stand_ins=options.stand_ins)
    files, left_out = multiplied(files, choose_packs(options.packs))
    for why in left_out:
        click.echo(f"not played: {why}", err=True)
    if options.load is not None:
        _check_load(options.load, options.target, files)
    target = _target(options)
    jobs = default_jobs() if target is None else JOBS_AT_A_TARGET
    if options.load is not None:
        jobs = 1
    plan = ReplayPlan(
        files=files,
        arms=choose_arms(
            options.arms,
            options.config,
            os.environ,
            load_models(),
            of_a_target=target is not None,
        ),
        repeat=options.repeat,
        jobs=options.jobs or jobs,
        results=results,
        target=target,
        dialplans=options.dialplans,
        cap_usd=options.cost_cap,
        transcribe=_transcriber(options.transcribe),
        stand_ins=options.stand_ins,
        load=options.load or 0,
        command=shlex.join(["bridge", *sys.argv[1:]]),
        commit=_commit(),
        version=version("telephony-bridge"),
    )
    for arm in plan.arms:
        check_tapes(arm, [file.script.id for file in plan.files])
    if plan.cap_usd is not None:
        for file in files:  # before the first call: a price that is missing would end the run later
            texts_usd(with_stand_ins(file.script) if plan.stand_ins else file.script, 0.0)
    _name_unplayed(plan)
    return plan


def _check_load(load: int, target: str | None, files: Sequence[ScriptFile]) -> None:
    """Make sure, before any call, that the other calls can be had.

    Raises:
        ConfigError: the gateway is another's, or holds too few.
    """
    if target is not None:
        raise ConfigError(
            "--load puts other calls on the replay's own gateway, and --target names another",
            remedy="leave one of them out; bridge bench measures a gateway under many calls",
        )
    holds = examine().call_limit
    for file in files:
        check_room(load, holds, file.script)


def _transcriber(where: str | None) -> Transcribe | None:
    if where is None:
        return None
    if where == "local":
        return OpenRecognizer().transcribe
    if not where.startswith(("http://", "https://")):
        raise ConfigError("--transcribe is neither local nor a URL", remedy="write http://...")
    return at_endpoint(where, os.environ.get("BRIDGE_TRANSCRIBE_KEY"))


def default_jobs() -> int:
    """Return how many calls at once this machine has CPUs for."""
    return min(JOBS_A_CPU * len(os.sched_getaffinity(0)), MOST_JOBS)


def _name_unplayed(plan: ReplayPlan) -> None:
    """Name what is not played.

    Raises:
        ConfigError: nothing is.
    """
    for file in plan.files:
        for arm in plan.arms:
            if arm.tapes is not None and not arm.plays(file.script.id):
                what = f"{arm.tapes.place} has no recording of it"
                click.echo(f"not played: {file.script.id} on {arm.name}: {what}", err=True)
        wanted_arms = file.script.target.arms
        if wanted_arms and not any(arm.name in wanted_arms for arm in plan.arms):
            wanted = ", ".join(file.script.target.arms)
            click.echo(f"not played: {file.script.id} is for {wanted} alone", err=True)


def find_scripts(paths: Sequence[Path], tags: Sequence[str]) -> tuple[ScriptFile, ...]:
    """Read scripts: files, and the .yaml files of directories.

    Raises:
        ConfigError: none is left, one is no script, or two have one id.
    """
    found: dict[str, ScriptFile] = {}
    for path in paths:
        for file in sorted(path.glob("*.yaml")) if path.is_dir() else [path]:
            script = load_script(file)
            if tags and not set(tags) & set(script.tags):
                continue
            if script.id in found:
                raise ConfigError(
                    f"has the id '{script.id}', which {found[script.id].path} has, too",
                    path=str(file),
                    remedy="results are kept by it: give each script one of its own",
                )
            content = hashlib.sha256(file.read_bytes()).hexdigest()
            found[script.id] = ScriptFile(file.absolute(), script, content)
    if not found:
        raise ConfigError(
            "there is no script to play" + (f" with a tag of {', '.join(tags)}" if tags else ""),
            remedy="name files or directories: bridge replay call_scripts",
        )
    return tuple(found.values())


def _shadow(options: PlayOptions, directory: Path, stack: ExitStack) -> tuple[Path, ...]:
    """Make scripts of a day's recorded calls, which are gone with the stack; name those left out.

    Raises:
        ConfigError: none of them may be played.
    """
    now = datetime.now(UTC)
    out = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bridge-shadow-")))
    wanted = yesterday_of(now) if options.day is None else options.day.date()
    keys = load_settings(options.config, os.environ).recordings.identities_file
    found = shadow_calls(directory, wanted, now, out, keys)
    for why in found.left_out:
        click.echo(f"not played: {why}", err=True)
    if not found.scripts:
        raise ConfigError(
            f"none of the {len(found.left_out)} calls of {wanted} may be played",
            path=str(directory),
        )
    return found.scripts


def _target(options: PlayOptions) -> RunningGateway | None:
    if options.target is None:
        return None
    signer = _signer(options.arms, options.config, options.target_rollout)
    if not options.target.startswith("sip:"):
        raise ConfigError("--target is no SIP URI", remedy="write sip:host:port")
    traces = GatewayTraces(
        options.target_recordings, options.target_wire_log, os.environ.get("BRIDGE_REDIS_URL")
    )
    return RunningGateway(options.target, traces, signer)


def _signer(arms: Sequence[str], config: Path | None, flag: str | None) -> ArmSigner | None:
    """Return what asks a running gateway for an arm; None where it has but the one named.

    Raises:
        ConfigError: the arms can't be asked for.
    """
    if any("=recorded:" in arm for arm in arms):
        raise ConfigError(
            "a running gateway has its own Realtime service: no recording can stand in for it",
            remedy="leave --target out for a recorded arm",
        )
    if len(arms) == 1 and flag is None:
        return None
    if not arms:
        raise ConfigError(
            "a running gateway chooses the arm itself",
            remedy="name the one that it has with --arm: results are kept under it; or several of"
            " a rollout's",
        )
    settings = load_settings(config, os.environ)
    found = find_flag(settings.rollouts, arms, flag)
    return ArmSigner(found, read_secret(settings.rollout_key_env, os.environ))


def _commit() -> str | None:
    """Return the commit of the working copy, None where there is none."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
