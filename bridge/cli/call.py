"""`bridge call`: a softphone that dials, speaks, listens, records and reports."""

import asyncio
import json
import re
import signal
from collections.abc import Sequence
from pathlib import Path

import click
from pydantic import ValidationError

from bridge.cli.call_report import event_fields, print_event, print_result
from bridge.cli.errors import exits_cleanly
from bridge.cli.running import run, until_signalled
from bridge.clock import SystemClock
from bridge.config.settings import TelemetrySettings
from bridge.errors import ConfigError, InfrastructureError
from bridge.replay.call.player import CallLine, Replay
from bridge.replay.call.preparation import PreparedScript, prepare
from bridge.replay.call.process import own_address
from bridge.replay.results.call import CallOutcome, CallResult
from bridge.replay.script import CallScript, Ending, KeyPresses, Saying, Step, load_script
from bridge.replay.script.circumstances import Setup
from bridge.softphone.events import PhoneEvent, SoftphoneListener
from bridge.telemetry.logs import configure

_LONGEST_S = 3600.0
_URI = re.compile(
    r"sip:(?:(?P<user>[^@\s]+)@)?(?P<host>[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?(?:;[^\s]*)?",
    re.IGNORECASE,
)
_DIGITS = re.compile(r"[0-9*#A-D]{1,32}")
_EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


class _InOrder(click.Command):
    """A command that knows in which order its options were given."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Note the order, then parse as always."""
        _, _, order = self.make_parser(ctx).parse_args(args=list(args))
        ctx.meta["order"] = [parameter.name for parameter in order]
        return super().parse_args(ctx, args)


@click.command(cls=_InOrder)
@click.argument("uri")
@click.option("--say", multiple=True, metavar="TEXT", help="Say this. Repeatable.")
@click.option("--play", multiple=True, type=_EXISTING_FILE, help="Play a WAV file. Repeatable.")
@click.option(
    "--dtmf",
    multiple=True,
    metavar="DIGITS",
    help="Press keys (RFC 4733): 0-9 * # A-D. Repeatable.",
)
@click.option(
    "--duration",
    type=click.FloatRange(0, _LONGEST_S, min_open=True),
    metavar="SECONDS",
    help="Stay on the line, and hang up so long after the answer.",
)
@click.option(
    "--record",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Stereo WAV of the call: caller left, agent right.",
)
@click.option(
    "--hears",
    type=_EXISTING_FILE,
    help="What the agent may say, a sentence a line; without it only times are told.",
)
@click.option(
    "--from",
    "caller",
    metavar="NUMBER",
    help="Call as this number (user part of From); rollouts draw by it.",
)
@click.option("--script", type=_EXISTING_FILE, help="Play a call script (YAML) and judge the call.")
@click.option("--events", is_flag=True, help="Print each event as one JSON line while it happens.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end.")
@click.pass_context
@exits_cleanly
def call(
    ctx: click.Context,
    uri: str,
    say: Sequence[str],
    play: Sequence[Path],
    dtmf: Sequence[str],
    duration: float | None,
    record: Path | None,
    hears: Path | None,
    caller: str | None,
    script: Path | None,
    events: bool,
    as_json: bool,
) -> None:
    """Dial URI, speak, listen and hang up: a softphone.

    What --say, --play and --dtmf tell it to do is done in the order given. It lets a greeting
    finish first, waits for the answer each time, and hangs up after the last one. With nothing to
    do it listens until the far end hangs up, or Ctrl-C.

    \b
    Examples:
      bridge call sip:support@127.0.0.1:5060 --say "Where is my order?"
      bridge call sip:127.0.0.1 --play question.wav --dtmf 1 --record call.wav
      bridge call sip:127.0.0.1 --say "When are you open?" --hears sentences.txt --json
      bridge call sip:127.0.0.1:5060 --script call_scripts/support_demo.yaml
      bridge call sip:+15550100@192.0.2.7 --duration 20 --events
      bridge call sip:127.0.0.1:5060 --from +15550199 --duration 5

    \b
    Exit codes:
      0  answered, and every expectation of the script was met
      1  refused or not answered, or an expectation was broken
      2  bad input, or an expectation that the caller's side alone can't decide
      3  nothing answers SIP there, or this machine can't (ports, disk)
      130, 143  ended by Ctrl-C, SIGTERM (what was heard until then is told)
    """
    configure(TelemetrySettings(log_level="warning"))
    if script is not None:
        if say or play or dtmf or hears or duration is not None:
            raise click.UsageError("--script says it all: leave the other instructions out")
        chosen, folder = load_script(script), script.parent
    else:
        steps = _steps(ctx.meta["order"], say, play, dtmf)
        chosen, folder = _make_script(steps, duration, hears), Path()
    if caller is not None:
        chosen = _called_by(chosen, caller)
    line = _line(uri, chosen, record)
    prepared = prepare(chosen, folder)
    to_stderr = as_json and not events
    if not events:
        click.echo(f"calling {line.uri}", err=to_stderr)

    def show(event: PhoneEvent) -> None:
        if events:
            click.echo(json.dumps(event_fields(event)))
        else:
            print_event(event, to_stderr=to_stderr)

    result, by_signal = run(_call(prepared, line, show))
    if as_json:
        click.echo(json.dumps(result.as_json()))
    elif not events:
        print_result(result)
    if result.outcome is CallOutcome.FAILED and by_signal is None:
        raise InfrastructureError(
            f"nothing that speaks SIP reacts at {line.uri}",
            remedy="check host and port, and that the far end runs and takes UDP",
        )
    raise SystemExit(_exit_code(result, by_signal))


