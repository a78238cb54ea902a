"""A service that claims a running response of which nobody knows: the caller waits a second or two
at most, whatever it does then.
"""

import time

import pytest

from bridge.engine.news import SessionLost
from tests.live.talker import talker
from tests.live.upstream.test_renewal import BRIDGE_ASKS, WORDS, answered
from tests.live.word_service import Claim, word_service

ANSWERED_WITHIN_S = 2.5
"""With the second that a silent service is given, and half a second of a busy machine."""


@pytest.mark.parametrize("dialect", ["ga", "beta"])
@pytest.mark.parametrize("claim", Claim)
async def test_answer_comes_at_once(claim: Claim, dialect: str) -> None:
    async with word_service() as (service, url), talker(url, dialect, BRIDGE_ASKS) as talk:
        first = service.sessions[0]
        first.claim = claim
        talk.say(WORDS)
        await service.until(lambda: "response.create" in first.sent)
        asked_s = time.monotonic()
        await answered(service, 2 if claim is Claim.STUBBORN else 1)
        took_s = time.monotonic() - asked_s
        lost = talk.of(SessionLost)
    print(f"answered {took_s:.2f} s after the claim")
    assert took_s < ANSWERED_WITHIN_S
    assert len(lost) == (claim is Claim.STUBBORN)
    assert first.sent.count("response.cancel") == 1
