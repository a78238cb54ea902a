"""Tokens for audio and control: one user, one call, one kind, one use, 30 s."""

import asyncio
from collections.abc import Mapping

import pytest

from bridge.clock import ManualClock
from bridge.console.access.tokens import CallTokenKind, CallTokens, TokenRefused
from bridge.store.client import RedisLink
from bridge.store.keys import Keys
from bridge.store.once import OnceStore


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def tokens(redis: RedisLink, clock: ManualClock) -> CallTokens:
    return CallTokens(OnceStore(redis, Keys("bridge:")), clock)


async def test_a_token_is_good_once(tokens: CallTokens) -> None:
    token, issued = await tokens.issue("sue", "c1", "listen")
    claims = await tokens.redeem(token, "c1", CallTokenKind.LISTEN, user="sue")
    assert claims == issued
    with pytest.raises(TokenRefused, match="used before"):
        await tokens.redeem(token, "c1", "listen", user="sue")


async def test_of_many_at_once_one_gets_in(tokens: CallTokens) -> None:
    token, _ = await tokens.issue("sue", "c1", "listen")
    tries = [tokens.redeem(token, "c1", "listen", user="sue") for _ in range(20)]
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(not isinstance(result, TokenRefused) for result in results) == 1


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"call_id": "c2"}, "something else"),
        ({"kind": "talk"}, "something else"),
        ({"user": "bob"}, "somebody else"),
    ],
)
async def test_a_token_is_for_one_user_one_call_one_kind(
    tokens: CallTokens, changed: Mapping[str, str], reason: str
) -> None:
    token, _ = await tokens.issue("sue", "c1", "listen")
    asked = {"call_id": "c1", "kind": "listen", "user": "sue", **changed}
    with pytest.raises(TokenRefused, match=reason):
        await tokens.redeem(token, asked["call_id"], asked["kind"], user=asked["user"])
    # The refused try has not used it up.
    await tokens.redeem(token, "c1", "listen", user="sue")


async def test_a_token_lives_30_s(tokens: CallTokens, clock: ManualClock) -> None:
    token, claims = await tokens.issue("sue", "c1", "listen")
    assert claims.expires_ms == clock.wall_ns() // 10**6 + 30_000
    clock.advance_ms(30_000)
    with pytest.raises(TokenRefused, match="expired"):
        await tokens.redeem(token, "c1", "listen", user="sue")


async def test_a_changed_token_is_refused(tokens: CallTokens) -> None:
    token, _ = await tokens.issue("sue", "c1", "listen")
    body, _, signature = token.partition(".")
    other, _ = await tokens.issue("bob", "c1", "listen")
    forged = ["", ".", "x.y", body, f"{body}.", f"{other.partition('.')[0]}.{signature}", "ä.ö"]
    for each in forged:
        with pytest.raises(TokenRefused, match="forged"):
            await tokens.redeem(each, "c1", "listen", user="sue")


async def test_a_token_is_good_at_another_node(
    redis: RedisLink, tokens: CallTokens, clock: ManualClock
) -> None:
    token, _ = await tokens.issue("sue", "c1", "relay_listen")
    elsewhere = CallTokens(OnceStore(redis, Keys("bridge:")), clock)
    claims = await elsewhere.redeem(token, "c1", "relay_listen")
    assert claims.user == "sue"
    with pytest.raises(TokenRefused, match="used before"):
        await tokens.redeem(token, "c1", "relay_listen")