async def _call(
    prepared: PreparedScript, line: CallLine, show: SoftphoneListener
) -> tuple[CallResult, signal.Signals | None]:
    """Place the call; return what came of it, and the signal that ended it, if one did."""
    replay = Replay(prepared, line, SystemClock(), show)
    async with asyncio.TaskGroup() as tasks:
        stopping = tasks.create_task(until_signalled(), name="signals")
        calling = tasks.create_task(replay.run(), name="replay")
        calling.add_done_callback(lambda _: stopping.cancel())
        await asyncio.wait({stopping, calling}, return_when=asyncio.FIRST_COMPLETED)
        by_signal = None if calling.done() else signal.Signals[stopping.result()]
        if by_signal is not None:
            replay.stop()
    return calling.result(), by_signal


def _steps(
    order: Sequence[str], say: Sequence[str], play: Sequence[Path], dtmf: Sequence[str]
) -> tuple[Step, ...]:
    """Make steps of the options, in the order in which they were given."""
    made = {
        "say": iter([Step(say=Saying(text=text)) for text in say if _check_text(text)]),
        "play": iter([Step(say=Saying(text=f"[{path.name}]", audio=path)) for path in play]),
        "dtmf": iter([Step(dtmf=KeyPresses(digits=_check_digits(digits))) for digits in dtmf]),
    }
    return tuple(next(made[name]) for name in order if name in made)


def _make_script(steps: tuple[Step, ...], duration: float | None, hears: Path | None) -> CallScript:
    listens_only = not steps and duration is None
    return CallScript(
        schema="callscript/v1",
        id="command-line",
        hears=() if hears is None else _sentences(hears),
        caller=steps,
        end=Ending(by="anyone", after_s=_LONGEST_S if listens_only else duration),
    )


def _called_by(script: CallScript, caller: str) -> CallScript:
    try:
        setup = Setup.model_validate({**script.setup.model_dump(by_alias=True), "from": caller})
    except ValidationError as error:
        raise ConfigError(
            f"--from {caller} is no number",
            remedy="give the digits alone, with or without +: +15550199",
        ) from error
    return script.model_copy(update={"setup": setup})


def _check_text(text: str) -> str:
    if not text.strip():
        raise ConfigError("--say has no words")
    return text


def _check_digits(digits: str) -> str:
    if not _DIGITS.fullmatch(digits):
        raise ConfigError("--dtmf takes 1 to 32 of the keys 0-9, *, # and A-D")
    return digits


def _sentences(path: Path) -> tuple[str, ...]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read as text: {error}", path=str(path)) from error
    sentences = tuple(line.strip() for line in lines if line.strip())
    if not sentences:
        raise ConfigError("holds no sentence", path=str(path), remedy="write one a line")
    return sentences


def _line(uri: str, script: CallScript, recording: Path | None) -> CallLine:
    """Find out whom to call, from where, and that the recording can be written."""
    found = _URI.fullmatch(uri)
    if found is None:
        raise ConfigError(
            "the address to call is no SIP URI that this phone can dial",
            remedy="write sip:user@host:port, for example sip:support@127.0.0.1:5060",
        )
    if recording is not None:
        _check_writable(recording)
    full = uri if found["user"] else f"sip:{script.called}@{uri[len('sip:') :]}"
    return CallLine(full, own_address(full), recording)


def _check_writable(path: Path) -> None:
    """Find out before the call that a file can be written there; leave none behind."""
    existed = path.exists()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("ab").close()
        if not existed:
            path.unlink()
    except OSError as error:
        raise ConfigError(
            f"the recording cannot be written: {error.strerror}",
            path=str(path),
            remedy="name a file in a folder that you may write to",
        ) from error


def _exit_code(result: CallResult, by_signal: signal.Signals | None) -> int:
    if by_signal is not None:
        return 128 + by_signal
    if result.broken:
        return 1
    return 2 if result.undecided else 0
