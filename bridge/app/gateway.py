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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from bridge.app.arms import make_arms, make_route, today_of, warn_of_dropped_fields
from bridge.app.capacity import measure_max_calls
from bridge.app.counting import Counts
from bridge.app.garbage import collect_garbage_in_loop
from bridge.app.intake import DRAINING, SHUTTING_DOWN, Intake
from bridge.app.preflight import check_arms_answer
from bridge.clock import NS_PER_MS, Clock
from bridge.config.models import load_models
from bridge.config.settings import Settings
from bridge.console.http import HttpServer
from bridge.errors import Fault, InfrastructureError, Outcome
from bridge.live.call import DISK_WITHIN_S, CallRunner
from bridge.live.lost import write_lost
from bridge.live.phrases import Phrases
from bridge.live.services import Services
from bridge.routing.matching import match
from bridge.routing.models import Dialplan
from bridge.routing.verstat import read_verstat
from bridge.store.calls import CallStore
from bridge.store.reader import History
from bridge.telemetry.latency import LatencyWindow
from bridge.telemetry.metrics import Metrics
from bridge.telephony.endpoint import SipEndpoint
from bridge.telephony.leg import Leg
from bridge.telephony.pump import Pump
from bridge.telephony.tick import Ticker
from bridge.tools.webhook import WebhookClient

log = structlog.get_logger(__name__)

_BYE_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a started gateway is to be found."""

    sip: str
    http: str
    node: str
    max_calls: int


class Gateway:
    """One gateway process.

    Args:
        settings: all of them.
        dialplans: in matching order; their arms are in the settings.
        keys: of the arms, by name (:func:`bridge.app.arms.resolve_keys`).
        tool_secrets: environment variables of the tools (:func:`resolve_tool_secrets` there).
        redis_url: where call state goes.

    Raises:
        ConfigError: an arm's model, voice or key can't be used.
    """

    def __init__(
        self,
        settings: Settings,
        dialplans: Sequence[Dialplan],
        keys: Mapping[str, str | None],
        tool_secrets: Mapping[str, str],
        redis_url: str,
        clock: Clock,
        *,
        version: str,
    ) -> None:
        self.metrics = Metrics(version)
        self.metrics.watch_tasks(lambda: len(asyncio.all_tasks()))
        self.lag = LatencyWindow()
        self.phrases = Phrases()
        self.calls: dict[CallRunner, asyncio.Task[object]] = {}
        self._settings = settings
        self._dialplans = dialplans
        self._models = table = load_models()
        self._arms = make_arms(settings.arms, keys, table, clock, self.metrics.upstream.rotated)
        self._routes = {
            dialplan.name: make_route(
                dialplan,
                self._arms[dialplan.arm],
                settings.arms[dialplan.arm],
                table,
                today_of(clock),
                tool_secrets,
            )
            for dialplan in dialplans
        }
        self._webhooks = WebhookClient(clock, tool_secrets)
        self._redis_url = redis_url
        self._clock = clock
        self._endpoint = SipEndpoint(
            settings.sip,
            on_incoming=self._take_call,
            refusal=self._refusal,
            media_ports=settings.media.ports,
        )
        self.metrics.media.watch(
            lambda: self._endpoint.rows_in_use, lambda: self._endpoint.conference_ports
        )
        self._intake = Intake(lambda: len(self._endpoint.legs))
        self._http = HttpServer(settings.http, self.metrics, self.not_ready)
        self._store: CallStore | None = None
        self._services: Services | None = None
        self._ticker: Ticker | None = None
        self._background: list[asyncio.Task[None]] = []

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
        node = settings.node or _node_name(self._endpoint.port)
        store = CallStore(
            settings.redis, self._redis_url, node, clock=self._clock, on_lost=self._keep_lost
        )
        await store.open()
        self._store = store
        warn_of_dropped_fields(list(self._routes.values()))
        for arm in self._arms.values():
            for choice in arm.choices:
                await choice.credentials.open()
        if preflight:
            await check_arms_answer(self._arms, settings.arms, settings.session, self._clock)
        await self.phrases.render(self._dialplans)
        pump = Pump(
            self._endpoint.ports,
            self._clock,
            append_ms=settings.media.append_ms,
            ahead_ms=settings.media.ahead_ms,
        )
        self._services = Services(
            clock=self._clock,
            endpoint=self._endpoint,
            pump=pump,
            store=store,
            phrases=self.phrases,
            metrics=self.metrics,
            session=settings.session,
            append_ms=settings.media.append_ms,
            recordings_dir=settings.media.recordings_dir,
            now_wall_ms=lambda: self._clock.wall_ns() // NS_PER_MS,
            models=self._models,
            webhooks=self._webhooks,
        )
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
        http_port = await self._http.start()
        self._background = [
            asyncio.create_task(collect_garbage_in_loop(), name="garbage"),
            asyncio.create_task(self._counts(pump, store).keep_publishing(), name="counts"),
        ]
        self._ticker.start()
        return Addresses(
            sip=f"sip:{settings.sip.host}:{self._endpoint.port}",
            http=f"http://{settings.http.host}:{http_port}",
            node=node,
            max_calls=self._intake.limit,
        )

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
        await self._http.aclose()
        if self._store is not None:
            await self._store.aclose()
            self._store = None
        background, self._background = self._background, []
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        self._endpoint.stop()

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

    def _report_node(self) -> None:
        if self._store is not None:
            self._store.report_node(capacity=self._intake.limit, draining=self._intake.draining)

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
        dialplan = match(self._dialplans, leg.called)
        if dialplan is None or self._services is None:
            self.metrics.calls.refused(
                outcome=Outcome.REJECTED_NO_ROUTE, reason="no_route", fault=Fault.CONFIG
            )
            log.warning("call_refused", reason="no_route")
            leg.reject(404, "No Dialplan")
            return
        route = dataclasses.replace(self._routes[dialplan.name], verstat=read_verstat(leg.headers))
        runner = CallRunner(leg, route, self._services)
        task = asyncio.get_running_loop().create_task(runner.run(), name=f"call-{leg.call_id}")
        self.calls[runner] = task
        task.add_done_callback(lambda done: self._call_over(runner, done))

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
                self.metrics.set_arm(name, dialect=dialect, url=endpoint.url, model=endpoint.model)
        self.metrics.config_loaded(self._clock.wall_ns())
        self.metrics.calls.set_limit(self._intake.limit)


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


def _node_name(sip_port: int) -> str:
    host = re.sub(r"[^a-z0-9_-]", "-", socket.gethostname().lower()).strip("-_")
    return f"{host or 'node'}-{sip_port}"
