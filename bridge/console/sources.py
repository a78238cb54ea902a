"""The gateway's own data that the console reads beside Redis: directories, dialplans, rollouts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bridge.config.rollouts import RolloutSettings
from bridge.routing.models import Dialplan


def _none() -> Sequence[Dialplan]:
    return ()


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the console looks beside Redis.

    Attributes:
        recordings_dir: recordings and call records of this node.
        replays_dir: what `bridge replay --report` wrote, a directory each.
        scripts_dir: where call scripts that are made of recorded calls go.
        rollouts: of the settings.
        dialplans: gives those in force.
        node: gives this node's name; "" before it has one.
    """

    recordings_dir: Path = Path("recordings")
    replays_dir: Path = Path(".bridge/replay")
    scripts_dir: Path = Path("call_scripts/recorded")
    rollouts: Mapping[str, RolloutSettings] = field(default_factory=dict)
    dialplans: Callable[[], Sequence[Dialplan]] = _none
    node: Callable[[], str] = str
