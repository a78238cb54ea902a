"""Rollouts in a real Redis: changes one after another, the log, the leader, the audit."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from bridge.config.settings import RedisSettings
from bridge.routing.rollout.observed import CallEntry
from bridge.routing.rollout.state import RolloutState
from bridge.store.audit import ChainCheck
from bridge.store.client import RedisLink
from bridge.store.local import LocalRedis
from bridge.store.rollouts import RolloutStore, Signature
from tests.store.conftest import Raw

pytestmark = pytest.mark.redis

ME = Signature("me", "because")


@pytest.fixture
async def rollouts(server: LocalRedis, redis: Raw) -> AsyncIterator[RolloutStore]:
    link = RedisLink(server.url, timeout_s=2)
    yield RolloutStore(link, RedisSettings())
    await link.aclose()


def bumped(state: RolloutState) -> RolloutState:
    return replace(state, share=state.share + 1, action="set")


async def test_nothing_is_in_force_until_somebody_says_so(rollouts: RolloutStore) -> None:
    assert await rollouts.read(["f"]) == {}


async def test_changes_made_at_once_all_happen_one_after_another(rollouts: RolloutStore) -> None:
    await asyncio.gather(*(rollouts.change("f", bumped, ME, 5) for _ in range(8)))
    state = (await rollouts.read(["f"]))["f"]
    assert (state.version, state.share) == (8, 8)
    history = await rollouts.history("f", 100)
    assert [fields["version"] for _, fields in history] == [str(n) for n in range(8, 0, -1)]
    assert {fields["author"] for _, fields in history} == {"me"}


def breaks_at(entries: list[dict[str, str]]) -> int | None:
    check = ChainCheck()
    return next((at for at, entry in enumerate(entries) if not check.holds(entry)), None)


async def test_every_change_is_audited_and_the_audit_is_a_chain(
    rollouts: RolloutStore, redis: Raw
) -> None:
    await asyncio.gather(*(rollouts.change(flag, bumped, ME, 5) for flag in ("f", "g", "f")))
    entries = [fields for _, fields in reversed(await rollouts.audit(10))]
    assert sorted(entry["target"] for entry in entries) == ["f", "f", "g"]
    assert breaks_at(entries) is None
    entries[1]["actor"] = "somebody else"
    assert breaks_at(entries) == 1
    assert breaks_at([entries[0], entries[2]]) == 1


async def test_no_change_writes_nothing(rollouts: RolloutStore) -> None:
    assert await rollouts.change("f", lambda state: None, ME, 5) is None
    assert await rollouts.history("f", 10) == []


async def test_a_lost_state_is_given_back_once(rollouts: RolloutStore) -> None:
    state = RolloutState(version=9, ai_off=True, author="me")
    assert await rollouts.restore("f", state, RolloutState())
    assert not await rollouts.restore("f", state, RolloutState())
    assert (await rollouts.read(["f"]))["f"] == state


async def test_the_log_of_calls_is_read_on_from_anywhere(rollouts: RolloutStore) -> None:
    calls = [CallEntry(f"c{n}", "new", 0.5, 1, float(n)) for n in range(5)]
    await rollouts.report("f", calls)
    found = await rollouts.calls("f", "0")
    assert [call for _, call in found] == calls
    assert [call for _, call in await rollouts.calls("f", found[2][0])] == calls[3:]


async def test_a_call_counts_once_whoever_reports_it(rollouts: RolloutStore, redis: Raw) -> None:
    await redis("HSET", "bridge:call:c1", "call_id", "c1")
    first = CallEntry("c1", "new", 0.5, 1, 1.0)
    await rollouts.report("f", [first])
    swept = replace(first, code="node_lost")
    await rollouts.report("f", [swept, CallEntry("c2", "new", 0.5, 1, 2.0), first])
    found = [(call.call_id, call.code) for _, call in await rollouts.calls("f", "0")]
    assert found == [("c1", ""), ("c2", "")]
    assert await redis("EXISTS", "bridge:call:c2") == 0  # counting makes no call


async def test_one_node_leads_until_it_resigns_or_is_silent(
    rollouts: RolloutStore, redis: Raw
) -> None:
    assert await rollouts.lead("a")
    assert not await rollouts.lead("b")
    assert await rollouts.lead("a")
    await rollouts.resign("b")
    assert await rollouts.leader() == "a"
    await rollouts.resign("a")
    assert await rollouts.lead("b")
    assert 0 < int(str(await redis("PTTL", "bridge:rollouts:leader"))) <= 3000
