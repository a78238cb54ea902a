"""What the console's routes work with; one of each a process."""

import secrets
from dataclasses import dataclass, field

from starlette.requests import HTTPConnection

from bridge.clock import NS_PER_MS, Clock
from bridge.config.console import ConsoleSettings
from bridge.config.settings import RedisSettings
from bridge.console.history import CallHistory
from bridge.console.live_list import LiveList
from bridge.console.sources import Sources
from bridge.store.alerts import AlertStore
from bridge.store.client import RedisLink
from bridge.store.keys import Keys
from bridge.store.reader import CallReader
from bridge.store.rollouts import RolloutStore
from bridge.store.sessions import SessionStore
from bridge.store.users import UserStore


@dataclass(frozen=True, slots=True)
class Services:
    """What routes work with.

    Attributes:
        settings: of the console.
        clock: wall time of records and ends.
        users: who may sign in.
        sessions: who has.
        sources: where to look beside Redis.
        calls: what every node writes of its calls.
        live: the list of those that go on, for all who watch.
        history: those that are over.
        alerts: what supervisors have to know at once.
        rollouts: states and changes.
    """

    settings: ConsoleSettings
    clock: Clock
    users: UserStore
    sessions: SessionStore
    sources: Sources
    calls: CallReader
    live: LiveList
    history: CallHistory
    alerts: AlertStore
    rollouts: RolloutStore
    link: RedisLink = field(repr=False)

    @property
    def now_ms(self) -> int:
        """The time, ms since the Unix epoch."""
        return self.clock.wall_ns() // NS_PER_MS

    async def aclose(self) -> None:
        """Disconnect from Redis."""
        await self.live.aclose()
        await self.calls.aclose()
        await self.link.aclose()


def open_services(
    settings: ConsoleSettings,
    redis: RedisSettings,
    redis_url: str,
    clock: Clock,
    sources: Sources | None = None,
) -> Services:
    """Make what the console needs; nothing is connected before it is used.

    Raises:
        ConfigError: the URL of Redis can't be read.
    """
    link, keys = RedisLink(redis_url, timeout_s=redis.connect_timeout_s), Keys(redis.prefix)
    sources = sources or Sources()
    calls = CallReader(redis, redis_url)
    return Services(
        settings=settings,
        clock=clock,
        users=UserStore(link, keys),
        sessions=SessionStore(
            link, keys, idle_s=settings.session_idle_s, max_s=settings.session_max_s
        ),
        sources=sources,
        calls=calls,
        live=LiveList(calls, clock),
        history=CallHistory(calls, sources.recordings_dir),
        alerts=AlertStore(link, keys),
        rollouts=RolloutStore(link, redis),
        link=link,
    )


def services_of(connection: HTTPConnection) -> Services:
    """Return what the app of a request works with (a FastAPI dependency)."""
    services: Services = connection.app.state.services
    return services


def new_token() -> str:
    """Return a secret that nobody guesses: 256 bits, fit for a URL."""
    return secrets.token_urlsafe(32)
