"""A call on a machine of which one thing breaks: who hears it, and who is told.

A :class:`Stage` runs a Redis, a `bridge serve` and a Prometheus with the rules of deploy/, in
which no alert's ``for:`` is longer than :data:`FOR_S`. A :class:`Talk` is a caller who asks and
listens. What was found out is a :class:`Seen`.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np

from bridge.speech.recognition import Recognizer
from tests.support.console_user import sign_in
from tests.support.faulty_calls import ANSWERS, FIRST, PARDON, SECOND, spoken
from tests.support.gateways import Gateway, serving, write_dialplan, write_settings
from tests.support.ports import free_port
from tests.support.processes import Ended, run_to_end, write_yaml
from tests.support.prometheus import Prometheus, hurried_rules, prometheus
from tests.support.redis_servers import RedisServer
from tests.support.rtp_caller import RtpCaller
from tests.support.waiting import wait_until

FOR_S = 8
"""The longest ``for:``; longer than what is stopped here for a while."""

PATIENCE_S = 15.0
"""How long a caller waits for an answer."""

_QUIET_S = 1.5
"""Nothing heard for so long after speech: the agent has said what it had to say."""

_ALERTS_WITHIN_S = 45.0


@dataclass(slots=True)
class Heard:
    """What a caller heard after something broke.

    Attributes:
        words: the agent's sentences, as a recogniser understands them.
        silence_ms: the longest time without a sound in which the agent owed one.
        bye_ms: from the break to the gateway's BYE; None where none came.
    """

    words: list[str]
    silence_ms: float
    bye_ms: float | None


@dataclass(slots=True)
class Seen:
    """What was found out about one break.

    Attributes:
        heard: by the caller whose call went on.
        new_status: of an INVITE sent meanwhile, 0 for no answer; ``new_words``: what that caller
            heard.
        alerts: those that fired, by their words; addresses are NODE.
        record: of the call that went on, where it lies on the disk.
        lies: where the record is: ``disk``, ``redis``, ``memory``, or ``nowhere``.
        logged: names of the log's warnings and errors.
        ready: status and body of `/readyz`; status 0 where nobody answers.
        console: status of the console's list of calls, 0 where nobody answers.
        command: exit code of `bridge calls list`, and what it says of trouble.
        ended: the gateway's own end, where it didn't start.
    """

    heard: Heard | None = None
    new_status: int | None = None
    new_words: list[str] = field(default_factory=list)
    alerts: dict[str, str] = field(default_factory=dict)
    record: Mapping[str, Any] | None = None  # Any: JSON
    lies: str = "nowhere"
    logged: set[str] = field(default_factory=set)
    ready: tuple[int, Mapping[str, Any]] = (0, {})  # Any: JSON
    console: int = 0
    command: tuple[int, str] = (0, "")
    ended: Ended | None = None


class Talk:
    """A caller who asks and listens."""

    def __init__(self, caller: RtpCaller) -> None:
        self.caller = caller
        self.broken_ns = 0
        self._asked_ns = 0
        self._over_ns = 0
        self._bye_ns: int | None = None

    async def ask(self, question: str = SECOND) -> None:
        """Say something, to the last word."""
        self.caller.speak(spoken(question))
        await self.caller.until(lambda: not self.caller.speaking)
        self._asked_ns = self.caller.said_until_ns

    async def until_speaking(self, packets: int = 30) -> None:
        """Wait until the agent is in the middle of its answer."""
        await self.caller.until(lambda: len(self._loud()) > packets, PATIENCE_S)

    async def until_answered(self, patience_s: float = PATIENCE_S) -> None:
        """Wait until the agent has spoken and is quiet, or BYE came, or patience has an end."""
        until_ns = time.monotonic_ns() + round(patience_s * 1e9)
        while time.monotonic_ns() < until_ns and not self.caller.ended.is_set():
            loud = self._loud()
            if loud and time.monotonic_ns() - loud[-1] > _QUIET_S * 1e9:
                break
            await asyncio.sleep(0.05)
        self._over_ns = time.monotonic_ns()
        if self.caller.ended.is_set():
            self._bye_ns = self._over_ns

    async def until_hung_up(self, patience_s: float = PATIENCE_S) -> None:
        """Wait for BYE, as long as a caller would who hears nothing more."""
        with suppress(AssertionError):
            await wait_until(self.caller.ended.is_set, timeout_s=patience_s)
        self._over_ns = time.monotonic_ns()
        if self.caller.ended.is_set():
            self._bye_ns = self._over_ns

    def breaks(self) -> None:
        """Note that something breaks at this moment."""
        self.broken_ns = time.monotonic_ns()

    def heard(self) -> Heard:
        """Return what was heard since the last question."""
        loud = self._loud()
        answered = loud and self._bye_ns is None and self._over_ns - loud[-1] < 2 * _QUIET_S * 1e9
        moments = [self._asked_ns, *loud, *([] if answered else [self._over_ns])]
        silences = [(later - earlier) / 1e6 for earlier, later in pairwise(moments)]
        bye_ms = None if self._bye_ns is None else (self._bye_ns - self.broken_ns) / 1e6
        return Heard(self._words(), max(silences, default=0.0), bye_ms)

    def _loud(self) -> list[int]:
        return [
            each.arrived_ns
            for each in self.caller.heard
            if each.loud and each.arrived_ns > self._asked_ns
        ]

    def _words(self) -> list[str]:
        since = [each for each in self.caller.heard if each.arrived_ns > self._asked_ns]
        packets = {each.sequence: each.samples for each in since}
        if not packets:
            return []
        sound = np.concatenate([packets[each] for each in sorted(packets)])
        return [each.text for each in _recognizer().hear_all(sound, 8_000) if each.text]


@cache
def _recognizer() -> Recognizer:
    return Recognizer([*ANSWERS.values(), PARDON])


class Stage:
    """What one case plays on.

    Args:
        directory: of everything's files.
        url: of the simulator, which plays ``scenario``.
        wanted: names of the alerts that must fire before anything is mended.

    Attributes:
        redis: started by the case, or by :meth:`gateway`.
        seen: what was found out so far.
    """

    def __init__(self, directory: Path, url: str, scenario: Path, wanted: Collection[str]) -> None:
        self.directory = directory
        self.recordings = directory / "recordings"
        self.state = directory / "state"
        self.url = url
        self.scenario = scenario
        self.service_port = int(url.rpartition(":")[2].partition("/")[0])
        self.redis = RedisServer()
        self.redis_url = self.redis.url
        self.seen = Seen()
        self.nodes: list[Gateway] = []
        self._wanted = frozenset(wanted)
        self._ports = (free_port(), free_port())
        self._sip_call_id = ""
        self._prometheus: Prometheus | None = None
        self._cookie = ""

    @asynccontextmanager
    async def gateway(
        self,
        *,
        files: tuple[int, int] | None = None,
        environ: Mapping[str, str] | None = None,
        others: int = 0,
        redis_runs: bool = True,
        **sections: Mapping[str, object],
    ) -> AsyncIterator[Gateway]:
        """Run a gateway, with so many others beside it, and a Prometheus that looks at them all."""
        async with AsyncExitStack() as stack:
            for number in range(others + 1):
                place = self.directory if number == 0 else self.directory / f"node{number}"
                place.mkdir(exist_ok=True)
                node = stack.enter_context(
                    serving(
                        place,
                        self.url,
                        write_dialplan(place / "dialplans"),
                        redis_url=self.redis_url,
                        environ=environ,
                        files=files,
                        **self._settings(place, number, sections),
                    )
                )
                self.nodes.append(node)
            if redis_runs:
                self._cookie, _ = await sign_in(self.redis_url, "vera")
            await stack.enter_async_context(self._watched(self.nodes[0].process.ready["probes"]))
            try:
                yield self.nodes[0]
            finally:
                self._read_log()

    async def no_gateway(
        self, environ: Mapping[str, str] | None = None, **sections: Mapping[str, object]
    ) -> None:
        """Try to start a gateway, and see how it refuses."""
        dialplans = write_dialplan(self.directory / "dialplans")
        settings = write_settings(
            self.directory, self.url, dialplans, **self._settings(self.directory, 0, sections)
        )
        variables = {"BRIDGE_REDIS_URL": self.redis_url, **(environ or {})}
        async with self._watched(f"http://127.0.0.1:{self._ports[0]}"):
            self.seen.ended = await asyncio.to_thread(
                run_to_end,
                *("serve", "--config", str(settings)),
                directory=self.directory,
                **variables,
            )
            await self.until_alerts()

    def _settings(
        self, place: Path, number: int, sections: Mapping[str, Mapping[str, object]]
    ) -> dict[str, Any]:  # Any: sections, given by name beside arguments of other types
        own: dict[str, Mapping[str, object]] = {
            "http": {"port": self._ports[number]},
            "redis": {"heartbeat_ms": 500},
            "console": {"enabled": True},
        }
        return {
            name: {**own.get(name, {}), **sections.get(name, {})} for name in own.keys() | sections
        }

    @asynccontextmanager
    async def _watched(self, target: str) -> AsyncIterator[None]:
        """Have Prometheus look on, and note which alerts fire."""
        place = self.directory / "prometheus"
        place.mkdir(exist_ok=True)
        rules = hurried_rules(place, FOR_S)
        targets = [target, *(each.process.ready["probes"] for each in self.nodes[1:])]
        async with prometheus(place, targets, rules) as prom:

            async def looked() -> bool:
                up = await prom.value('sum(up{job="bridge"})')
                known = up == len(self.nodes) if self.nodes else up is not None
                return known and "NoScrape" not in (await prom.firing()).values()

            await wait_until(looked, "Prometheus did not scrape the gateway")
            noting = asyncio.create_task(self._keep_noting(prom, targets), name="alerts")
            try:
                yield
            finally:
                noting.cancel()
                await asyncio.gather(noting, return_exceptions=True)

    async def _keep_noting(self, prom: Prometheus, targets: list[str]) -> None:
        names = {each.partition("://")[2]: "NODE" for each in targets}
        while True:
            for words, alert in (await prom.firing()).items():
                for address, name in names.items():
                    words = words.replace(address, name)
                self.seen.alerts[words] = alert
            await asyncio.sleep(0.5)

    @asynccontextmanager
    async def talk(self) -> AsyncIterator[Talk]:
        """Place a call, ask a question and hear it answered; the rest is the case's."""
        async with RtpCaller(self.nodes[0].sip_port) as caller:
            assert await caller.call(timeout_s=20.0) == 200
            talk = Talk(caller)
            await talk.ask(FIRST)
            await talk.until_answered()
            assert talk.heard().words == [ANSWERS[FIRST]], talk.heard()
            self._sip_call_id = caller.call_id
            yield talk
            self.seen.heard = talk.heard()
            if not caller.ended.is_set():
                with suppress(TimeoutError):
                    await caller.hang_up()

    async def goes_on(self, talk: Talk) -> None:
        """Ask the second question of a call in which something broke, and listen."""
        talk.breaks()
        await talk.ask()
        await talk.until_answered()

    async def new_call(self, node: int = 0) -> None:
        """Place another call: is it taken, and does the agent answer?"""
        async with RtpCaller(self.nodes[node].sip_port) as caller:
            try:
                self.seen.new_status = await caller.call(timeout_s=30.0)
            except TimeoutError:
                self.seen.new_status = 0
                return
            talk = Talk(caller)
            if self.seen.new_status == 200:
                await talk.ask(FIRST)
                await talk.until_answered()
                self.seen.new_words = talk.heard().words
                if not caller.ended.is_set():
                    with suppress(TimeoutError):
                        await caller.hang_up()

    async def look(self) -> None:
        """Find out who is told while it is broken, and where the call's record is."""
        await self.until_alerts()
        self.seen.ready = await self._ready()
        self.seen.console = await self._console()
        done = await asyncio.to_thread(
            run_to_end,
            *("calls", "list", "--config", str(self.directory / "bridge.yaml")),
            directory=self.directory,
            BRIDGE_REDIS_URL=self.redis_url,
        )
        self.seen.command = (done.code, done.stderr.strip())
        await self.find_record()

    async def until_alerts(self) -> None:
        """Wait until the wanted alerts have fired, and a little longer for unwanted ones."""
        with suppress(AssertionError):
            await wait_until(
                lambda: self._wanted <= {*self.seen.alerts.values()}, timeout_s=_ALERTS_WITHIN_S
            )
        await asyncio.sleep(3.0)  # three evaluations more

    async def find_record(self) -> None:
        """Look where the first call's record is."""
        with suppress(AssertionError):
            await wait_until(lambda: self._on_disk() is not None, timeout_s=5.0)
        self.seen.record = self._on_disk()
        if self.seen.record is not None:
            self.seen.lies = "disk"
        elif await self._metric("bridge_records_waiting"):
            self.seen.lies = "waits"

    def _on_disk(self) -> Mapping[str, Any] | None:  # Any: JSON
        for node in self.nodes:
            for path in node.recordings.glob("c_*.json"):
                with suppress(OSError, json.JSONDecodeError):
                    record: Mapping[str, Any] = json.loads(path.read_text("utf-8"))
                    if record["sip_call_id"] == self._sip_call_id:
                        return record
        return None

    async def _metric(self, name: str) -> float:
        try:
            return (await self.nodes[0].metrics()).value(name)
        except OSError:
            return 0.0

    async def _ready(self) -> tuple[int, Mapping[str, Any]]:  # Any: JSON
        try:
            status, body = await self.nodes[0].probe("/readyz")
        except OSError:
            return 0, {}
        return status, json.loads(body)

    async def _console(self) -> int:
        jar = aiohttp.CookieJar(unsafe=True)
        jar.update_cookies({"bridge_session": self._cookie, "__Host-bridge_session": self._cookie})
        try:
            async with (
                aiohttp.ClientSession(
                    self.nodes[0].http,
                    cookie_jar=jar,
                    timeout=aiohttp.ClientTimeout(10.0),
                    connector=aiohttp.TCPConnector(ssl=False),
                ) as http,
                http.get("/api/v1/calls") as response,
            ):
                return response.status
        except (aiohttp.ClientError, TimeoutError):
            return 0

    def _read_log(self) -> None:
        lines = self.nodes[0].process.logged
        grave = [each for each in lines if each["level"] not in ("debug", "info")]
        self.seen.logged |= {str(each["event"]) for each in grave}


def make_scenario(directory: Path) -> Path:
    """Write what the simulator's agent hears and says."""
    rules = [{"hears": [asked], "say": answer} for asked, answer in ANSWERS.items()]
    scenario = {
        "name": "broken",
        "greeting": "Hello.",
        "fallback": PARDON,
        "voice": "en-us+f3",
        "words_per_minute": 165,
        "rules": rules,
    }
    return write_yaml(directory / "scenario.yaml", scenario)
