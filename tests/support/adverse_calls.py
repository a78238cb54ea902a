"""Callers of the adverse service, and the judge of what they heard against their calls' records.

They share no code with the product. The ear is at the phone: RTP packets, stamped by the kernel.
"""

import asyncio
from collections.abc import Iterator, Set
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random

import numpy as np

from tests.support.adverse_session import (
    ANSWER_MS,
    ANSWERS_HZ,
    GREETING_HZ,
    QUESTIONS,
    strongest_hz,
)
from tests.support.gateways import Record
from tests.support.rtp_caller import Heard, RtpCaller

RATE_HZ = 8_000
QUESTION_MS = 900
WORD_WITHIN_S = 7.0
"""Words are due 5 s after the caller's last (`NEEDS.md` section 5), and behind what plays."""
SILENCE_MS = 2_500
"""Of any kind, the waiting tone's gaps included; 2 s are dead air, and the machine is shared."""
SAME_SILENCE_MS = 200
"""How far the record's longest silence may be from that at the caller's ear, beside what the
machine delayed the caller's own packets by: what is late there is a silence on one side alone."""
GIVES_UP_S = 20.0
_TONE_HZ = 440
_TONE_PAUSE_MS = 900
"""Between two waiting tones: as in a ringback tone, they are a part of it."""
_NO_WORDS_HZ = (_TONE_HZ, GREETING_HZ, *ANSWERS_HZ.values())
"""The waiting tone, and what answers other questions."""
_WINDOW = 5
"""Packets in which a pitch is looked for: 100 ms."""


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

    @property
    def heard_ns(self) -> int:
        """When the first was heard that is no waiting tone; 0 for never."""
        return min(filter(None, (self.answered_ns, self.worded_ns)), default=0)


@dataclass
class Asked:
    """One call: what was asked, what was heard.

    Attributes:
        status: of the INVITE.
        silence_ms: the longest in which the agent owed something, at the caller's ear; the pauses
            of the waiting tone are none.
        open_silence_ms: the longest until the caller's next word, whatever was owed.
        greeted: the greeting was heard; ``cut_short``: it, or an answer, was not heard wholly.
        late_ms: how late a packet went or came at most.
        ended_by_bridge: it sent the BYE.
        broke: why the caller could not go on; empty where they did.
    """

    route: str
    status: int = 0
    sip_call_id: str = ""
    questions: list[Question] = field(default_factory=list)
    silence_ms: float = 0.0
    open_silence_ms: float = 0.0
    greeted: bool = False
    cut_short: bool = False
    late_ms: float = 0.0
    ended_by_bridge: bool = False
    broke: str = ""


async def place(port: int, route: str, dice: Random, questions: int) -> Asked:
    """Place a call, ask, hang up; a caller who can't go on says why, and keeps what was heard."""
    asked = Asked(route)
    begun: list[int] = []
    async with RtpCaller(port) as caller:
        asked.sip_call_id = caller.call_id
        try:
            await _converse(caller, asked, begun, dice, questions)
        except (TimeoutError, OSError) as error:
            asked.broke = f"{type(error).__name__} with question {len(asked.questions)}: {error}"
    asked.ended_by_bridge = caller.ended.is_set()
    if caller.heard:
        starts_ns = [caller.spoken_ns[at] for at in begun]
        _measure_silences(asked, starts_ns, caller)
        asked.late_ms = _late_ms(caller, set(begun))
    return asked


async def _converse(
    caller: RtpCaller, asked: Asked, begun: list[int], dice: Random, questions: int
) -> None:
    asked.status = await caller.call(asked.route, 40.0)
    if asked.status != 200:
        return
    await asyncio.sleep(1.5)  # the greeting
    for _ in range(questions):
        if caller.ended.is_set():
            return
        at = len(caller.spoken_ns)
        question = await _say(caller, dice.choice(list(QUESTIONS)))
        if len(caller.spoken_ns) == at:
            return  # the bridge hung up before the first word
        begun.append(at)
        asked.questions.append(question)
        await _hear_out(caller, question)
        await asyncio.sleep(dice.uniform(0.2, 2.5))
    if not caller.ended.is_set():
        await caller.hang_up(30.0)


def _late_ms(caller: RtpCaller, begun: set[int]) -> float:
    """Return by how much two packets in a row went, or came, too far apart at most."""
    came = pairwise([each.arrived_ns for each in caller.heard])
    went = (
        (caller.spoken_ns[at - 1], caller.spoken_ns[at])
        for at in range(1, len(caller.spoken_ns))
        if at not in begun
    )
    return max((b - a for a, b in (*came, *went)), default=0) / 1e6 - 20


