"""What every live call shares, and what is fixed for one call at its INVITE."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from bridge.clock import Clock
from bridge.config.models import ModelTable
from bridge.config.settings import SessionSettings
from bridge.live.phrases import Phrases
from bridge.realtime.dialect import Dialect
from bridge.realtime.session_config import SessionConfig
from bridge.routing.models import Dialplan
from bridge.routing.session import session_config
from bridge.routing.verstat import Verstat
from bridge.session.realtime import Endpoint
from bridge.session.tokens import CredentialSource
from bridge.store.calls import CallStore
from bridge.telemetry.metrics import Metrics
from bridge.telephony.endpoint import SipEndpoint
from bridge.telephony.pump import Pump
from bridge.tools.webhook import WebhookClient


@dataclass(frozen=True, slots=True)
class Choice:
    """One model to connect with.

    Attributes:
        endpoint: without a key: each connection gets its own.
        credentials: where the connections' bearers come from.
        voice: for the session's settings; None for the server's default.
    """

    endpoint: Endpoint
    credentials: CredentialSource
    voice: str | None = None


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to a Realtime service.

    Attributes:
        choices: models in the order in which they are tried; never empty.
    """

    name: str
    dialect: Dialect
    choices: tuple[Choice, ...]


@dataclass(frozen=True, slots=True)
class Route:
    """What was decided about a call; frozen for its life.

    Attributes:
        choices: the arm's, with the voice of this dialplan.
        secrets: environment variables that the dialplan's tools name, and their values.
        verstat: what the carrier says of the caller's number.
    """

    dialplan: Dialplan
    arm: Arm
    choices: tuple[Choice, ...]
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    verstat: Verstat = Verstat.NONE

    def config(self, choice: Choice) -> SessionConfig:
        """Return the session settings with which a choice is opened."""
        return replace(session_config(self.dialplan, self.secrets), voice=choice.voice)


@dataclass(frozen=True, slots=True)
class Services:
    """What calls share.

    Attributes:
        endpoint: places calls to people.
        append_ms: caller audio in one append.
        recordings_dir: where recordings and call records go.
        models: for the prices.
    """

    clock: Clock
    endpoint: SipEndpoint
    pump: Pump
    store: CallStore
    phrases: Phrases
    metrics: Metrics
    session: SessionSettings
    append_ms: int
    recordings_dir: Path
    now_wall_ms: Callable[[], int]
    models: ModelTable
    webhooks: WebhookClient
