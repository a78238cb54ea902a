"""What every live call shares, and what is fixed for one call at its INVITE."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bridge.clock import Clock
from bridge.config.settings import SessionSettings
from bridge.realtime.dialect import Dialect
from bridge.routing.models import Dialplan
from bridge.session.realtime import Endpoint
from bridge.store.calls import CallStore
from bridge.telemetry.metrics import Metrics
from bridge.telephony.pump import Pump


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to a Realtime service."""

    name: str
    endpoint: Endpoint
    dialect: Dialect


@dataclass(frozen=True, slots=True)
class Route:
    """What was decided about a call; frozen for its life."""

    dialplan: Dialplan
    arm: Arm


@dataclass(frozen=True, slots=True)
class Services:
    """What calls share.

    Attributes:
        append_ms: caller audio in one append.
        recordings_dir: where recordings and call records go.
    """

    clock: Clock
    pump: Pump
    store: CallStore
    metrics: Metrics
    session: SessionSettings
    append_ms: int
    recordings_dir: Path
    now_wall_ms: Callable[[], int]
