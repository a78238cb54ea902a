"""What the caller said and nobody answered goes to the next session, whatever ended the last one.

Every way in which a session ends, at every moment of a turn, in both dialects: each word of the
caller's is known to the next session exactly once, by its sound or by its text, and is answered.
"""

import time
from dataclasses import replace

import pytest

from bridge.engine.news import SessionLost
from bridge.engine.policy import CallPolicy
from tests.live.talker import Talker, talker
from tests.live.word_service import (
    EndSession,
    Moment,
    WordService,
    closing,
    expiring,
    word_service,
)
from tests.support.policies import barge_in_policy, call_policy

WORDS = range(48)
"""0.96 s of speech."""

SERVICE_ANSWERS = call_policy(greet=False, turn_overdue_ms=1_500, filler_after_ms=1_500)
BRIDGE_ASKS = replace(SERVICE_ANSWERS, barge_in=barge_in_policy())
POLICIES = {"service_answers": SERVICE_ANSWERS, "bridge_asks": BRIDGE_ASKS}
CODES = (1000, 1001, 1002, 1005, 1006, 1007, 1008, 1009, 1011, 1012, 1013, 3000, 4000, 4999)
ENDS: dict[str, EndSession] = {
    **{str(code): closing(code) for code in CODES},
    "expired": expiring(None),
    "expired_then_1001": expiring(1001),
    "expired_then_1000": expiring(1000),
}


def agent_of(policy: CallPolicy) -> dict[str, object]:
    return {} if policy.barge_in is not None else {"barge_in": {"decided_by": "service"}}


async def answered(service: WordService, number: int) -> None:
    """Wait until the nth session has answered all words."""
    await service.until(lambda: len(service.sessions) >= number)
    session = service.sessions[number - 1]
    await service.until(lambda: session.answers > 0 and session.answered == sorted(WORDS))


def ranges(words: list[int]) -> str:
    """Show sorted words in short."""
    shown: list[list[int]] = []
    for number in words:
        if shown and number == shown[-1][-1] + 1:
            shown[-1] = [shown[-1][0], number]
        else:
            shown.append([number])
    return " ".join("-".join(map(str, each)) for each in shown)


async def check(talk: Talker, service: WordService, number: int = 2) -> None:
    """Speak, and see every word in the nth session, once, and answered once."""
    talk.say(WORDS)
    try:
        await answered(service, number)
    finally:
        for each in service.sessions:
            print("known", ranges(each.known), "answers", each.answers, *each.sent[-3:])
    last = service.sessions[-1]
    assert len(service.sessions) == number
    assert last.known == sorted(WORDS)
    assert last.answers == 1


@pytest.mark.parametrize("dialect", ["ga", "beta"])
@pytest.mark.parametrize("moment", Moment, ids=lambda moment: moment.name.lower())
@pytest.mark.parametrize("end", ENDS)
async def test_words_go_to_the_next_session(end: str, moment: Moment, dialect: str) -> None:
    policy = BRIDGE_ASKS if dialect == "ga" else SERVICE_ANSWERS
    async with (
        word_service((moment, ENDS[end])) as (service, url),
        talker(url, dialect, policy, **agent_of(policy)) as talk,
    ):
        await check(talk, service)


IN_WORDS = (Moment.TRANSCRIBED, Moment.AUDIO_OF_WORDS)
"""After these the next session gets the words as text, and hears no turn."""

TWICE = [
    (first, second)
    for first in Moment
    for second in Moment
    if first not in IN_WORDS or second in (Moment.CREATED, Moment.AUDIO)
]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(("first", "second"), TWICE, ids=lambda moment: moment.name.lower())
async def test_words_outlive_two_sessions(first: Moment, second: Moment, policy: str) -> None:
    ends = (first, closing(1000)), (second, closing(1011))
    async with (
        word_service(*ends) as (service, url),
        talker(url, "ga", POLICIES[policy], **agent_of(POLICIES[policy])) as talk,
    ):
        await check(talk, service, 3)


EXPIRIES: dict[str, object] = {
    "absent": None,
    "past": 1_000_000_000,
    "text": "soon",
    "milliseconds": 4_000_000_000_000,
    "negative": -1,
    "fraction": 4_000_000_000.5,
    "true": True,
}


@pytest.mark.parametrize("dialect", ["ga", "beta"])
@pytest.mark.parametrize("expiry", EXPIRIES)
async def test_end_that_makes_no_sense_is_not_foreseen(expiry: str, dialect: str) -> None:
    async with word_service((Moment.COMMITTED, closing(1000))) as (service, url):
        service.expires_at = lambda number: EXPIRIES[expiry]
        async with talker(url, dialect, BRIDGE_ASKS) as talk:
            await check(talk, service)


@pytest.mark.parametrize("dialect", ["ga", "beta"])
async def test_session_is_changed_in_a_pause_before_its_end(dialect: str) -> None:
    async with word_service() as (service, url):
        service.expires_at = lambda number: int(time.time()) + 4 if number == 1 else None
        async with talker(url, dialect, BRIDGE_ASKS) as talk:
            talk.say(WORDS)
            await answered(service, 1)
            await service.until(lambda: len(service.sessions) == 2)
            await service.until(lambda: service.sessions[1].sent != [])
            assert talk.of(SessionLost) == []
            assert service.sessions[1].heard == []
