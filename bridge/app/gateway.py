"""The gateway: everything wired together, from the SIP port to Redis, in one loop.

Start order: SIP, Redis, arms, HTTP. Drained, it takes no new calls and waits for those that go on.
Stop order: no new calls, every call ends in order (BYE, session closed, Redis told), then HTTP,
Redis and PJSIP go.
"""

import asyncio
import dataclasses
import re
import socket
import tempfile
from collections import Counter
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import structlog

from bridge.app.arms import make_arms, today_of, warn_of_dropped_fields
from bridge.app.capacity import measure_max_calls
from bridge.app.counting import Counts
from bridge.app.garbage import collect_garbage_in_loop
from bridge.app.intake import DRAINING, LINE_FULL, NO_ROUTE, SHUTTING_DOWN, Intake, Refused
from bridge.app.phone_door import PhoneDoor
from bridge.app.plans import Dialplans, Plans, describe
from bridge.app.preflight import check_arms_answer
from bridge.app.retention import keep_sweeping
from bridge.app.rollout_node import RolloutNode
from bridge.app.rollouts import Rollouts
from bridge.app.sunsets import Sunsets
from bridge.app.supervisors import SupervisorDesk
from bridge.app.trunk_probes import keep_probing
from bridge.clock import NS_PER_MS, Clock
from bridge.config.models import load_models
from bridge.config.settings import Settings
from bridge.console.app import make_app
from bridge.console.server import HttpServer
from bridge.console.services import Services as ConsoleServices
from bridge.console.services import first_admin_link, open_services
from bridge.console.sources import Sources
from bridge.errors import Fault, InfrastructureError, Outcome
from bridge.live.call import DISK_WITHIN_S, CallRunner
from bridge.live.lost import write_lost
from bridge.live.phrases import Phrases
from bridge.live.services import Services
from bridge.routing.modes import Mode
from bridge.store.calls import CallStore
from bridge.store.control import ControlInbox
from bridge.store.reader import History
from bridge.telemetry.labels import Direction
from bridge.telemetry.latency import LatencyWindow
from bridge.telemetry.metrics import Metrics
from bridge.telephony.endpoint import SipEndpoint
from bridge.telephony.leg import Leg
from bridge.telephony.pump import Pump
from bridge.telephony.sip_messages import SipMessage
from bridge.telephony.tick import Ticker
from bridge.tools.webhook import WebhookClient

log = structlog.get_logger(__name__)

_BYE_TIMEOUT_S = 2.0
_ADDRESSES_KEPT = 1024
"""Far ends whose trunk is remembered: a message is counted in 5 us then."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a started gateway is to be found."""

    sip: str
    http: str
    node: str
    max_calls: int
    admin_link: str | None = None
    """Makes the console's first admin, once, within the hour; None where there is one."""