async def _say(caller: RtpCaller, name: str) -> Question:
    """Ask a question."""
    at_s = np.arange(RATE_HZ * QUESTION_MS // 1000) / RATE_HZ
    caller.speak((7000 * np.sin(2 * np.pi * QUESTIONS[name] * at_s)).astype(np.int16))
    await caller.until(lambda: not caller.speaking or caller.ended.is_set())
    return Question(name, caller.said_until_ns)


async def _hear_out(caller: RtpCaller, question: Question) -> None:
    """Wait for the answer, for words and a pause, or for the end."""
    seen = len(caller.heard)
    listened = max(seen - 10, 0)
    loop = asyncio.get_running_loop()
    patience = loop.time() + GIVES_UP_S
    while loop.time() < patience and not caller.ended.is_set():
        await asyncio.sleep(0.1)
        _listen(question, caller.heard[listened:])
        listened = max(len(caller.heard) - _WINDOW + 1, listened)
        if question.answered_ns or (question.worded_ns and _pause(caller.heard)):
            break
    until_ns = question.heard_ns or caller.heard[-1].arrived_ns
    question.silence_ms = _longest_gap_ms(caller.heard[seen:], question.ended_ns, until_ns)


def _pause(heard: list[Heard]) -> bool:
    """Return whether nothing was said for a second and a half."""
    return not any(each.loud for each in heard[-75:])


def _listen(question: Question, heard: list[Heard]) -> None:
    """Note the first 100 ms that are the answer, and the first that are words."""
    for window in _windows(heard, question.ended_ns):
        pitch_hz = _pitch_hz(window)
        if abs(pitch_hz - ANSWERS_HZ[question.name]) < 30:
            question.answered_ns = question.answered_ns or window[0].arrived_ns
        elif not any(abs(pitch_hz - each) < 30 for each in _NO_WORDS_HZ):
            question.worded_ns = question.worded_ns or window[0].arrived_ns


def _windows(heard: list[Heard], since_ns: int) -> Iterator[list[Heard]]:
    for at in range(len(heard) - _WINDOW + 1):
        window = heard[at : at + _WINDOW]
        if window[0].arrived_ns >= since_ns and all(each.loud for each in window):
            yield window


def _pitch_hz(window: list[Heard]) -> float:
    return strongest_hz(np.concatenate([each.samples for each in window]), RATE_HZ)


def _longest_gap_ms(
    heard: list[Heard], since_ns: int, until_ns: int, tones_ns: Set[int] = frozenset()
) -> float:
    """Return the longest time without a sound between two moments.

    Args:
        heard: packets.
        since_ns: the first moment; ``until_ns``: the second one.
        tones_ns: packets after which a pause is a part of the sound.
    """
    loud = [e.arrived_ns for e in heard if e.loud and since_ns < e.arrived_ns < until_ns]
    moments = [since_ns, *loud, until_ns]
    gaps_ms = ((b - a) / 1e6 - _TONE_PAUSE_MS * (a in tones_ns) for a, b in pairwise(moments))
    return max(gaps_ms, default=0.0)


def _tones_ns(heard: list[Heard]) -> set[int]:
    """Return when the packets of the waiting tone came."""
    tones = (each for each in _windows(heard, 0) if abs(_pitch_hz(each) - _TONE_HZ) < 30)
    return {packet.arrived_ns for window in tones for packet in window}


def _tone_before_ns(heard: list[Heard], since_ns: int) -> int:
    """Return the end of the waiting tone in whose pause a moment lies; the moment, if in none."""
    from_ns = since_ns - _TONE_PAUSE_MS * 1_000_000
    before = [each for each in heard if from_ns <= each.arrived_ns <= since_ns and each.loud]
    last_ns = before[-1].arrived_ns if before else since_ns
    return last_ns if last_ns in _tones_ns(before) else since_ns


def _measure_silences(asked: Asked, starts_ns: list[int], caller: RtpCaller) -> None:
    """Measure the call's silences in which the agent owed a greeting or an answer.

    That is from the answer to the greeting, and from each question's end until its answer was heard
    wholly, or as far as it came; until the next question or the call's end where none came.
    """
    over_ns = caller.heard[-1].arrived_ns
    ends_ns = [*starts_ns[1:], over_ns]
    spans = [(caller.answered_ns, starts_ns[0] if starts_ns else over_ns, GREETING_HZ, 500)]
    for question, end_ns in zip(asked.questions, ends_ns, strict=True):
        spans.append((question.ended_ns, end_ns, ANSWERS_HZ[question.name], ANSWER_MS - 100))
    for since_ns, until_ns, pitch_hz, whole_ms in spans:
        within = [each for each in caller.heard if since_ns < each.arrived_ns < until_ns]
        heard_ms, last_ns = _heard_of(within, pitch_hz, whole_ms)
        asked.greeted = asked.greeted or (heard_ms > 0 and pitch_hz == GREETING_HZ)
        asked.cut_short = asked.cut_short or heard_ms < whole_ms
        begun_ns = _tone_before_ns(caller.heard, since_ns)
        tones_ns = _tones_ns(within) | {begun_ns} - {since_ns}
        owed_ms = _longest_gap_ms(within, begun_ns, last_ns or until_ns, tones_ns)
        asked.silence_ms = max(asked.silence_ms, owed_ms)
        open_ms = _longest_gap_ms(within, since_ns, until_ns)
        asked.open_silence_ms = max(asked.open_silence_ms, open_ms)


def _heard_of(heard: list[Heard], pitch_hz: float, whole_ms: int) -> tuple[int, int]:
    """Return how much of a pitch was heard, up to ``whole_ms``, and when the last of that came."""
    of_it: set[int] = set()
    last_ns = 0
    for window in _windows(heard, 0):
        if abs(_pitch_hz(window) - pitch_hz) < 30:
            of_it.update(each.sequence for each in window)
            last_ns = window[-1].arrived_ns
            if len(of_it) * 20 >= whole_ms:
                break
    return len(of_it) * 20, last_ns


def unaccounted(asked: Asked, record: Record, endless: set[str]) -> Iterator[str]:
    """Yield what the caller lacked, and what the record doesn't know.

    Args:
        asked: the call, as its caller had it.
        record: the bridge's.
        endless: ids of the sessions in which an answer's end was never told.
    """
    where = f"{asked.route} {record['call_id']}"
    if asked.broke:
        yield f"{where}: the caller broke off: {asked.broke}"
    if asked.status != 200:
        if record["outcome"] != "session_unavailable" or not record["reason"]:
            yield f"{where}: {asked.status}, and the record says {record['outcome']!r}"
        return
    for number, question in enumerate(asked.questions):
        what = f"{where} question {number + 1} ({question.name})"
        after_s = (question.heard_ns - question.ended_ns) / 1e9
        if not question.heard_ns:
            yield f"{what}: not a word"
        elif after_s > WORD_WITHIN_S:
            yield f"{what}: a word after {after_s:.1f} s"
        if question.silence_ms > SILENCE_MS:
            yield f"{what}: {question.silence_ms:.0f} ms of silence"
    for each in (*_lacks(asked, record), *_silence_differs(asked, record, endless)):
        yield f"{where}: {each}"


def _lacks(asked: Asked, record: Record) -> Iterator[str]:
    """Yield what the record lacks of the talk: each question is in it, with its answer as far as it
    was heard, or a failure stands for it.
    """
    said = [turn for turn in record["turns"] if turn["speaker"] == "caller"]
    heard = [turn for turn in record["turns"] if turn["speaker"] == "agent" and turn["heard_ms"]]
    failures = len(record["failures"])
    if len(said) + failures < len(asked.questions):
        yield f"{len(asked.questions)} asked, {len(said)} in the record, {failures} failures"
    answered = sum(question.answered_ns > 0 for question in asked.questions)
    if len(heard) < asked.greeted + answered:
        yield f"{asked.greeted + answered} answers heard, {len(heard)} in the record"
    if answered < len(asked.questions) and not failures:
        yield f"{len(asked.questions) - answered} not answered, and no failure in the record"
    if not any(turn["speaker"] != "caller" for turn in record["turns"]):
        yield "nobody said anything, by the record"
    if record["outcome"] in ("", "error"):
        yield f"outcome {record['outcome']!r}"


def _silence_differs(asked: Asked, record: Record, endless: set[str]) -> Iterator[str]:
    """Yield a longest silence that is not the caller's.

    Where an answer broke off, or its end was never told, the bridge can't know that nothing more is
    owed: there it may have counted until the caller's next word.
    """
    recorded_ms = record["longest_silence_ms"] or 0
    sessions = {session["session_id"] for session in record["sessions"]}
    unsure = asked.cut_short or record["failures"] or sessions & endless
    most_ms = asked.open_silence_ms if unsure else asked.silence_ms
    near_ms = SAME_SILENCE_MS + asked.late_ms
    if not asked.silence_ms - near_ms <= recorded_ms <= most_ms + near_ms:
        heard = f"{asked.silence_ms:.0f} to {most_ms:.0f} ms of silence heard"
        yield f"{heard}, {recorded_ms} put down ({record['longest_silence_cause']})"
