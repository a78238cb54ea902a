"""The objects that the console's routes work with, made once per process."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import structlog
from fastapi import Depends
from starlette.requests import HTTPConnection

from bridge.clock import NS_PER_MS, Clock
from bridge.config.archive import RecordingsSettings
from bridge.config.console import ConsoleSettings
from bridge.config.rollouts import RolloutSettings
from bridge.config.settings import RedisSettings
from bridge.console.access.accounts import Accounts
from bridge.console.access.audit import AuditFile, Auditor
from bridge.console.access.audit_head import HeadFile
from bridge.console.access.identity import IdentityProvider
from bridge.console.access.passwords import Passwords
from bridge.console.access.phone_tickets import PhoneTickets
from bridge.console.access.second_factor import SecondFactors
from bridge.console.access.signin import SignIn
from bridge.console.access.tokens import CallTokens
from bridge.console.call_audio import LocalCalls, NoCalls
from bridge.console.history import CallHistory
from bridge.console.live_list import LiveList
from bridge.console.other_nodes import OtherNodes, trust_of
from bridge.routing.models import Dialplan
from bridge.store.alerts import AlertStore
from bridge.store.audit_log import AuditLog
from bridge.store.client import RedisLink, RedisUnavailableError
from bridge.store.control import ControlSender
from bridge.store.ended_calls import WrapUpStore
from bridge.store.keys import Keys
from bridge.store.limits import LimitStore
from bridge.store.once import OnceStore
from bridge.store.pending import PendingStore
from bridge.store.reader import CallReader
from bridge.store.rollouts import RolloutStore
from bridge.store.sessions import PresenceStore, SessionStore
from bridge.store.trouble import Trouble
from bridge.store.users import UserStore

log = structlog.get_logger(__name__)

_TRIES_OF_SILENT_REDIS = 3
"""Of `redis.connect_timeout_s` each: on a machine that starts much at once Redis answers late, and
a first start without its link leaves nobody who could sign in."""


@dataclass(frozen=True, slots=True)
class Sources:
    """The data that the console reads beside Redis.

    Attributes:
        recordings_dir: recordings and call records of this node.
        recordings: what opens and fetches recordings.
        replays_dir: what `bridge replay --report` wrote, a directory each.
        scripts_dir: where call scripts that are made of recorded calls go.
        rollouts: of the settings.
        dialplans: gives those in force.
        node: gives this node's name; "" before it has one.
    """

    recordings_dir: Path = Path("recordings")
    recordings: RecordingsSettings = field(default_factory=RecordingsSettings)
    replays_dir: Path = Path(".bridge/replay")
    scripts_dir: Path = Path("call_scripts/recorded")
    rollouts: Mapping[str, RolloutSettings] = field(default_factory=dict)
    dialplans: Callable[[], Sequence[Dialplan]] = tuple
    node: Callable[[], str] = str


@dataclass(frozen=True, slots=True)
class ConsoleServices:
    """The objects that the console's routes work with.

    Attributes:
        settings: of the console.
        clock: wall time of records and ends.
        users: who may sign in.
        sessions: who has.
        sources: where to look beside Redis.
        live: the list of those that go on, for all who watch.
        history: those that are over.
        alerts: what supervisors have to know at once.
        rollouts: states and changes.
        accounts: changes users.
        sign_in: opens sessions.
        auditor: puts down what people do.
        audit_head: what this node wrote last of it.
        oidc: the identity provider, if there is one.
        once: marks of what may happen once.
        tokens: for audio and control.
        phone_tickets: for desk phones that call in.
        wrap_ups: what came of calls.
        presence: who is signed in, and who is away.
        calls: the state of every node's calls.
        nodes: what other nodes keep of their calls.
        control: sends commands to the nodes that have them.
        local: this node's own calls.
        passwords: checked in a thread that is closed with the rest.
        link: to Redis.
    """

    settings: ConsoleSettings
    clock: Clock
    users: UserStore
    sessions: SessionStore
    sources: Sources
    live: LiveList
    history: CallHistory
    alerts: AlertStore
    rollouts: RolloutStore
    accounts: Accounts
    sign_in: SignIn
    auditor: Auditor
    audit_head: HeadFile
    oidc: IdentityProvider | None
    once: OnceStore
    tokens: CallTokens
    phone_tickets: PhoneTickets
    wrap_ups: WrapUpStore
    presence: PresenceStore
    calls: CallReader
    nodes: OtherNodes
    control: ControlSender
    local: LocalCalls
    passwords: Passwords = field(repr=False)
    link: RedisLink = field(repr=False)

    @property
    def now_ms(self) -> int:
        """The time, ms since the Unix epoch."""
        return self.clock.wall_ns() // NS_PER_MS

    async def aclose(self) -> None:
        """Stop reading, disconnect from Redis, and end the thread for passwords."""
        await self.live.aclose()
        self.passwords.close()
        await self.nodes.aclose()
        await self.calls.aclose()
        await self.control.aclose()
        await self.link.aclose()


def open_services(
    settings: ConsoleSettings,
    redis: RedisSettings,
    redis_url: str,
    clock: Clock,
    sources: Sources | None = None,
    *,
    state_dir: Path | None = None,
    count_audit_failure: Callable[[], None],
    local: LocalCalls | None = None,
    passwords: Passwords | None = None,
) -> ConsoleServices:
    """Make what the console needs; nothing is connected before it is used.

    Args:
        settings: of the console.
        redis: prefix and timeout.
        redis_url: where people, sessions and the audit are kept.
        clock: wall time.
        sources: where to look beside Redis.
        state_dir: where the audit's head is kept; None keeps none.
        count_audit_failure: called for each entry that could not be written.
        passwords: checks them otherwise, for tests.

    Raises:
        ConfigError: the URL of Redis, or the file of a certificate, can't be read.
    """
    link, keys = RedisLink(redis_url, timeout_s=redis.connect_timeout_s), Keys(redis.prefix)
    users, passwords = UserStore(link, keys), passwords or Passwords()
    sessions = SessionStore(
        link, keys, idle_s=settings.session_idle_s, max_s=settings.session_max_s
    )
    sources, calls = sources or Sources(), CallReader(redis, redis_url)
    head = HeadFile(state_dir)
    copy = AuditFile(settings.audit_file, head, count_audit_failure).copy
    auditor = Auditor(AuditLog(link, keys, copy), clock, count_audit_failure)
    once = OnceStore(link, keys)
    tokens = CallTokens(once, clock)
    trust = trust_of(settings.node_ca_file)
    accounts = Accounts(
        users, PendingStore(link, keys, "invite"), sessions, passwords, auditor, clock
    )
    sign_in = SignIn(
        users,
        sessions,
        passwords,
        LimitStore(link, keys),
        auditor,
        accounts,
        SecondFactors(once, PendingStore(link, keys, "second-factor"), clock),
        clock,
        wants_second_factor=settings.second_factor == "required",
    )
    return ConsoleServices(
        settings=settings,
        clock=clock,
        users=users,
        sessions=sessions,
        accounts=accounts,
        sign_in=sign_in,
        auditor=auditor,
        audit_head=head,
        oidc=_provider(settings, PendingStore(link, keys, "oidc"), clock),
        once=once,
        tokens=tokens,
        phone_tickets=PhoneTickets(PendingStore(link, keys, "phone"), clock),
        sources=sources,
        wrap_ups=WrapUpStore(link, keys),
        presence=PresenceStore(link, keys),
        calls=calls,
        nodes=OtherNodes(calls, tokens, trust, sources.node),
        live=LiveList(calls, clock),
        history=CallHistory(calls, sources.recordings_dir, clock),
        alerts=AlertStore(link, keys),
        rollouts=RolloutStore(link, redis, auditor.audit),
        control=ControlSender(redis, redis_url, clock=clock),
        local=NoCalls() if local is None else local,
        passwords=passwords,
        link=link,
    )


def _provider(
    settings: ConsoleSettings, begun: PendingStore, clock: Clock
) -> IdentityProvider | None:
    if settings.oidc.issuer is None:
        return None
    # Here, before the loop runs: most gateways have none, and would start 0.2 s later.
    from bridge.console.access.oidc import open_provider

    return open_provider(settings.oidc, begun, clock)


async def first_admin_link(services: ConsoleServices, base_url: str) -> str | None:
    """Return a link that makes the first admin; None where there is one, or nobody can say."""
    for _ in range(_TRIES_OF_SILENT_REDIS):
        try:
            token = await services.accounts.first_admin_token()
        except RedisUnavailableError as error:
            said = str(error)
            if error.trouble is not Trouble.SILENT:
                break
        else:
            return None if token is None else f"{base_url.rstrip('/')}/welcome#{token}"
    log.warning("console_admins_unknown", error=said, cost="no link for a first admin, if none is")
    return None  # without Redis nobody signs in; the next start says it


def services_of(connection: HTTPConnection) -> ConsoleServices:
    """Return what the app of a request works with (a FastAPI dependency)."""
    services: ConsoleServices = connection.app.state.services
    return services


Using = Annotated[ConsoleServices, Depends(services_of)]
"""The services, as a parameter of a route."""