class Gateway:
    """One gateway process.

    Args:
        settings: all of them.
        dialplans: those to begin with; their arms are in the settings.
        keys: of the arms, by name (:func:`bridge.app.arms.resolve_keys`).
        redis_url: where call state goes.
        rollout_secret: of the rollouts (:mod:`bridge.app.rollout_secret`), if there are any.

    Raises:
        ConfigError: an arm's model, voice or key can't be used.
    """

    def __init__(
        self,
        settings: Settings,
        dialplans: Dialplans,
        keys: Mapping[str, str | None],
        redis_url: str,
        clock: Clock,
        *,
        version: str,
        rollout_secret: bytes = b"",
    ) -> None:
        self.metrics = Metrics(version)
        self.metrics.watch_tasks(lambda: len(asyncio.all_tasks()))
        self.lag = LatencyWindow()
        self.phrases = Phrases()
        self.calls: dict[CallRunner, asyncio.Task[object]] = {}
        self._settings = settings
        self._models = load_models()
        self._arms = make_arms(
            settings.arms, keys, self._models, clock, self.metrics.upstream.rotated
        )
        self._clock = clock
        self._sunsets = Sunsets(
            self._arms, settings.arms, keys, self._models, clock, self.metrics.set_shutdown
        )
        self._plans = self._make_plans(dialplans)
        self._rollout_secret = rollout_secret
        # Secrets of dialplans that were replaced stay: calls go on that use them.
        self._tool_secrets = dict(dialplans.secrets)
        self._webhooks = WebhookClient(clock, self._tool_secrets)
        self._redis_url = redis_url
        self._endpoint = SipEndpoint(
            settings.sip,
            on_incoming=self._take_call,
            refusal=self._refusal,
            on_message=self._count_message,
            media_ports=settings.media.ports,
        )
        self.metrics.media.watch(
            lambda: self._endpoint.rows_in_use, lambda: self._endpoint.conference_ports
        )
        self._trunk_of = lru_cache(_ADDRESSES_KEPT)(settings.sip.trunk_of)
        self._intake = Intake(lambda: len(self._endpoint.legs))
        self._supervisors = SupervisorDesk(self.calls.keys)
        self._console = self._open_console()
        self._phone_door = PhoneDoor(self._supervisors.find, self._console)
        app = make_app(self._console, self.metrics, self.not_ready)
        self._http = HttpServer(settings.http, settings.console, app)
        self._node = self._http_url = ""
        self._store: CallStore | None = None
        self._services: Services | None = None
        self._control: ControlInbox | None = None
        self._rollouts: RolloutNode | None = None
        self._ticker: Ticker | None = None
        self._background: list[asyncio.Task[None]] = []

    @property
    def rollouts(self) -> Rollouts | None:
        """The flags in force here; None while the gateway is down, or where it has none."""
        return None if self._rollouts is None else self._rollouts.flags

    async def start(self, *, preflight: bool = True) -> Addresses:
        """Bring everything up; what had come up goes down again if something fails.

        Raises:
            ConfigError: an arm's key is refused.
            InfrastructureError: Redis, an arm, a port or the recordings' directory is not to be
                had.
        """
        try:
            return await self._start(preflight)
        except BaseException:
            await self.stop()
            raise

    async def _start(self, preflight: bool) -> Addresses:
        settings = self._settings
        _check_writable(settings.media.recordings_dir)
        wanted = settings.sip.max_calls
        most = measure_max_calls(settings.media) if wanted == "auto" else wanted
        self._endpoint.start()
        log.debug("pjsip_started", **dataclasses.asdict(self._endpoint.info))
        self._intake.limit = min(most, self._endpoint.info.call_limit)
        log.debug("calls_limited", limit=self._intake.limit, wanted=wanted, most=most)
        node = self._node = settings.node or _node_name(self._endpoint.port)
        store = CallStore(
            settings.redis, self._redis_url, node, clock=self._clock, on_lost=self._keep_lost
        )
        await store.open()
        self._store = store
        await self._open_rollouts(node)
        warn_of_dropped_fields(self._plans.routes)
        for arm in self._arms.values():
            for choice in arm.choices:
                await choice.credentials.open()
        if preflight:
            await check_arms_answer(self._arms, settings, self._clock)
        await self.phrases.render(self._plans.dialplans)
        append_ms = settings.media.append_ms_for(self._intake.limit)
        pump = Pump(
            self._endpoint.ports,
            self._clock,
            append_ms=append_ms,
            ahead_ms=settings.media.ahead_ms,
        )
        self._services = self._make_services(pump, store, append_ms)
        self._control = ControlInbox(
            settings.redis, self._redis_url, node, self._supervisors, clock=self._clock
        )
        await self._control.open()
        self._publish()
        self._report_node()
        period_ns = settings.media.tick_ms * NS_PER_MS
        self._ticker = Ticker(
            lambda: self._tick(pump),
            period_ms=settings.media.tick_ms,
            clock=self._clock,
            on_lag=self._on_lag,
            on_work=lambda took_ns: self.metrics.ticked(took_ns, period_ns),
        )
        self._http_url = _url_of(settings, await self._http.start())
        self._report_node()
        self._background = [
            asyncio.create_task(work, name=name) for name, work in self._chores(pump, store).items()
        ]
        self._ticker.start()
        return Addresses(
            sip=f"sip:{settings.sip.host}:{self._endpoint.port}",
            http=self._http_url,
            node=node,
            max_calls=self._intake.limit,
            admin_link=await self._invite_admin(self._http_url),
        )

    async def _open_rollouts(self, node: str) -> None:
        if self._settings.rollouts:
            self._rollouts = RolloutNode(
                self._settings,
                self._redis_url,
                self._rollout_secret,
                node,
                self._clock,
                self.metrics,
                lambda: Counter(runner.arm for runner in self.calls),
            )
            await self._rollouts.open()

    def _make_services(self, pump: Pump, store: CallStore, append_ms: int) -> Services:
        settings = self._settings
        return Services(
            clock=self._clock,
            endpoint=self._endpoint,
            pump=pump,
            store=store,
            phrases=self.phrases,
            metrics=self.metrics,
            session=settings.session,
            append_ms=append_ms,
            recordings_dir=settings.media.recordings_dir,
            now_wall_ms=lambda: self._clock.wall_ns() // NS_PER_MS,
            models=self._models,
            webhooks=self._webhooks,
            may_call=settings.sip.may_call,
        )

    def _chores(self, pump: Pump, store: CallStore) -> dict[str, Coroutine[object, object, None]]:
        """Return what is done all the time beside the tick, by the task's name."""
        settings = self._settings
        directory, prefix = settings.media.recordings_dir, settings.redis.prefix
        chores: dict[str, Coroutine[object, object, None]] = {
            "garbage": collect_garbage_in_loop(),
            "counts": self._counts(pump, store).keep_publishing(),
            "retention": keep_sweeping(directory, self._redis_url, prefix),
            "sunsets": self._sunsets.keep_asking(),
            "phones": self._phone_door.keep_looking(lambda: self.calls),
        }
        if settings.sip.trunk_probes:
            probed = self.metrics.sip.probed
            self.metrics.sip.expect_probes(settings.sip.trunk_probes)
            chores["trunk-probes"] = keep_probing(self._endpoint, settings.sip, probed)
        return chores

    async def _invite_admin(self, http: str) -> str | None:
        """Return the link for the console's first admin, and log it; None where there is one."""
        if self._console is None:
            return None
        # 0.0.0.0 is where we hear, not what a browser asks for.
        base = self._settings.console.public_url or http.replace("//0.0.0.0:", "//127.0.0.1:")
        link = await first_admin_link(self._console, base)
        if link is not None:
            log.warning("console_has_no_admin", open_once_within_the_hour=link)
        return link

    async def drain(self) -> None:
        """Take no new calls, and wait until the last one has ended or `drain_s` has passed."""
        self._intake.close(DRAINING)
        self._report_node()
        if not self.calls:
            return
        log.info("draining", calls=len(self.calls))
        await asyncio.wait(self.calls.values(), timeout=self._settings.drain_s)
        if self.calls:
            log.warning("drain_deadline_passed", calls=len(self.calls))

    async def stop(self) -> None:
        """End every call in order and take everything down; safe to call twice."""
        self._intake.close(SHUTTING_DOWN)
        for runner in list(self.calls):
            runner.shut_down()
        if self.calls:
            await asyncio.wait(self.calls.values(), timeout=self._settings.shutdown_grace_s)
        if self._ticker is not None:
            await self._endpoint.idle(_BYE_TIMEOUT_S)
            self._ticker.stop()
            self._ticker = None
        for arm in self._arms.values():
            for choice in arm.choices:
                await choice.credentials.aclose()
        await self._webhooks.aclose()
        control, self._control = self._control, None
        if control is not None:
            await control.aclose()
        await self._http.aclose()
        await self._phone_door.aclose()
        if self._console is not None:
            await self._console.aclose()
        rollouts, self._rollouts = self._rollouts, None
        if rollouts is not None:
            await rollouts.aclose()
        if self._store is not None:
            await self._store.aclose()
            self._store = None
        background, self._background = self._background, []
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        self._endpoint.stop()

    async def take_dialplans(self, dialplans: Dialplans) -> None:
        """Put other dialplans in force for new calls, once their phrases are rendered.

        Raises:
            ConfigError: an arm's model lacks a dialplan's voice; those in force stay.
        """
        plans = self._make_plans(dialplans)
        await self.phrases.render(plans.dialplans)
        warn_of_dropped_fields(plans.routes)
        self._tool_secrets.update(dialplans.secrets)
        self._plans = plans
        self.phrases.keep_only(plans.dialplans)
        self._publish_dialplans()

    def not_ready(self) -> Sequence[str]:
        """Return why this gateway should get no calls."""
        closed = self._intake.closed()
        reasons = [] if closed is None else [closed.told]
        if self._store is None or not self._store.stats.connected:
            reasons.append("Redis is away")
        return reasons

    def _refusal(self, method: str) -> str | None:
        """Tell the door. Redis being away is no reason: calls don't need it, all nodes share it."""
        closed = self._intake.closed()
        if closed is None:
            return None
        if method == "INVITE":
            self.metrics.calls.refused(
                outcome=Outcome.REJECTED_BUSY, reason=closed.label, fault=Fault.BRIDGE
            )
            log.warning("call_refused", reason=closed.label)
        return closed.phrase

    def _count_message(self, message: SipMessage, sent: bool) -> None:
        direction = Direction.OUT if sent else Direction.IN
        trunk = self._trunk_of(message.far_end)
        if message.code:
            self.metrics.sip.response(direction, message.method, message.code, trunk=trunk)
        else:
            self.metrics.sip.request(direction, message.method, trunk=trunk)

    def _open_console(self) -> ConsoleServices | None:
        settings = self._settings
        if not settings.console.enabled:
            return None
        sources = Sources(
            recordings_dir=settings.media.recordings_dir,
            replays_dir=settings.console.replays_dir,
            scripts_dir=settings.console.scripts_dir,
            rollouts=settings.rollouts,
            dialplans=lambda: self._plans.dialplans,
            node=lambda: self._node,
        )
        return open_services(
            settings.console,
            settings.redis,
            self._redis_url,
            self._clock,
            sources,
            count_audit_failure=self.metrics.store.audit_failed,
            local=self._supervisors,
        )

    def _report_node(self) -> None:
        if self._store is not None:
            self._store.report_node(
                capacity=self._intake.limit,
                draining=self._intake.draining,
                http=self._settings.http.node_url or self._http_url,
                sip=_sip_address(self._settings, self._endpoint.port),
            )

    async def _keep_lost(self, lost: History) -> None:
        """Write the record of a call that a dead node has left."""
        directory = self._settings.media.recordings_dir
        try:
            async with asyncio.timeout(DISK_WITHIN_S):
                await asyncio.to_thread(write_lost, lost, directory)
        except OSError as error:  # TimeoutError is one
            log.error("record_not_written", directory=str(directory), error=str(error))

    def _counts(self, pump: Pump, store: CallStore) -> Counts:
        ping_interval_s = self._settings.session.ping_interval_s
        return Counts(self.metrics, pump, store, self.calls.keys(), ping_interval_s=ping_interval_s)

    def _take_call(self, leg: Leg) -> None:
        if self._phone_door.takes(leg):
            self._phone_door.take(leg)
            return
        call = describe(leg, self._settings, self._clock)
        services = self._services
        route = None if services is None else self._plans.route(call, self.calls, self.rollouts)
        if route is None or services is None:
            self._refuse(leg, NO_ROUTE)
            return
        limits = route.dialplan.limits
        if route.mode is Mode.FULL and limits.busy is None:
            self._refuse(leg, LINE_FULL, {"Retry-After": str(limits.retry_after_s)})
            return
        runner = CallRunner(leg, route, services)
        task = asyncio.get_running_loop().create_task(runner.run(), name=f"call-{leg.call_id}")
        self.calls[runner] = task
        task.add_done_callback(lambda done: self._call_over(runner, done))

    def _refuse(self, leg: Leg, refusal: Refused, headers: Mapping[str, str] | None = None) -> None:
        self.metrics.calls.refused(
            outcome=refusal.outcome, reason=refusal.reason, fault=refusal.fault
        )
        log.warning("call_refused", reason=refusal.reason)
        leg.reject(refusal.sip_code, refusal.phrase, headers)

    def _make_plans(self, dialplans: Dialplans) -> Plans:
        today = today_of(self._clock)
        return Plans(dialplans, self._arms, self._settings, self._models, today)

    def _call_over(self, runner: CallRunner, task: asyncio.Task[object]) -> None:
        del self.calls[runner]
        runner.let_go()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("call_task_failed", call_id=runner.record.summary.call_id, exc_info=error)

    def _tick(self, pump: Pump) -> None:
        try:
            self._endpoint.poll()
            pump.tick()
        except Exception:
            log.exception("tick_failed")  # the next call's audio must not stop for this one's

    def _on_lag(self, lag_ns: int) -> None:
        self.lag.add(lag_ns)
        self.metrics.loop_lag(lag_ns)

    def _publish(self) -> None:
        for name, arm in self._arms.items():
            for choice in arm.choices:
                endpoint, dialect = choice.endpoint, arm.dialect.name
                model = self._models.find(endpoint.model)
                self.metrics.set_arm(
                    name,
                    dialect=dialect,
                    url=endpoint.url,
                    model=endpoint.model,
                    shutdown=None if model is None else model.shutdown,
                )
        self._publish_dialplans()
        self.metrics.calls.set_limit(self._intake.limit)

    def _publish_dialplans(self) -> None:
        for dialplan in self._plans.dialplans:
            if dialplan.consent.disclosure is not None:
                self.metrics.calls.expect_prompts(route=dialplan.name)
        self.metrics.config_loaded(self._clock.wall_ns())


def _check_writable(directory: Path) -> None:
    """Make the recordings' directory; a call must not be the first to find that it can't be."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            return
    except OSError as error:
        raise InfrastructureError(
            f"recordings cannot be written to {directory}: {error.strerror}",
            remedy="set BRIDGE_MEDIA_RECORDINGS_DIR (media.recordings_dir) to a directory that can",
        ) from error


def _url_of(settings: Settings, port: int) -> str:
    scheme = "https" if settings.console.tls else "http"
    return f"{scheme}://{settings.http.host}:{port}"


def _sip_address(settings: Settings, port: int) -> str:
    """Return where phones reach us; 0.0.0.0 is where we hear, and no address."""
    host = settings.sip.public_address or settings.sip.host
    return "" if host == "0.0.0.0" else f"{host}:{port}"


def _node_name(sip_port: int) -> str:
    host = re.sub(r"[^a-z0-9_-]", "-", socket.gethostname().lower()).strip("-_")
    return f"{host or 'node'}-{sip_port}"
