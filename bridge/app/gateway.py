"""The gateway: everything wired together, from the SIP port to Redis, in one loop.

Start order: SIP, Redis, arms, HTTP. Drained, it takes no new calls and waits for those that go on.
Stop order: no new calls, every call ends in order (BYE, session closed, Redis updated), then HTTP,
Redis and PJSIP go.
"""

import asyncio
import dataclasses
import os
from collections import Counter
from collections.abc import Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from types import MappingProxyType

import structlog

from bridge.app.archiving import Archiving
from bridge.app.console import SupervisorDesk, invite_admin, open_console
from bridge.app.dialplans.arms import make_arms, publish_arms
from bridge.app.dialplans.in_force import DialplansInForce
from bridge.app.dialplans.plans import Dialplans
from bridge.app.door.intake import (
    DRAINING,
    NO_AUDIO,
    NO_DESCRIPTORS,
    SHUTTING_DOWN,
    Intake,
    IntakeClosed,
)
from bridge.app.door.phones import PhoneDoor
from bridge.app.door.reception import Reception
from bridge.app.loop import collect_garbage_in_loop, make_ticker
from bridge.app.lost_calls import LostCalls
from bridge.app.retention import keep_sweeping
from bridge.app.rollouts.in_force import Rollouts
from bridge.app.rollouts.node import RolloutNode
from bridge.app.start.addresses import (
    Addresses,
    http_url,
    node_name,
    sip_address,
    warn_of_demo_pjsip,
    warn_of_open_http,
    warn_of_open_keys,
    warn_of_strangers,
)
from bridge.app.start.capacity import calls_within_limit, measure_max_calls
from bridge.app.start.preflight import check_arms_answer, check_writable
from bridge.app.start.traces import close_tracing, open_tracing
from bridge.app.watches.clocks import AudioWatch
from bridge.app.watches.counting import Counts, message_counter
from bridge.app.watches.ends import ConsoleCertificate, Sunsets
from bridge.app.watches.probes import Directories, keep_probing
from bridge.app.watches.registrations import Registrations
from bridge.app.watches.sip_certificate import SipCertificate
from bridge.app.watches.sip_messages import keep_writing_sip, write_sip
from bridge.app.watches.troubles import Troubles
from bridge.app.watches.turned_away import (
    not_placed_counter,
    stray_packet_counter,
    turned_away_counter,
)
from bridge.clock import NS_PER_MS, NS_PER_S, Clock
from bridge.config.console import ConsoleSettings
from bridge.config.models import load_models
from bridge.config.rtp_ports import calls_of
from bridge.config.settings import HttpSettings, Settings
from bridge.config.sip import SipSettings
from bridge.console.app import make_app
from bridge.console.server import HttpServer
from bridge.descriptors import none_left
from bridge.live.records.keeper import RecordKeeper
from bridge.live.services import Services
from bridge.session.access_reader import AccessReader
from bridge.sip.addresses import host_and_port
from bridge.store.calls import CallStore
from bridge.store.control import ControlInbox
from bridge.telemetry.metrics import Metrics
from bridge.telephony.accounts import AccountChange
from bridge.telephony.endpoint import SipEndpoint
from bridge.telephony.leg import Leg
from bridge.telephony.pump import Pump
from bridge.telephony.recorder import StopReason
from bridge.telephony.sip_traces import SipTraces
from bridge.telephony.tick import Ticker
from bridge.tools.webhook import WebhookClient

log = structlog.get_logger(__name__)

_BYE_TIMEOUT_S = 2.0


