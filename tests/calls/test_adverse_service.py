"""Calls on a service that renews, errs, stalls and mis-chunks: no question is left without a word.

The service and the callers share no code with the product (tests/support/adverse_service.py). Each
caller asks in tones and knows the answer's pitch. After each question they hear that answer, or
words of the bridge's, within :data:`WORD_WITHIN_S`; and the call's record accounts for each
question: answered, or said again by the bridge, with a failure that says why.
"""

import asyncio
import json
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests.support.adverse_service import (
    ANSWERS_HZ,
    GREETING_HZ,
    QUESTIONS,
    AdverseService,
    adverse_service,
    strongest_hz,
)
from tests.support.gateways import Gateway, Record, serving, write_dialplan
from tests.support.rtp_caller import Heard, RtpCaller

pytestmark = [pytest.mark.sip, pytest.mark.redis]

RATE_HZ = 8_000
QUESTION_MS = 900
WORD_WITHIN_S = 9.0
"""A service that stalls for ever costs a response's timeout (2.5 s here), twice, and a phrase."""
SILENCE_MS = 3_000
"""Of any kind, the waiting tone included; 2 s are dead air, and the machine is shared."""
_NO_WORDS_HZ = (440, GREETING_HZ, *ANSWERS_HZ.values())
"""The waiting tone, and what answers other questions."""

AT_ONCE = 3
"""Of four calls that the pip wheel holds."""


@dataclass
class Question:
    """One question of a caller's.

    Attributes:
        ended_ns: its last packet, monotonic; ``answered_ns``: the first of its answer's pitch.
        worded_ns: the first of anybody's words. Zero for never.
        silence_ms: the longest from its end to what came next.
    """

    name: str
    ended_ns: int
    answered_ns: int = 0
    worded_ns: int = 0
    silence_ms: float = 0.0


@dataclass
class Asked:
    """One call: what was asked, what was heard, what the record says."""

    dialect: str
    sip_call_id: str = ""
    questions: list[Question] = field(default_factory=list)
    ended_by_bridge: bool = False


async def place(gateway: Gateway, dialect: str, dice: random.Random) -> Asked:
    """Place a call, ask two to five questions, hang up."""
    asked = Asked(dialect)
    async with RtpCaller(gateway.sip_port) as caller:
        assert await caller.call(dialect, 20.0) == 200
        asked.sip_call_id = caller.call_id
        await asyncio.sleep(1.5)  # the greeting
        for _ in range(dice.randint(2, 5)):
            if caller.ended.is_set():
                break
            asked.questions.append(await _ask(caller, dice.choice(list(QUESTIONS))))
            await asyncio.sleep(dice.uniform(0.2, 1.5))
        asked.ended_by_bridge = caller.ended.is_set()
        if not asked.ended_by_bridge:
            await caller.hang_up()
    return asked


