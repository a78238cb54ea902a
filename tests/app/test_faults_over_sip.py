"""Every fault of the simulator in a live call, in both dialects: what is heard, what is told.

All calls of the module are placed at the start, a few lanes at a time; each test judges one. The
table of faults, outcomes and silences stands at the end of the run.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Iterable
from contextlib import ExitStack
from itertools import chain
from pathlib import Path

import pytest

from bridge.store.local import LocalRedis
from tests.conftest import show
from tests.support.faulty_calls import (
    ANSWERS,
    SECOND,
    Fault,
    Lane,
    Outcome,
    Spec,
    lane,
    rehearse,
    understood,
)
from tests.support.gateways import CallsInRedis
from tests.support.machine import Inconclusive, Timing

pytestmark = [pytest.mark.sip, pytest.mark.redis, pytest.mark.speech, pytest.mark.timeout(400)]

MOST_PARDONS = 3
"""In all calls together; a bridge that loses the first syllables of a question makes far more."""
DEAD_AIR_MS = 2_000
"""A longer silence is dead air (`NEEDS.md` section 5)."""
LANES = 4

AT_CONNECT, AT_TURN = {"at": "connect"}, {"at": "turn"}
MID_AUDIO = {"at": "audio", "nth": 4}
ALL_AUDIO = {"at": "audio", "times": 60}
SPOKEN = ("speech", "turn", "audio", "done")
DROP_MID_AUDIO = {**MID_AUDIO, "kind": "drop"}
BETA_DISABLED: tuple[Spec, ...] = (
    {**AT_CONNECT, "kind": "error", "code": "beta_api_shape_disabled", "times": None},
    {**AT_CONNECT, "kind": "close", "code": 4000, "times": None},
)


def close_with(code: int) -> Spec:
    return {**MID_AUDIO, "kind": "close", "code": code}


# The longest calls come first: they are placed side by side with many short ones.
FAULTS = [
    Fault(
        "token rotation fails in the call",
        ({"at": "token", "kind": "refuse", "status": 401, "times": None},),
        tokens=True,
        awaits="failed rotation",
        redis_is_quiet=True,
    ),
    Fault("session expires (rolled over)", lifetime_s=8, awaits="session_restored"),
    Fault(
        "503 at every reconnect",
        (DROP_MID_AUDIO, {**AT_CONNECT, "kind": "refuse", "status": 503, "times": None}),
        falls_back=True,
        lost=("close_1006", "http_503"),
        over_and_over=True,
        tells=("gave_up",),
    ),
    Fault(
        "stall in a turn, for ever",
        ({**AT_TURN, "kind": "stall", "ms": 60_000},),
        lost=("stalled",),
        tells=("filler",),
    ),
    Fault(
        "stall before the caller is heard",
        ({"at": "speech", "kind": "stall", "ms": 60_000},),
        lost=("stalled",),
    ),
    Fault(
        "stall at the end of speech",
        ({"at": "speech_end", "kind": "stall", "ms": 60_000},),
        lost=("stalled",),
        tells=("filler",),
    ),
    Fault(
        "stall mid-audio, for ever",
        ({**MID_AUDIO, "kind": "stall", "ms": 60_000},),
        cuts_off=True,
        lost=("stalled",),
        tells=("filler",),
    ),
    Fault(
        "stall mid-audio, 2.4 s",
        ({**MID_AUDIO, "kind": "stall", "ms": 2_400},),
        tells=("filler",),
    ),
    Fault(
        "drop at connect, ringing",
        ({**AT_CONNECT, "kind": "drop", "times": 2},),
        early=True,
        lost=("handshake",) * 2,
    ),
    Fault(
        "drop at connect, in the call",
        (DROP_MID_AUDIO, {**AT_CONNECT, "kind": "drop", "times": 2}),
        cuts_off=True,
        lost=("close_1006", "handshake", "handshake"),
    ),
    Fault("drop in the caller's speech", ({"at": "speech", "kind": "drop"},), lost=("close_1006",)),
    Fault("drop in a turn", ({**AT_TURN, "kind": "drop"},), lost=("close_1006",)),
    Fault("drop mid-audio", (DROP_MID_AUDIO,), cuts_off=True, lost=("close_1006",)),
    Fault("slow deltas", ({**ALL_AUDIO, "kind": "stall", "ms": 130},)),
    Fault(
        "duplicates",
        tuple({"at": at, "kind": "duplicate", "times": 60} for at in SPOKEN),
        redis_is_quiet=True,
    ),
    Fault(
        "reordered",
        tuple({"at": at, "kind": "reorder", "times": 2} for at in ("turn", "audio")),
        redis_is_quiet=True,
    ),
    Fault("unknown events", ({**ALL_AUDIO, "kind": "unknown"},), tells=("unknown_event",)),
    Fault(
        "malformed audio delta",
        ({**MID_AUDIO, "kind": "malformed"}, {**MID_AUDIO, "kind": "malformed", "lacks": "delta"}),
        tells=("malformed_event",),
    ),
    Fault(
        "malformed response.created",
        ({**AT_TURN, "kind": "malformed"},),
        tells=("malformed_event",),
    ),
    Fault(
        "malformed response.done",
        ({"at": "done", "kind": "malformed"},),
        tells=("malformed_event",),
    ),
    Fault(
        "rate limit in response.done",
        ({**AT_TURN, "kind": "fail", "code": "rate_limit_exceeded"},),
        tells=("upstream_error",),
    ),
    Fault(
        "server_error in response.done",
        ({**AT_TURN, "kind": "fail", "code": "server_error"},),
        tells=("upstream_error",),
    ),
    Fault("server_error event", ({**MID_AUDIO, "kind": "error"},), tells=("upstream_error",)),
    Fault(
        "401, and none on token refresh",
        (
            DROP_MID_AUDIO,
            {**AT_CONNECT, "kind": "refuse", "status": 401},
            # All of them: a rotation in the background may be the one that asks first.
            {"at": "token", "kind": "refuse", "status": 401, "times": None},
        ),
        tokens=True,
        falls_back=True,
        lost=("close_1006", "http_401", "token_refused"),
        tells=("gave_up",),
    ),
    Fault(
        "session_expired at once",
        (
            {**MID_AUDIO, "kind": "error", "code": "session_expired"},
            close_with(1001),
        ),
        cuts_off=True,
        lost=("session_expired",),
    ),
    Fault(
        "beta_api_shape_disabled",
        (DROP_MID_AUDIO, *BETA_DISABLED),
        falls_back=True,
        lost=("close_1006", "beta_api_shape_disabled"),
        tells=("gave_up",),
        dialects=("beta",),
    ),
    *(
        Fault(
            f"close {code}",
            (close_with(code),),
            cuts_off=True,
            lost=(f"close_{code}",),
        )
        for code in (1000, 1011, 4000, 4999)
    ),
]
CASES = {
    f"{fault.name} ({dialect})": (fault, dialect) for fault in FAULTS for dialect in fault.dialects
}


async def place_all(chosen: Iterable[str], directory: Path, redis_url: str) -> dict[str, Outcome]:
    """Place all calls, one at a time in each lane; short sessions have a lane of their own."""
    queues: defaultdict[float | None, deque[str]] = defaultdict(deque)
    for case in chosen:
        fault, _ = CASES[case]
        queues[fault.lifetime_s].append(case)
    outcomes: dict[str, Outcome] = {}
    rehearse()

    async def place(number: int, lifetime_s: float | None) -> None:
        with ExitStack() as stack:
            here = directory / f"lane-{number}"
            here.mkdir()
            running = lane(here, redis_url, calls, lifetime_s)
            each: Lane = await asyncio.to_thread(stack.enter_context, running)
            await each.rest()
            while queues[lifetime_s]:
                case = queues[lifetime_s].popleft()
                outcomes[case] = await each.run(*CASES[case])

    async with CallsInRedis(redis_url) as calls, asyncio.TaskGroup() as group:
        lanes = chain.from_iterable([life] * (1 if life else LANES) for life in queues)
        for number, lifetime_s in enumerate(lanes):
            group.create_task(place(number, lifetime_s))
    return outcomes


_DONE = pytest.StashKey[dict[str, Outcome]]()


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, redis: LocalRedis, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Outcome]:
    """What became of the calls of all tests that are to run; those that are known stay so."""
    done = request.config.stash.setdefault(_DONE, {})
    chosen = [
        str(item.callspec.params["case"])
        for item in request.session.items
        if isinstance(item, pytest.Function)
        and item.path == request.path
        and hasattr(item, "callspec")
        and item.callspec.params["case"] not in done
    ]
    done |= asyncio.run(place_all(chosen, tmp_path_factory.mktemp("faults"), redis.url))
    rows = [done[case].row() for case in chosen]
    title = "faults in live calls: outcome, longest silence, what Redis says"
    show(request.config, title, rows)
    return done


@pytest.mark.parametrize("case", CASES)
def test_fault_in_a_live_call(case: str, outcomes: dict[str, Outcome], timing: Timing) -> None:
    outcome = outcomes[case]
    assert not outcome.problems, "\n".join(outcome.problems)
    try:
        timing.check("silence", outcome.silence_ms, most_ms=DEAD_AIR_MS)
    except Inconclusive:
        del outcomes[case]  # this call is placed again, and no other
        raise
    if outcome.last_answer is not None:
        assert understood(outcome.last_answer) == [ANSWERS[SECOND]]


def test_callers_were_understood(outcomes: dict[str, Outcome]) -> None:
    assert sum(outcome.pardons for outcome in outcomes.values()) <= MOST_PARDONS