class Gateway:
    """The gateway process: serves SIP, calls, records and HTTP from its start to its end.

    Args:
        settings: all of them.
        dialplans: those to begin with; their arms are in the settings.
        access: to the arms' services, by name (:func:`bridge.session.access_reader.read_access`).
        redis_url: where call state goes.
        rollout_secret: of the rollouts (:mod:`bridge.app.rollouts.secret`), if there are any.
        trunk_secrets: by trunk (:func:`bridge.config.loading.resolve_trunk_secrets`).
        is_worker: one of several behind a supervisor on this machine, which alone is asked by
            browsers: it shows the certificate, and invites the console's first admin.

    Raises:
        ConfigError: an arm's model or voice can't be used.
    """

    def __init__(
        self,
        settings: Settings,
        dialplans: Dialplans,
        access: Mapping[str, AccessReader],
        redis_url: str,
        clock: Clock,
        *,
        version: str,
        rollout_secret: bytes = b"",
        trunk_secrets: Mapping[str, str] = MappingProxyType({}),
        is_worker: bool = False,
    ) -> None:
        self._is_worker = is_worker
        self.metrics = Metrics(version)
        self.metrics.watch_tasks(lambda: len(asyncio.all_tasks()))
        self._troubles = Troubles()
        self._settings = settings
        self._models = load_models()
        self._arms = make_arms(
            settings.arms, access, self._models, clock, self.metrics.upstream.rotated
        )
        self._clock = clock
        self._sunsets = Sunsets(
            self._arms,
            settings.realtime_arms,
            access,
            self._models,
            clock,
            self.metrics.set_shutdown,
        )
        self._dialplans = DialplansInForce(
            dialplans, settings, self._arms, self._models, clock, self.metrics
        )
        self.phrases = self._dialplans.phrases
        self._rollout_secret = rollout_secret
        self._webhooks = WebhookClient(clock, self._dialplans.secrets)
        self._tracing = open_tracing(
            settings.tracing, clock, version, self.metrics.node.count_spans, os.environ
        )
        self._redis_url = redis_url
        self._audio = AudioWatch(lambda: self.calls, self.metrics.media, self._troubles)
        self._intake = Intake(lambda: len(self._endpoint.legs), self._unable)
        self._reception = Reception(
            lambda: self._endpoint.sip.settings,
            lambda: settings.now or datetime.fromtimestamp(clock.wall_ns() / NS_PER_S, UTC),
            self._intake,
            self._dialplans,
            lambda: self.rollouts,
            self.metrics.calls,
        )
        self.calls = self._reception.calls
        self._endpoint = self._make_endpoint(trunk_secrets)
        self._registrations = Registrations(self._endpoint, clock, self.metrics.sip, self._troubles)
        self._supervisors = SupervisorDesk(
            self.calls.keys, settings.media.recordings_dir, self._endpoint.traces
        )
        self._console = open_console(
            settings,
            redis_url,
            clock,
            lambda: self._dialplans.plans.dialplans,
            self._supervisors,
            lambda: self._node,
            self.metrics.store.audit_failed,
        )
        self._phone_door = PhoneDoor(self._supervisors.find, self._console)
        # A certificate names what browsers ask for, and a worker is asked by its address.
        self._http_console = ConsoleSettings() if is_worker else settings.console
        self._http, self._probes = self._make_servers()
        self._node = self._http_url = ""
        self._store: CallStore | None = None
        self._control: ControlInbox | None = None
        self._records: RecordKeeper | None = None
        self._rollouts: RolloutNode | None = None
        self._ticker: Ticker | None = None
        self._background: list[asyncio.Task[None]] = []
        self._lost_calls = LostCalls(
            settings, self._endpoint.end_left_call, lambda: self.rollouts, lambda: self._records
        )

    def _make_servers(self) -> tuple[HttpServer, HttpServer | None]:
        """Return the HTTP server of the console, and that of the probes where they have one."""
        http, console = self._settings.http, self._http_console
        apart = http.probes_port is not None
        make = partial(
            make_app,
            metrics=self.metrics,
            ready=self.not_ready,
            troubles=lambda: self._troubles.words,
        )
        app = make(self._console, shows_metrics=not apart)
        server = HttpServer(http, console, app)
        if http.probes_port is None:
            return server, None
        place = HttpSettings(host=http.probes_host, port=http.probes_port)
        return server, HttpServer(place, ConsoleSettings(), make(None))

    def _make_endpoint(self, trunk_secrets: Mapping[str, str]) -> SipEndpoint:
        settings, metrics = self._settings, self.metrics

        def trunk_of(host: str) -> str:
            return endpoint.sip.trunk_of(host)

        endpoint = SipEndpoint(
            settings.sip,
            on_incoming=self._take_call,
            refusal=self._reception.refusal,
            on_message=message_counter(trunk_of, metrics.sip),
            on_turned_away=turned_away_counter(trunk_of, metrics.sip),
            on_not_placed=not_placed_counter(metrics.sip),
            on_stray_packets=stray_packet_counter(trunk_of, metrics.sip),
            trunk_secrets=trunk_secrets,
            media_ports=settings.media.ports,
            traces=SipTraces(settings.sip.messages.compile(), self._clock),
        )
        metrics.media.expect_stops(StopReason)
        metrics.media.watch(lambda: endpoint.rows_in_use, lambda: endpoint.conference_ports)
        return endpoint

    @property
    def rollouts(self) -> Rollouts | None:
        """The flags in force here; None while the gateway is down, or where it has none."""
        return None if self._rollouts is None else self._rollouts.flags

    async def start(self, *, preflight: bool = True) -> Addresses:
        """Bring everything up; what had come up goes down again if something fails.

        Args:
            preflight: open a session on each arm first.

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
        check_writable(self._settings.media.recordings_dir)
        self._start_sip()
        await self._open_rollouts()  # first: its former life's calls count in them
        store, records = await self._open_store()
        await self._open_arms(preflight)
        await self._dialplans.render()
        pump = self._open_media(store, records)
        await self._open_control()
        self._publish()
        self._report_node()
        tick_ms = self._settings.media.tick_ms
        self._ticker = make_ticker(
            self._endpoint, pump, tick_ms, self._clock, self.metrics, self.calls.keys
        )
        self._http_url = http_url(self._settings.http, self._http_console, await self._http.start())
        probes_url = self._http_url
        if self._probes is not None:
            probes_port = await self._probes.start()
            probes_url = f"http://{host_and_port(self._settings.http.probes_host, probes_port)}"
        warn_of_open_http(self._settings)
        warn_of_strangers(self._settings.sip)
        warn_of_open_keys(self._settings.sip)
        warn_of_demo_pjsip(self._settings.sip, self._endpoint.info.version)
        self._report_node()
        self._background = [
            asyncio.create_task(work, name=name)
            for name, work in self._chores(pump, store, records).items()
        ]
        self._ticker.start()
        self._registrations.start()
        admin_link = None
        if self._console is not None and not self._is_worker:
            admin_link = await invite_admin(self._console, self._settings, self._http_url)
        tls, host = self._endpoint.tls, self._settings.sip.host
        return Addresses(
            sip=f"sip:{host_and_port(host, self._endpoint.port)}",
            sip_tls=None if tls is None else f"sip:{host_and_port(host, tls.port)};transport=tls",
            http=self._http_url,
            probes=probes_url,
            node=self._node,
            max_calls=self._intake.limit,
            admin_link=admin_link,
        )

    def _start_sip(self) -> None:
        settings = self._settings
        wanted = most = settings.sip.max_calls
        if most == "auto":
            most = measure_max_calls(settings.media, settings.sip.audio_hz)
        self._endpoint.start()
        log.debug("pjsip_started", **dataclasses.asdict(self._endpoint.info))
        room = calls_of(settings.sip.rtp_ports)
        promised = min(most, self._endpoint.info.call_limit, most if room is None else room)
        self._intake.limit = calls_within_limit(promised)
        self.metrics.node.set_promised(promised)
        if self._intake.limit < promised:
            words = f"{self._intake.limit} calls of {promised}: too few file descriptors"
            self._troubles.put("descriptors", words)
        log.debug("calls_limited", limit=self._intake.limit, wanted=wanted, most=most)
        self._node = settings.node or node_name(self._endpoint.port)

    async def _open_store(self) -> tuple[CallStore, RecordKeeper]:
        store = CallStore(
            self._settings.redis,
            self._redis_url,
            self._node,
            clock=self._clock,
            on_lost=self._lost_calls.take,
            troubles=lambda: self._troubles.words,
        )
        directory = self._settings.media.recordings_dir
        records = self._records = RecordKeeper(directory, store.records, self.metrics.store)
        await store.open()
        self._store = store
        return store, records

    async def _open_rollouts(self) -> None:
        if self._settings.rollouts:
            self._rollouts = RolloutNode(
                self._settings,
                self._redis_url,
                self._rollout_secret,
                self._node,
                self._clock,
                self.metrics,
                lambda: Counter(runner.arm for runner in self._reception.going_on),
            )
            await self._rollouts.open()

    async def _open_arms(self, preflight: bool) -> None:
        self._dialplans.warn()
        for arm in self._arms.values():
            for choice in arm.choices:
                await choice.credentials.open()
        if preflight:
            await check_arms_answer(self._arms, self._settings, self._clock)

    def _open_media(self, store: CallStore, records: RecordKeeper) -> Pump:
        """Have the pump move audio, and calls taken."""
        media = self._settings.media
        append_ms = media.append_ms_for(self._intake.limit)
        pump = Pump(self._endpoint.ports, self._clock, append_ms=append_ms, ahead_ms=media.ahead_ms)
        self._reception.services = self._make_services(pump, store, records, append_ms)
        return pump

    async def _open_control(self) -> None:
        self._control = ControlInbox(
            self._settings.redis,
            self._redis_url,
            self._node,
            self._supervisors,
            clock=self._clock,
        )
        await self._control.open()

    def _make_services(
        self, pump: Pump, store: CallStore, records: RecordKeeper, append_ms: int
    ) -> Services:
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
            records=records,
            now_wall_ms=self._now_wall_ms,
            models=self._models,
            webhooks=self._webhooks,
            may_call=settings.sip.may_call,
            may_transfer=settings.sip.may_transfer,
            tracing=self._tracing,
        )

    def _chores(
        self, pump: Pump, store: CallStore, records: RecordKeeper
    ) -> dict[str, Coroutine[object, object, None]]:
        """Return what is done all the time beside the tick, by the task's name."""
        settings = self._settings
        directory, prefix = settings.media.recordings_dir, settings.redis.prefix
        chores: dict[str, Coroutine[object, object, None]] = {
            "garbage": collect_garbage_in_loop(),
            "counts": self._counts(pump, store).keep_publishing(),
            "retention": keep_sweeping(directory, self._redis_url, prefix),
            "sunsets": self._sunsets.keep_asking(),
            "records": records.keep_trying(),
            "sip-messages": keep_writing_sip(self._endpoint.traces, directory),
            "phones": self._phone_door.keep_looking(lambda: self.calls),
            "directories": self._directories().keep_looking(),
            "certificate": self._certificate().keep_looking(),
        }
        if settings.sip.tls is not None:
            chores["sip-certificate"] = SipCertificate(
                self._endpoint,
                settings.sip.tls,
                self._clock,
                self.metrics.node,
                self._troubles,
            ).keep_looking()
        if settings.recordings.recipients_file is not None:
            chores["archive"] = Archiving(
                settings.recordings, directory, self.metrics.archive, self._troubles
            ).keep_running()
        self.metrics.sip.expect_probes(settings.sip.trunk_probes)
        chores["trunk-probes"] = keep_probing(self._endpoint, self.metrics.sip.probed)
        return chores

    async def drain(self) -> None:
        """Take no new calls, and wait until the last one has ended or `drain_s` has passed."""
        self._intake.close(DRAINING)
        self._report_node()
        await self._registrations.end()
        if not self.calls:
            return
        log.info("draining", calls=len(self.calls))
        await self._reception.until_empty(self._settings.drain_s)
        if self.calls:
            log.warning("drain_deadline_passed", calls=len(self.calls))

    async def stop(self) -> None:
        """End every call in order and take everything down; safe to call twice."""
        self._intake.close(SHUTTING_DOWN)
        self._reception.shut_down()
        await self._registrations.end()
        await self._reception.until_empty(self._settings.shutdown_grace_s)
        if self._ticker is not None:
            await self._endpoint.idle(_BYE_TIMEOUT_S)
            self._ticker.stop()
            self._ticker = None
        for arm in self._arms.values():
            for choice in arm.choices:
                await choice.credentials.aclose()
        await self._webhooks.aclose()
        await close_tracing(self._tracing)
        control, self._control = self._control, None
        if control is not None:
            await control.aclose()
        for server in (self._http, self._probes):
            if server is not None:
                await server.aclose()
        await self._phone_door.aclose()
        if self._console is not None:
            await self._console.aclose()
        rollouts, self._rollouts = self._rollouts, None
        if rollouts is not None:
            await rollouts.aclose()
        if self._store is not None:
            if self._records is not None:
                await self._records.aclose()
            await self._store.aclose()
            self._store = None
        await self._lost_calls.aclose()
        # Before the chores end: without the one that collects garbage in this thread, a collection
        # starts wherever Python runs, and PJSIP's clock runs it until PJSIP is down.
        self._endpoint.stop()
        left = self._endpoint.traces.take_ended(at_once=True)
        await write_sip(left, self._settings.media.recordings_dir)
        background, self._background = self._background, []
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)

    def prepare_trunks(self, sip: SipSettings, secrets: Mapping[str, str]) -> AccountChange:
        """Make ready for other trunks; nothing of them is in force yet.

        Raises:
            InfrastructureError: the loaded PJSIP can't do what they want.
            TelephonyError: PJSIP has no room for them, or refuses one.
        """
        return self._endpoint.prepare_trunks(sip, secrets)

    async def take_trunks(self, change: AccountChange) -> None:
        """Put prepared trunks in force for new calls; registrations that are gone are taken back.

        Where a registration changes, the node is not registered for as long as that takes.
        """
        await self._registrations.leave(change.left)
        self._endpoint.change_trunks(change)
        self._registrations.take()
        self.metrics.sip.expect_probes(change.settings.trunk_probes)
        warn_of_open_keys(change.settings)

    async def take_dialplans(self, dialplans: Dialplans) -> None:
        """Put other dialplans in force for new calls, once their phrases are rendered.

        Raises:
            ConfigError: an arm's model lacks a dialplan's voice; those in force stay.
        """
        await self._dialplans.replace(dialplans)

    def _unable(self) -> IntakeClosed | None:
        """Return why this process could hold no call just now."""
        if self._audio.stopped:
            return NO_AUDIO
        return NO_DESCRIPTORS if none_left() else None

    def not_ready(self) -> Sequence[str]:
        """Return why this gateway should get no calls."""
        closed = self._intake.closed()
        reasons = [] if closed is None else [closed.reason]
        if self._store is None:
            reasons.append("Redis is away")
        elif (trouble := self._store.stats.trouble) and not self._settings.redis.ready_without:
            reasons.append(f"Redis is away: {trouble}")
        reasons.extend(self._registrations.missing())
        return reasons

    def _now_wall_ms(self) -> int:
        return self._clock.wall_ns() // NS_PER_MS

    def _directories(self) -> Directories:
        paths = {
            "recordings": self._settings.media.recordings_dir,
            "state": self._settings.state_dir,
        }
        return Directories(paths, self.metrics.node, self._troubles)

    def _certificate(self) -> ConsoleCertificate:
        path = self._settings.console.tls_cert_file
        return ConsoleCertificate(path, self._clock, self.metrics.node, self._troubles)

    def _report_node(self) -> None:
        if self._store is not None:
            self._store.report_node(
                capacity=self._intake.limit,
                draining=self._intake.draining,
                http=self._settings.http.node_url or self._http_url,
                sip=sip_address(self._settings, self._endpoint.port),
            )

    def _counts(self, pump: Pump, store: CallStore) -> Counts:
        ping_interval_s = self._settings.session.ping_interval_s
        return Counts(
            self.metrics,
            pump,
            store,
            self._clock,
            self._troubles,
            self._audio,
            self.calls.keys(),
            ping_interval_s=ping_interval_s,
        )

    def _take_call(self, leg: Leg) -> None:
        if self._phone_door.takes(leg):
            self._phone_door.take(leg)
        else:
            self._reception.take(leg)

    def _publish(self) -> None:
        publish_arms(self._arms, self._models, self.metrics)
        self._dialplans.publish()
        self.metrics.calls.set_limit(self._intake.limit)
