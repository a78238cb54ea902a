"""The services that all live calls share, and the route that is fixed for a call at its INVITE."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.clock import Clock
from bridge.config.models import ModelTable
from bridge.config.rollouts import RolloutSettings
from bridge.config.settings import SessionSettings
from bridge.live.phrases import Phrases
from bridge.live.records.keeper import RecordKeeper
from bridge.live.upstream.models import ArmModel, RefusedModels
from bridge.realtime.dialect import Dialect
from bridge.realtime.session_config import PCM_24KHZ_BOTH_WAYS, AudioFormats, SessionConfig
from bridge.recordings.files import CallFiles
from bridge.routing.handoff import HandoffTarget
from bridge.routing.models import Dialplan
from bridge.routing.modes import Mode, during, has_agent
from bridge.routing.origin import NO_ORIGIN, Origin
from bridge.routing.rollout.decision import Decision
from bridge.routing.rollout.observed import CallEntry
from bridge.routing.session import session_config
from bridge.routing.verstat import Verstat
from bridge.session.wire_log import WireLog
from bridge.store.calls import CallStore
from bridge.telemetry.labels import SIP
from bridge.telemetry.metrics import Metrics
from bridge.telephony.endpoint import SipEndpoint
from bridge.telephony.pump import Pump
from bridge.tools.webhook import WebhookClient

if TYPE_CHECKING:
    from bridge.telemetry.tracing.export import Tracing  # needs the extra otel

NO_ARM = "none"
"""The arm, in records and metrics, of a call that no agent takes."""


@dataclass(frozen=True, slots=True)
class Arm:
    """A way to a Realtime service: the models that its calls try. Or to an agent, by SIP.

    Attributes:
        dialect: of its sessions; None for an arm that is a SIP URI.
        choices: models in the order in which they are wanted; empty for :data:`NO_ARM`, and for an
            arm that is a SIP URI.
        refused: which of them gave no session of late.
        digest: of its settings.
        audio: the formats of its sessions.
        agent: whom an arm that is a SIP URI leads to.
    """

    name: str
    dialect: Dialect | None
    choices: tuple[ArmModel, ...]
    refused: RefusedModels = field(default_factory=RefusedModels, compare=False)
    digest: str = ""
    audio: AudioFormats = PCM_24KHZ_BOTH_WAYS
    agent: HandoffTarget | None = None

    @property
    def spoken(self) -> Dialect:
        """The dialect of its sessions.

        Raises:
            AssertionError: it has none.
        """
        if self.dialect is None:
            raise AssertionError(f"the arm {self.name} has no sessions")
        return self.dialect

    @property
    def dialect_name(self) -> str:
        """What records and metrics call its dialect."""
        return SIP if self.dialect is None else self.dialect.name


@dataclass(frozen=True, slots=True)
class Dealt:
    """A flag's decision about one call, with the listener that is given its result.

    Attributes:
        caller: the key that the caller is drawn by; empty for a withheld number.
        plan: the flag's settings: what makes a call a bad one.
        ended: called once, when nothing more is to be learned of the arm.
        digest: of the arm's settings.
    """

    decision: Decision
    caller: str
    plan: RolloutSettings
    ended: Callable[[CallEntry], None]
    digest: str = ""

    @property
    def share(self) -> float | None:
        """The treatment's share when the call was dealt, 0 to 1; None where it was not drawn."""
        decision = self.decision
        return decision.shares.get(self.plan.treatment) if decision.randomised else None


@dataclass(frozen=True, slots=True)
class Route:
    """The decision about how a call is treated; frozen for its life.

    Attributes:
        dialplan: as it is for calls that are treated so (``mode``).
        choices: the arm's, with the voice of this dialplan; none where no agent takes the call.
        secrets: environment variables that the dialplan's tools name, and their values.
        verstat: what the carrier says of the caller's number.
        origin: what its INVITE says of the call beside that.
        dealt: what a flag decided; None where the dialplan names its arm, or none was asked for.
        rescuer: what takes over if this arm fails before the greeting; None: nothing does.
    """

    dialplan: Dialplan
    arm: Arm
    choices: tuple[ArmModel, ...]
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    verstat: Verstat = Verstat.NONE
    origin: Origin = NO_ORIGIN
    dealt: Dealt | None = None
    rescuer: "Route | None" = None
    mode: Mode = Mode.OPEN

    @property
    def model(self) -> str:
        """The first model that is tried; empty where no agent takes the call."""
        return self.choices[0].endpoint.model if self.choices else ""

    @property
    def has_agent(self) -> bool:
        """Whether the call gets the AI; else the dialplan's fallback is all it gets."""
        return has_agent(self.dialplan, self.mode)

    def during(self, mode: Mode) -> "Route":
        """Return the route of calls that are treated so."""
        route = replace(self, dialplan=during(self.dialplan, mode), mode=mode)
        if route.has_agent:
            return route
        return replace(route, arm=Arm(NO_ARM, self.arm.dialect, ()), choices=())

    def staying_here(self) -> "Route":
        """Return the route without a rescuer that is a SIP URI."""
        leaves = self.rescuer is not None and self.rescuer.arm.agent is not None
        return replace(self, rescuer=None) if leaves else self

    def config(self, choice: ArmModel) -> SessionConfig:
        """Return the session settings with which a choice is opened."""
        audio = self.arm.audio
        return replace(
            session_config(self.dialplan, self.secrets),
            voice=choice.voice,
            input_format=audio.input,
            output_format=audio.output,
        )


@dataclass(frozen=True, slots=True)
class Services:
    """The services that all calls of a gateway share.

    Attributes:
        endpoint: places calls to people.
        append_ms: caller audio in one append.
        may_call: whether a supervisor's phone may be called.
        may_transfer: whether a supervisor may type an address as the target of a transfer.
        recordings_dir: where recordings and call records go; ``records``: keeps the latter.
        models: for the prices.
        tracing: makes traces of calls; None where no collector is named.
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
    records: RecordKeeper
    now_wall_ms: Callable[[], int]
    models: ModelTable
    webhooks: WebhookClient
    may_call: Callable[[str], bool] = lambda phone: False
    may_transfer: Callable[[str], bool] = lambda target: False
    tracing: "Tracing | None" = None

    def wire_log_of(self, call_id: str) -> WireLog | None:
        """Return a call's wire log, to be closed at its end; None where none is wanted."""
        directory = self.session.wire_log_dir
        return None if directory is None else WireLog(directory / f"{call_id}.jsonl", self.clock)

    def recording_of(self, call_id: str, dialplan: Dialplan) -> Path | None:
        """Return where a call is recorded; None where its dialplan has it not recorded."""
        return CallFiles(self.recordings_dir, call_id).audio if dialplan.recording.enabled else None
