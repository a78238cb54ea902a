"""Calls on a service that renews, errs, stalls and mis-chunks: no question is left without a word.

The service and the callers share no code with the product (tests/support/adverse_service.py). Each
caller asks in tones and knows the answer's pitch. After each question they hear that answer, or
words of the bridge's, within :data:`tests.support.adverse_calls.WORD_WITHIN_S`; the call's record
accounts for each question, answered or with a failure that says why, and for the longest silence.
"""

import asyncio
import json
import os
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import asdict
from pathlib import Path
from random import Random

import numpy as np
import pytest

from tests.support.adverse_calls import Asked, place, unaccounted
from tests.support.adverse_mischief import Mischief, Opening
from tests.support.adverse_service import AdverseService, adverse_service
from tests.support.certificates import make_certificate
from tests.support.gateways import Record, serving, write_dialplan

pytestmark = [pytest.mark.sip, pytest.mark.redis]

AT_ONCE = 3
"""Of four calls that the pip wheel holds."""
DIALECTS = ("ga", "beta")
IN_A_ROW = (
    # A session that hears the caller as kept audio, long after they spoke, and stalls.
    "CLOSE_AFTER_SPEECH+REFUSED_FOR_A_SECOND+REFUSED_FOR_A_SECOND+NEVER_STOPS",
    "CLOSE_AFTER_SPEECH+REFUSED_FOR_A_SECOND+REFUSED_FOR_A_SECOND+NEVER_COMMITS",
    "CLOSE_AFTER_SPEECH+REFUSED_FOR_A_SECOND+REFUSED_FOR_A_SECOND+NEVER_ANSWERS",
    "CLOSE_IN_SPEECH+REFUSED_FOR_A_SECOND+REFUSED_FOR_A_SECOND+NEVER_STOPS",
    "CLOSE_IN_SPEECH+REFUSED_FOR_A_SECOND+REFUSED_FOR_A_SECOND+DEAF",
    "CLOSE_AFTER_SPEECH+CLOSES+CLOSE_IN_SPEECH+NEVER_COMMITS",
    "EXPIRES+REFUSED_FOR_A_SECOND+REFUSED_FOR_A_SECOND+STALLS_BEFORE_AUDIO",
    "STALLS_BEFORE_AUDIO+DONE_WITHOUT_AUDIO+CLOSE_BEFORE_AUDIO",
)
"""Mischiefs that follow each other in one question."""
_SHOWN = (5, 50, 95)
"""Percentiles of a figure of each call."""
AGENT = {
    "instructions": "Be brief.",
    "language": "en",
    "greeting": "Hello.",
    "turn_detection": {"type": "server_vad", "silence_duration_ms": 500},
    "transcription": {"model": "gpt-transcribe"},
}


class Log:
    """The calls of a run, each written down as it ends: a run that breaks keeps what it had.

    Args:
        path: gets a line of JSON for each call.
    """

    def __init__(self, path: Path) -> None:
        self.calls: list[Asked] = []
        self._path = path

    def add(self, call: Asked) -> None:
        """Take a call that is over."""
        self.calls.append(call)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(call)) + "\n")


Caller = Callable[[int, Log], Coroutine[None, None, None]]
"""Places calls to a SIP port, one after the other, and puts them down."""


async def run(
    directory: Path, service: AdverseService, paths: dict[str, str], caller: Caller
) -> list[str]:
    """Serve routes, have callers call, and judge each call.

    Args:
        directory: for all files: ``calls.jsonl`` as they end, ``report.json`` at the end.
        service: where the routes lead.
        paths: route -> what its URL has behind the service's. A route's name begins with its
            dialect; one that ends in ``tls`` leads there by TLS.
        caller: is done by :data:`AT_ONCE` at once.

    Returns:
        What is wrong with the calls.
    """
    certificate = make_certificate(directory)
    async with adverse_service(service, certificate) as (plain, secure):
        arms = {
            route: {
                "dialect": route.partition("_")[0],
                "url": (secure if route.endswith("tls") else plain) + path,
                "api_key_env": "SIM_KEY",
            }
            for route, path in paths.items()
        }
        serving_here = serving(
            directory,
            plain,
            _dialplans(directory / "dialplans", paths),
            preflight=False,
            environ={"SSL_CERT_FILE": str(certificate[0])},
            arms=arms,
            session={"ping_interval_s": 2.0, "ping_timeout_s": 2.0},
        )
        gateway = await asyncio.to_thread(serving_here.__enter__)
        log = Log(directory / "calls.jsonl")
        try:
            async with asyncio.TaskGroup() as callers:
                for _ in range(AT_ONCE):
                    callers.create_task(caller(gateway.sip_port, log))
            await gateway.until_active(0)
            records = await gateway.records(len(log.calls))
        finally:
            await asyncio.to_thread(serving_here.__exit__, None, None, None)
    return _judge(directory, service, log.calls, records)