async def _ask(caller: RtpCaller, name: str) -> Question:
    """Ask, and wait for the answer, for words, or for the end."""
    at_s = np.arange(RATE_HZ * QUESTION_MS // 1000) / RATE_HZ
    caller.speak((7000 * np.sin(2 * np.pi * QUESTIONS[name] * at_s)).astype(np.int16))
    await caller.until(lambda: not caller.speaking or caller.ended.is_set())
    question = Question(name, caller.said_until_ns)
    seen = len(caller.heard)
    patience = asyncio.get_running_loop().time() + 2 * WORD_WITHIN_S
    while asyncio.get_running_loop().time() < patience and not caller.ended.is_set():
        await asyncio.sleep(0.1)
        _listen(question, caller.heard[max(seen - 10, 0) :])
        if question.answered_ns or (question.worded_ns and _pause(caller.heard)):
            break
    question.silence_ms = _longest_silence_ms(question, caller.heard[seen:])
    return question


def _pause(heard: list[Heard]) -> bool:
    """Return whether nothing was said for a second."""
    return not any(each.loud for each in heard[-50:])


def _listen(question: Question, heard: list[Heard]) -> None:
    """Note the first 100 ms that are the answer, and the first that are words."""
    for at in range(len(heard) - 5):
        window = heard[at : at + 5]
        if window[0].arrived_ns < question.ended_ns or not all(each.loud for each in window):
            continue
        pitch_hz = strongest_hz(np.concatenate([each.samples for each in window]), RATE_HZ)
        if abs(pitch_hz - ANSWERS_HZ[question.name]) < 30:
            question.answered_ns = question.answered_ns or window[0].arrived_ns
        elif not any(abs(pitch_hz - each) < 30 for each in _NO_WORDS_HZ):
            question.worded_ns = question.worded_ns or window[0].arrived_ns


def _longest_silence_ms(question: Question, heard: list[Heard]) -> float:
    until_ns = question.answered_ns or question.worded_ns or heard[-1].arrived_ns
    loud = [question.ended_ns]
    loud += [e.arrived_ns for e in heard if e.loud and question.ended_ns < e.arrived_ns < until_ns]
    loud.append(until_ns)
    return max(later - earlier for earlier, later in pairwise(loud)) / 1e6


def unaccounted(asked: Asked, record: Record) -> Iterator[str]:
    """Yield what the caller lacked, and what the record doesn't know."""
    where = f"{asked.dialect} {record['call_id']}"
    said = [turn for turn in record["turns"] if turn["speaker"] == "caller"]
    replies = [turn for turn in record["turns"] if turn["speaker"] != "caller"]
    failures = record["failures"]
    for number, question in enumerate(asked.questions):
        what = f"{where} question {number + 1} ({question.name})"
        first_ns = min(filter(None, (question.answered_ns, question.worded_ns)), default=0)
        if not first_ns:
            yield f"{what}: not a word"
        elif first_ns - question.ended_ns > WORD_WITHIN_S * 1e9:
            yield f"{what}: a word after {(first_ns - question.ended_ns) / 1e9:.1f} s"
        if question.silence_ms > SILENCE_MS:
            yield f"{what}: {question.silence_ms:.0f} ms of silence"
        if os.environ.get("ADVERSE_VERBOSE") and not question.answered_ns:
            print(what, (question.worded_ns - question.ended_ns) / 1e9, record["turns"], failures)
        if not question.answered_ns and not failures:
            yield f"{what}: not answered, and the record knows of no failure"
    if len(said) < len(asked.questions) and not failures:
        yield f"{where}: {len(asked.questions)} asked, {len(said)} in the record, no failure"
    if not replies:
        yield f"{where}: nobody said anything, by the record"
    if record["outcome"] in ("", "error"):
        yield f"{where}: outcome {record['outcome']!r}"


async def run(directory: Path, minutes: float, seed: int) -> None:
    """Run calls in both dialects for so long, and judge each."""
    dice = random.Random(seed)
    service = AdverseService(seed)
    dialplans = directory / "dialplans"
    async with adverse_service(service) as url:
        arms = {
            name: {"dialect": name, "url": url, "api_key_env": "SIM_KEY"} for name in ("ga", "beta")
        }
        for name in arms:
            write_dialplan(
                dialplans,
                name=name,
                called=name,
                arm=name,
                agent={
                    "instructions": "Be brief.",
                    "language": "en",
                    "greeting": "Hello.",
                    "turn_detection": {"type": "server_vad", "silence_duration_ms": 500},
                    "transcription": {"model": "gpt-transcribe"},
                },
                limits={"response_timeout_s": 2.5},
                recording={"redact": []},
            )
        calls: list[Asked] = []
        gateway: Gateway

        async def caller(number: int) -> None:
            own = random.Random(dice.random())
            while asyncio.get_running_loop().time() < until:
                dialect = ("ga", "beta")[(len(calls) + number) % 2]
                calls.append(await place(gateway, dialect, own))

        serving_here = serving(directory, url, dialplans, preflight=False, arms=arms)
        gateway = await asyncio.to_thread(serving_here.__enter__)
        until = asyncio.get_running_loop().time() + minutes * 60
        try:
            async with asyncio.TaskGroup() as callers:
                for number in range(AT_ONCE):
                    callers.create_task(caller(number))
            await gateway.until_active(0)
            records = await gateway.records(len(calls))
        finally:
            await asyncio.to_thread(serving_here.__exit__, None, None, None)
    _judge(directory, service, calls, records)


def _judge(
    directory: Path, service: AdverseService, calls: list[Asked], records: list[Record]
) -> None:
    by_call_id = {record["sip_call_id"]: record for record in records}
    missing = [call.sip_call_id for call in calls if call.sip_call_id not in by_call_id]
    problems = [f"no record of {each}" for each in missing]
    for call in calls:
        if call.sip_call_id in by_call_id:
            problems += unaccounted(call, by_call_id[call.sip_call_id])
    questions = [question for call in calls for question in call.questions]
    answered = sum(bool(question.answered_ns) for question in questions)
    report = {
        "calls": len(calls),
        "questions": len(questions),
        "answered": answered,
        "worded": sum(not q.answered_ns and bool(q.worded_ns) for q in questions),
        "longest silence ms": max((q.silence_ms for q in questions), default=0.0),
        "done wrong": dict(service.log),
        "problems": problems,
    }
    (directory / "report.json").write_text(json.dumps(report, indent=1))
    print(json.dumps(report, indent=1))
    assert questions
    assert not problems, "\n".join(problems)


@pytest.mark.nightly
@pytest.mark.timeout(3600 + 300)
async def test_an_hour_on_an_adverse_service_leaves_no_question_without_a_word(
    tmp_path: Path,
) -> None:
    minutes = float(os.environ.get("ADVERSE_MINUTES", "60"))
    await run(tmp_path, minutes, seed=int(os.environ.get("ADVERSE_SEED", "1")))
