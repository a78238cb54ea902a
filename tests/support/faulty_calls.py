"""Calls in which something goes wrong: one gateway and one simulator a lane, one call at a time.

A lane sets a fault, places a call, asks its agent twice, and measures from the caller's own RTP how
long the caller heard nothing while the agent owed them something. What the call held is looked up
from outside: before it, and after it.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import groupby, pairwise
from pathlib import Path
from urllib.request import Request, urlopen

import numpy as np
import numpy.typing as npt
import psutil

from bridge.audio.resample import downsample_whole
from bridge.speech.recognition import Recognizer
from bridge.speech.synthesis import Synthesizer
from tests.support.gateways import (
    CallsInRedis,
    Gateway,
    serving,
    write_dialplan,
)
from tests.support.processes import Running, running, write_yaml
from tests.support.rtp_caller import RtpCaller
from tests.support.waiting import wait_until

Spec = Mapping[str, object]
Told = dict[str, str]

DIALECTS = ("ga", "beta")
FIRST, SECOND = "Where is my order?", "When are you open?"
ANSWERS = {
    FIRST: "Your order was shipped on Monday.",
    SECOND: "We are open from nine to five.",
}
PARDON = "Would you say that again, please?"
ORDINARY = frozenset({"phase", "turn", "greeted", "measured", "ended"})
"""Kinds of events that Redis has of every call."""
RESPONSE_TIMEOUT_S = 2.5
"""How long an answer may stand still in these calls (a dialplan's default is 10 s)."""

ADMIN_SECRET = "for-tests"
_VOICE, _WORDS_PER_MINUTE = "en-us+f3", 165
_MODELS = {"ga": "gpt-realtime", "beta": "gpt-4o-realtime-preview"}
_QUIET_MS = 250
"""Longer than the gateway gathers writes to Redis."""
_PATIENCE_S = 45.0
"""More than a token's renewal or a call's whole budget of reconnects takes."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong in a call.

    Attributes:
        specs: for the simulator (`bridge/simulator/faults.py`).
        early: they are set before the INVITE; else before the first question.
        tokens: the arm connects with short-lived tokens.
        lifetime_s: of sessions, for the lane that has such.
        awaits: what must have happened before the second question.
        falls_back: the call ends with the fallback; else the talk goes on.
        cuts_off: the first question's answer may be lost; else it is given all the same.
        lost: codes of the `session_lost` events in Redis, in order.
        over_and_over: the last of them as often as the time allows.
        tells: kinds of other events that Redis must have.
        redis_is_quiet: Redis must have no events but ordinary ones.
        dialects: where it can happen.
    """

    name: str
    specs: tuple[Spec, ...] = ()
    early: bool = False
    tokens: bool = False
    lifetime_s: float | None = None
    awaits: str = ""
    falls_back: bool = False
    cuts_off: bool = False
    lost: tuple[str, ...] = ()
    over_and_over: bool = False
    tells: tuple[str, ...] = ()
    redis_is_quiet: bool = False
    dialects: tuple[str, ...] = DIALECTS


@dataclass(slots=True)
class Outcome:
    """What became of a call.

    Attributes:
        silence_ms: the longest in which the agent owed something.
        problems: everything that should not be; empty if the call passed.
        last_answer: (n,) int16 at 8 kHz, what the caller heard after the second question.
        pardons: how often the agent had not understood a question, and was asked again.
    """

    fault: Fault
    dialect: str
    end: str = ""
    silence_ms: float = 0.0
    redis: str = ""
    problems: list[str] = field(default_factory=list)
    last_answer: npt.NDArray[np.int16] | None = None
    pardons: int = 0

    def row(self) -> str:
        """Return a line of the table."""
        end = self.end or "BROKEN"
        return (
            f"{self.fault.name:<34} {self.dialect:<4}  {end:<24}"
            f" {self.silence_ms:>5.0f} ms  {self.redis}"
        )


@dataclass(frozen=True, slots=True)
class Held:
    """What the two processes hold at a moment."""

    gateway_files: int
    gateway_sockets: int
    gateway_tasks: float
    gateway_calls: float
    simulator_files: int
    simulator_connections: int


class Simulator:
    """`bridge simulate`, and its faults."""

    def __init__(self, process: Running) -> None:
        self.process = psutil.Process(process.pid)
        self.url = process.ready["url"]

    @property
    def connections(self) -> int:
        """Clients that are connected."""
        sockets = self.process.net_connections("tcp")
        return sum(each.status == psutil.CONN_ESTABLISHED for each in sockets)

    async def set(self, specs: Sequence[Spec]) -> None:
        """Set faults."""
        if specs:
            await self._ask("POST", json.dumps(specs).encode())

    async def struck(self) -> Counter[str]:
        """Return how often each kind of fault has struck, by kind and moment; clear them all."""
        report = json.loads(await self._ask("GET"))["faults"]
        await self._ask("DELETE")
        return Counter({f"{each['kind']} at {each['at']}": each["struck"] for each in report})

    async def _ask(self, method: str, body: bytes | None = None) -> bytes:
        url = self.url.replace("ws://", "http://").replace("/v1/realtime", "/admin/faults")
        headers = {"X-Simulator-Admin": ADMIN_SECRET, "Connection": "close"}
        request = Request(url, body, headers, method=method)

        def ask() -> bytes:
            with urlopen(request, timeout=10.0) as response:
                content: bytes = response.read()
                return content

        return await asyncio.to_thread(ask)


class Lane:
    """A gateway with arms of both dialects, and the simulator behind them all."""

    def __init__(self, gateway: Gateway, simulator: Simulator, calls: CallsInRedis) -> None:
        self.gateway = gateway
        self.simulator = simulator
        self.calls = calls
        self._process = psutil.Process(gateway.process.pid)
        self._at_rest: Held | None = None

    async def run(self, fault: Fault, dialect: str) -> Outcome:
        """Place a call, spoil it, and judge what became of it. Raises nothing."""
        outcome = Outcome(fault, dialect)
        try:
            await self._place(outcome)
            await self._look_for_leaks(outcome)
        except Exception as error:  # noqa: BLE001 - the other calls of the lane are to be placed
            outcome.problems.append(f"{type(error).__name__}: {error}")
            outcome.problems.append(self.gateway.process.stderr[-3000:])
        finally:
            await self.simulator.struck()
        return outcome

    async def held(self) -> Held:
        """Look up what gateway and simulator hold.

        Connections to Redis are left out: their pool keeps another one for good as soon as two
        commands have met.
        """
        metrics = await self.gateway.metrics()
        to_redis = len(self._process.net_connections("unix"))
        return Held(
            self._process.num_fds() - to_redis,
            len(self._process.net_connections()),
            metrics.value("bridge_loop_tasks"),
            metrics.value("bridge_calls_active"),
            self.simulator.process.num_fds(),
            self.simulator.connections,
        )

    async def _place(self, outcome: Outcome) -> None:
        fault = outcome.fault
        async with RtpCaller(self.gateway.sip_port) as caller:
            if fault.early:
                await self.simulator.set(fault.specs)
            status = await caller.call(called(outcome.dialect, tokens=fault.tokens))
            if status != 200:
                outcome.problems.append(f"the INVITE was answered with {status}")
                return
            call_id = await self.calls.until_active(self.gateway.node)
            talk = Talk(caller, Stream(self.calls, call_id))
            if not fault.early:
                await self.simulator.set(fault.specs)
            await talk.ask(FIRST)
            if fault.falls_back:
                await talk.until_hung_up()
            else:
                await self._go_on(talk, outcome)
                await caller.hang_up()
            struck = await self.simulator.struck()
        state = await self.calls.until_ended(call_id)
        await talk.stream.until(lambda told: told[-1]["kind"] == "ended")
        outcome.silence_ms = talk.longest_silence_ms()
        outcome.redis = in_short(talk.stream.told, state)
        outcome.end = "fallback, BYE" if fault.falls_back else "talk goes on"
        outcome.problems += list(judge(fault, talk, state, struck))

    async def _go_on(self, talk: "Talk", outcome: Outcome) -> None:
        """Let the talk come to rest, and ask something else.

        A machine that stood still has cost a question some packets: then it is asked once more.
        """
        fault = outcome.fault
        await talk.until_answered()
        if talk.pardoned() and not fault.cuts_off:
            outcome.pardons += 1
            await talk.ask(FIRST)
            await talk.until_answered()
        if fault.awaits == "failed rotation":
            await wait_until(self._rotation_failed, "no rotation failed")
        elif fault.awaits:
            await talk.stream.until(lambda told: any(e["kind"] == fault.awaits for e in told))
        await talk.ask(SECOND)
        await talk.until_answered()
        if talk.pardoned():
            outcome.pardons += 1
            await talk.ask(SECOND)
            await talk.until_answered()
        connections = self.simulator.connections
        if connections != 1:
            outcome.problems.append(f"{connections} connections to the simulator in the call")
        outcome.last_answer = talk.last_answer()

    async def _rotation_failed(self) -> bool:
        metrics = await self.gateway.metrics()
        return metrics.value("bridge_token_rotations_total", result="failed") > 0

    async def rest(self) -> None:
        """Remember what is held without calls."""
        held = [await self.held()]

        async def steady() -> bool:
            held.append(await self.held())
            return held[-3:] == held[-1:] * 3

        await wait_until(steady, "the gateway did not come to rest")
        self._at_rest = held[-1]

    async def _look_for_leaks(self, outcome: Outcome) -> None:
        before, after = self._at_rest, None

        async def as_before() -> bool:
            nonlocal after
            after = await self.held()
            return after == before

        try:
            await wait_until(as_before)
        except AssertionError:
            outcome.problems.append(f"left behind: {after}, was {before}")
            self._at_rest = after  # the next call is to be judged by its own leaks


class Stream:
    """The event stream of one call in Redis, as far as it has been read."""

    def __init__(self, calls: CallsInRedis, call_id: str) -> None:
        self.told: list[Told] = []
        self._calls = calls
        self._call_id = call_id
        self._seen = "0"

    async def until(self, condition: Callable[[list[Told]], bool]) -> None:
        """Read on until what was told fulfils a condition.

        Raises:
            TimeoutError: it doesn't, for long.
        """
        async with asyncio.timeout(_PATIENCE_S):
            while not self.told or not condition(self.told):
                await self.read_on()

    async def read_on(self) -> None:
        """Wait for more, for a while, and read it."""
        news = await self._calls.reader.events(self._call_id, self._seen, block_ms=_QUIET_MS)
        for self._seen, fields in news:
            self.told.append(fields)


@dataclass(slots=True)
class Owed:
    """A time in which the caller waits for the agent.

    Attributes:
        until_ns: None until it is over.
        in_vain: nothing came, and then BYE: the silence before that counts, too.
    """

    since_ns: int
    until_ns: int | None = None
    in_vain: bool = False


class Talk:
    """A caller who asks, and what they hear."""

    def __init__(self, caller: RtpCaller, stream: Stream) -> None:
        self.caller = caller
        self.stream = stream
        self.owed: list[Owed] = []
        self._asked_at = 0

    async def ask(self, question: str) -> None:
        """Say something, to the last word."""
        if self.owed:
            self.owed[-1].until_ns = self.caller.heard[-1].arrived_ns
        self._asked_at = len(self.stream.told)
        self.caller.speak(spoken(question))
        await self.caller.until(lambda: not self.caller.speaking)
        self.owed.append(Owed(self.caller.said_until_ns))

    async def until_answered(self) -> None:
        """Wait until the agent has said something since, and it is the caller's turn again."""

        def answered(told: list[Told]) -> bool:
            since = told[self._asked_at :]
            phases = [each["new"] for each in since if each["kind"] == "phase"]
            return any(whole_turn(each) for each in since) and phases[-1] == "listening"

        while True:
            await self.stream.until(answered)
            told = len(self.stream.told)
            await self.stream.read_on()
            if len(self.stream.told) == told:  # no phase that was only passed through
                return

    async def until_hung_up(self) -> None:
        """Wait for the gateway's BYE."""
        await wait_until(self.caller.ended.is_set, "no BYE came")
        self.owed[-1].in_vain = True

    def pardoned(self) -> bool:
        """Tell whether the agent did not understand what it was asked last."""
        since = [each for each in self.stream.told[self._asked_at :] if whole_turn(each)]
        return since[-1]["text"] == PARDON

    def last_answer(self) -> npt.NDArray[np.int16]:
        """Return what the caller has heard since the last question."""
        since_ns = self.owed[-1].since_ns
        # A jitter buffer's work: in order, and nothing twice.
        packets = {each.sequence: each for each in self.caller.heard if each.arrived_ns > since_ns}
        return np.concatenate([each.samples for _, each in sorted(packets.items())])

    def longest_silence_ms(self) -> float:
        """Return the longest time without a sound in which the agent owed something."""
        return max(self._silences_ms(), default=0.0)

    def _silences_ms(self) -> Iterator[float]:
        for owed in self.owed:
            end_ns = owed.until_ns or self.caller.heard[-1].arrived_ns
            loud = [
                each.arrived_ns
                for each in self.caller.heard
                if each.loud and owed.since_ns < each.arrived_ns <= end_ns
            ]
            end = [end_ns] if owed.in_vain or not loud else []
            for earlier_ns, later_ns in pairwise([owed.since_ns, *loud, *end]):
                yield (later_ns - earlier_ns) / 1e6


def whole_turn(event: Told) -> bool:
    """Tell whether an event is a turn of the agent's that the caller has heard to its end."""
    return event["kind"] == "turn" and event["speaker"] == "agent" and "heard_ms" in event


def judge(
    fault: Fault, talk: Talk, state: Mapping[str, str], struck: Counter[str]
) -> Iterator[str]:
    """Yield what is wrong with how a call went, as Redis tells it."""
    told = talk.stream.told
    outcome = "session_lost" if fault.falls_back else "completed"
    if state["outcome"] != outcome:
        yield f"outcome {state['outcome']}, not {outcome}"
    lost = tuple(each["code"] for each in told if each["kind"] == "session_lost")
    if fault.over_and_over:
        lost = tuple(code for code, _ in groupby(lost))
    if lost != fault.lost:
        yield f"Redis tells of lost sessions {lost}, not {fault.lost}"
    kinds = {each["kind"] for each in told}
    if missing := set(fault.tells) - kinds:
        yield f"Redis tells nothing of {missing}"
    if fault.redis_is_quiet and (more := kinds - ORDINARY):
        yield f"Redis tells of {more}"
    spoken_turns = [each for each in told if whole_turn(each)]
    texts = [each["text"] for each in spoken_turns]
    if not fault.falls_back:
        if not fault.cuts_off and ANSWERS[FIRST] not in texts:
            yield f"the first question was not answered, but: {texts}"
        heard_ms, whole_ms = int(spoken_turns[-1]["heard_ms"]), said_ms(ANSWERS[SECOND])
        if abs(heard_ms - whole_ms) > 100:
            yield f"{heard_ms} ms of the second answer were heard, which has {whole_ms} ms"
    restored = sum(each["kind"] == "session_restored" for each in told)
    if fault.lost and not fault.falls_back and not restored and not fault.early:
        yield "Redis does not tell that the session was got back"
    if idle := [what for what, times in struck.items() if not times]:
        yield f"never struck: {idle}"


def in_short(told: Sequence[Told], state: Mapping[str, str]) -> str:
    """Return what Redis says of a call, but for the ordinary, in one line."""
    words = Counter(
        " ".join(
            [each["kind"]]
            + [each[name] for name in ("code", "cure", "reason") if each.get(name)]
            + [f"after {each['outage_ms']} ms" for _ in [0] if each["kind"] == "session_restored"]
        )
        for each in told
        if each["kind"] not in ORDINARY
    )
    events = [what if times == 1 else f"{what} x{times}" for what, times in words.items()]
    return "; ".join([*events, f"outcome {state['outcome']} ({state['fault']})"])


def called(dialect: str, *, tokens: bool) -> str:
    """Return whom to call to get to an arm."""
    return f"{dialect}-{'token' if tokens else 'key'}"


@cache
def spoken(sentence: str) -> npt.NDArray[np.int16]:
    """Return a caller's sentence, 8 kHz, its last sound last."""
    samples = downsample_whole(Synthesizer("en-us", 180).say(sentence))
    loud = np.flatnonzero(np.abs(samples) > 500)
    whole: npt.NDArray[np.int16] = samples[: loud[-1] + 1]
    return whole


def rehearse() -> None:
    """Make all speech beforehand: it would hold the loop, and with it the callers' RTP, up."""
    for question, answer in ANSWERS.items():
        spoken(question)
        said_ms(answer)


def understood(samples: npt.NDArray[np.int16]) -> list[str | None]:
    """Return what a recogniser hears of the agent, 8 kHz. Holds the GIL: not while calls run."""
    return [each.text for each in _recognizer().hear_all(samples, 8_000)]


@cache
def said_ms(answer: str) -> int:
    """Return how long the agent takes to say something."""
    return len(Synthesizer(_VOICE, _WORDS_PER_MINUTE).say(answer)) // 24


@cache
def _recognizer() -> Recognizer:
    return Recognizer([*ANSWERS.values(), PARDON])


@contextmanager
def lane(
    directory: Path, redis_url: str, calls: CallsInRedis, lifetime_s: float | None
) -> Iterator[Lane]:
    """Run a lane. Blocks at its start and end.

    Args:
        lifetime_s: of the simulator's sessions; None for a real service's.
    """
    scenario: dict[str, object] = {
        "name": "faulty",
        "greeting": "Hello.",
        "fallback": PARDON,
        "voice": _VOICE,
        "words_per_minute": _WORDS_PER_MINUTE,
        "rules": [{"hears": [asked], "say": answer} for asked, answer in ANSWERS.items()],
    }
    if lifetime_s is not None:
        scenario["session"] = {"lifetime_s": lifetime_s}
    path = write_yaml(directory / "scenario.yaml", scenario)
    dialplans = directory / "dialplans"
    arms: dict[str, object] = {}
    with running(
        *("simulate", "--json", "--scenario", str(path)),
        directory=directory,
        SIMULATOR_ADMIN_SECRET=ADMIN_SECRET,
    ) as process:
        simulator = Simulator(process)
        for dialect in DIALECTS:
            for tokens in (False, True):
                name = called(dialect, tokens=tokens)
                arms[name] = {
                    "dialect": dialect,
                    "url": simulator.url,
                    "model": _MODELS[dialect],
                    "api_key_env": "SIM_KEY",
                    **({"credentials": "token", "token_ttl_s": 60} if tokens else {}),
                }
                limits = {"response_timeout_s": RESPONSE_TIMEOUT_S}
                write_dialplan(
                    dialplans,
                    name=name,
                    called=name,
                    arm=name,
                    limits=limits,
                    caller_silence={"enabled": False},  # callers who only wait for the fault
                )
        with serving(
            directory, simulator.url, dialplans, redis_url=redis_url, arms=arms
        ) as gateway:
            yield Lane(gateway, simulator, calls)
