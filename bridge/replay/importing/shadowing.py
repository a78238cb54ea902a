"""Scripts of recorded calls, made for one run and gone after it: yesterday's calls on another arm.

A call is taken if its caller agreed and its time is not over, as for an import that is kept; the
others are told with the reason. Everything here blocks.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from bridge.errors import ConfigError
from bridge.recordings.files import StoredCall, stored_calls
from bridge.replay.importing.gateway_call import read_gateway_call
from bridge.replay.importing.importing import import_call


@dataclass(frozen=True, slots=True)
class Shadowed:
    """What became of a day's calls.

    Attributes:
        scripts: of those that may be played, in the order of their begin.
        left_out: the others, each with the reason.
    """

    scripts: tuple[Path, ...]
    left_out: tuple[str, ...]


def shadow_calls(directory: Path, day: date, now: datetime, out: Path) -> Shadowed:
    """Make scripts of the calls of one day.

    Args:
        directory: a gateway's recordings.
        day: on which they began, in the time zone of ``now``.
        now: with its zone; by it a call's time may be over.
        out: where the scripts go.

    Raises:
        ConfigError: there was no call on that day.
        InfrastructureError: a script can't be written.
    """
    calls = [call for call in stored_calls(directory) if _day_of(call, now) == day]
    if not calls:
        raise ConfigError(
            f"holds no call of {day}",
            path=str(directory),
            remedy="name the gateway's recordings, or another day with --day",
        )
    scripts: list[Path] = []
    left_out: list[str] = []
    for call in sorted(calls, key=lambda each: each.started_at_ms):
        path = out / f"{call.files.call_id}.yaml"
        try:
            recorded = read_gateway_call(call, round(now.timestamp() * 1000))
            scripts.append(import_call(recorded, path).path)
        except ConfigError as error:
            left_out.append(f"{call.files.call_id}: {error}")
    return Shadowed(tuple(scripts), tuple(left_out))


def yesterday_of(now: datetime) -> date:
    """Return the day before, in the zone of ``now``."""
    return (now - timedelta(days=1)).date()


def _day_of(call: StoredCall, now: datetime) -> date:
    return datetime.fromtimestamp(call.started_at_ms / 1000, now.tzinfo).date()
