"""Keeps the registrations with trunks up, and takes them back when the node leaves.

:mod:`bridge.sip.registration` decides when; PJSIP sends the REGISTER and answers its challenges.
"""

import asyncio
import random
import socket
from collections.abc import Collection, Sequence

import structlog

from bridge.app.watches.troubles import Troubles
from bridge.clock import Clock
from bridge.config.trunks import Trunk
from bridge.sip.addresses import Uri
from bridge.sip.registration import NO_ANSWER, RegisterAnswer, Registration, RegistrationState
from bridge.telemetry.metrics.sip import SipMetrics
from bridge.telephony.accounts import CHALLENGES, log_refused
from bridge.telephony.endpoint import SipEndpoint

log = structlog.get_logger(__name__)

_RESOLVE_WITHIN_S = 5.0
_UNREGISTER_WITHIN_S = 2.0
_CHECK_EVERY_S = 1.0
"""A binding whose refreshes fail ends between two answers."""


class Registrations:
    """The registrations of one node.

    Args:
        endpoint: registers; its settings in force say where.
        metrics, troubles: where to publish how each stands.
    """

    def __init__(
        self,
        endpoint: SipEndpoint,
        clock: Clock,
        metrics: SipMetrics,
        troubles: Troubles,
    ) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._metrics = metrics
        self._troubles = troubles
        self._trunks: dict[str, Trunk] = {}
        self._kept: dict[str, Registration] = {}
        self._registered: set[str] = set()
        self._asked: set[str] = set()
        """Trunks to which a REGISTER has gone: their names have addresses that PJSIP knows."""
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._publishing: asyncio.Task[None] | None = None
        self._learn_trunks()

    def start(self) -> None:
        """Register everywhere, and keep it up."""
        self._publishing = asyncio.create_task(self._keep_publishing(), name="registrations")
        self.take()

    def take(self) -> None:
        """Register with those of the trunks in force that are new; not before the start."""
        self._learn_trunks()
        if self._publishing is not None:
            for name in self._trunks.keys() - self._tasks.keys():
                keeping = self._keep(name, self._trunks[name])
                self._tasks[name] = asyncio.create_task(keeping, name=f"reg-{name}")

    async def leave(self, names: Collection[str]) -> None:
        """Take registrations back; a registrar that does not answer is not waited for long."""
        for name in await self._take_all_back(names):
            del self._trunks[name], self._kept[name]

    async def end(self) -> None:
        """Take all registrations back, for good."""
        publishing, self._publishing = self._publishing, None
        if publishing is not None:
            publishing.cancel()
            await asyncio.gather(publishing, return_exceptions=True)
            await self._take_all_back(list(self._tasks))

    async def _take_all_back(self, names: Collection[str]) -> Collection[str]:
        """Take those back that are kept up; return their names."""
        kept_up = self._tasks.keys() & set(names)
        tasks = [self._tasks.pop(name) for name in kept_up]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*map(self._take_back, kept_up))
        return kept_up

    def _learn_trunks(self) -> None:
        for name, trunk in self._endpoint.sip.settings.trunks.items():
            if trunk.registration is not None:
                self._trunks[name] = trunk
                self._kept.setdefault(name, Registration(trunk.registration.expires_s))

    def missing(self) -> Sequence[str]:
        """Return why this node should get no calls: registrations that it needs and lacks."""
        return [
            f"not registered with {name}"
            for name, trunk in self._trunks.items()
            if trunk.registration is not None
            and trunk.registration.needed_for_ready
            and self._state(name) is not RegistrationState.REGISTERED
        ]

    def _state(self, name: str) -> RegistrationState:
        return self._kept[name].state(self._clock.now_ns())

    async def _keep(self, name: str, trunk: Trunk) -> None:
        while True:
            answer = await self._register(name, trunk)
            delay_s = self._kept[name].answered(answer, self._clock.now_ns(), random.random())
            self._metrics.register_answered(name, str(answer.code))
            self._publish(name)
            if answer.code in CHALLENGES:
                log_refused(name, answer.code, "REGISTER")
            elif not answer.is_granted:
                log.warning(
                    "trunk_not_registered",
                    trunk=name,
                    sip_code=answer.code,
                    again_in_s=round(delay_s, 1),
                )
            await asyncio.sleep(delay_s)

    async def _register(self, name: str, trunk: Trunk) -> RegisterAnswer:
        if not await _is_resolved(trunk):
            return RegisterAnswer(NO_ANSWER)
        self._asked.add(name)
        return await self._endpoint.register(name, renew=True)

    async def _take_back(self, name: str) -> None:
        # A REGISTER that waits for its answer leaves a binding, too: calls would go on coming to
        # a node that is gone, or beneath the next registration with the same registrar.
        if name in self._asked:
            self._asked.remove(name)
            try:
                async with asyncio.timeout(_UNREGISTER_WITHIN_S):
                    answer = await self._endpoint.register(name, renew=False)
                self._metrics.register_answered(name, str(answer.code))
            except TimeoutError:
                log.warning("trunk_not_unregistered", trunk=name)
        self._kept[name].ended()
        self._metrics.registration_ended(name)
        self._troubles.put(f"registration-{name}", None)

    async def _keep_publishing(self) -> None:
        while True:
            for name in self._trunks:
                self._publish(name)
            await asyncio.sleep(_CHECK_EVERY_S)

    def _publish(self, name: str) -> None:
        kept, state = self._kept[name], self._state(name)
        registered = state is RegistrationState.REGISTERED
        self._metrics.set_registered(name, registered=registered)
        words = None
        if not registered and kept.code:
            words = f"trunk {name} is not registered: {state.value} (SIP {kept.code})"
        self._troubles.put(f"registration-{name}", words)
        if registered and name not in self._registered:
            log.info("trunk_registered", trunk=name)
        (self._registered.add if registered else self._registered.discard)(name)


async def _is_resolved(trunk: Trunk) -> bool:
    """Return whether the registrar's name has an address.

    PJSIP would look it up in the loop's thread, where a name server that hangs is dead air for all
    callers; looked up here first, it is in the resolver's cache, or not asked for there at all.
    """
    registration = trunk.registration
    uri = trunk.outbound_proxy or (registration.registrar if registration is not None else "")
    host = Uri.parse(uri).host.strip("[]")
    try:
        async with asyncio.timeout(_RESOLVE_WITHIN_S):
            await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_DGRAM)
    except (TimeoutError, OSError):
        return False
    return True