def _dialplans(directory: Path, routes: Iterable[str]) -> Path:
    for route in routes:
        write_dialplan(
            directory,
            AGENT,
            name=route,
            called=route,
            arm=route,
            limits={"response_timeout_s": 2.5},
            recording={"redact": []},
        )
    return directory


def _judge(
    directory: Path, service: AdverseService, calls: list[Asked], records: list[Record]
) -> list[str]:
    by_call_id = {record["sip_call_id"]: record for record in records}
    problems = [f"no record of {c.route}" for c in calls if c.sip_call_id not in by_call_id]
    known = [call for call in calls if call.sip_call_id in by_call_id]
    for call in known:
        problems += unaccounted(call, by_call_id[call.sip_call_id], service.endless)
    differs_ms = [
        (by_call_id[call.sip_call_id]["longest_silence_ms"] or 0) - call.silence_ms
        for call in known
        if call.status == 200
    ]
    dialects = sorted({call.route.partition("_")[0] for call in calls})
    report = {
        dialect: _figures([call for call in calls if call.route.startswith(dialect)])
        for dialect in dialects
    } | {
        "silence put down less heard ms": [
            round(each) for each in np.percentile(differs_ms, _SHOWN)
        ],
        "packets late by at most ms": round(max(call.late_ms for call in calls)),
        "done wrong": dict(service.log.most_common()),
        "problems": problems,
    }
    (directory / "report.json").write_text(json.dumps(report, indent=1))
    print(json.dumps(report, indent=1))
    assert any(call.questions for call in calls)
    return problems


def _figures(calls: list[Asked]) -> dict[str, float]:
    questions = [question for call in calls for question in call.questions]
    answered = [question for question in questions if question.answered_ns]
    return {
        "calls": len(calls),
        "refused": sum(call.status != 200 for call in calls),
        "ended by the bridge": sum(call.ended_by_bridge for call in calls),
        "the caller broke off": sum(bool(call.broke) for call in calls),
        "questions": len(questions),
        "answered": len(answered),
        "of these after a word": sum(0 < q.worded_ns < q.answered_ns for q in answered),
        "a word and no answer": sum(not q.answered_ns and q.worded_ns > 0 for q in questions),
        "unanswered without a word": sum(not q.heard_ns for q in questions),
        "longest wait for an answer or a word s": max(
            ((q.heard_ns - q.ended_ns) / 1e9 for q in questions if q.heard_ns), default=0.0
        ),
        "longest silence ms": max((q.silence_ms for q in questions), default=0.0),
    }


@pytest.mark.nightly
@pytest.mark.timeout(3600 + 300)
async def test_an_hour_on_an_adverse_service_leaves_no_question_without_a_word(
    tmp_path: Path,
) -> None:
    seed = int(os.environ.get("ADVERSE_SEED", "1"))
    dice = Random(seed)
    routes = [f"{dialect}{by}" for by in ("", "_tls") for dialect in DIALECTS]
    loop = asyncio.get_running_loop()
    until_s = loop.time() + 60 * float(os.environ.get("ADVERSE_MINUTES", "60"))

    async def call_on(port: int, log: Log) -> None:
        own = Random(dice.random())
        while loop.time() < until_s:
            log.add(await place(port, routes[len(log.calls) % 4], own, own.randint(2, 5)))

    problems = await run(tmp_path, AdverseService(seed), dict.fromkeys(routes, ""), call_on)
    assert not problems, "\n".join(problems)


@pytest.mark.nightly
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_each_mischief_is_answered_or_spoken_about(tmp_path: Path, dialect: str) -> None:
    only = os.environ.get("ADVERSE_ONLY", "").split()
    names = only or [*Mischief.__members__, *Opening.__members__, *IN_A_ROW]
    paths = {
        f"{dialect}_{number}_{name.partition('+')[0].lower()}": f"/{name}"
        for number, name in enumerate(names)
    }
    waiting = deque(paths)

    async def call_each(port: int, log: Log) -> None:
        while waiting:
            log.add(await place(port, waiting.popleft(), Random(1), 2))

    problems = await run(tmp_path, AdverseService(seed=1), paths, call_each)
    assert not problems, "\n".join(problems)
