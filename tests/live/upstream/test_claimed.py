"""A service that claims a running response of which nobody knows: the caller is answered.

Within a second or two, whatever it does then: `tests/engine/agent/test_claimed.py`.
"""

import pytest

from bridge.engine.news import SessionLost
from tests.live.talker import talker
from tests.live.upstream.test_renewal import BRIDGE_ASKS, WORDS, answered
from tests.live.word_service import Claim, word_service


@pytest.mark.parametrize("dialect", ["ga", "beta"])
@pytest.mark.parametrize("claim", Claim)
async def test_answer_comes_at_once(claim: Claim, dialect: str) -> None:
    async with word_service() as (service, url), talker(url, dialect, BRIDGE_ASKS) as talk:
        first = service.sessions[0]
        first.claim = claim
        talk.say(WORDS)
        await service.until(lambda: "response.create" in first.sent)
        await answered(service, 2 if claim is Claim.STUBBORN else 1)
        lost = talk.of(SessionLost)
    assert len(lost) == (claim is Claim.STUBBORN)
    assert first.sent.count("response.cancel") == 1
