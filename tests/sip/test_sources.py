"""Who is served, refused, dropped, and how much of one source is taken."""

from collections.abc import Callable

import pytest

from bridge.sip.sources import (
    MOST_ADDRESSES,
    REFUSALS_PER_S,
    SERVED,
    UNLIMITED,
    RequestSources,
    SourceBounds,
    SourceVerdict,
    Strangers,
    TurnedAway,
)
from bridge.sip.users import PresentedRequest

S = 1_000_000_000
TRUNK, HERE, STRANGER = "192.0.2.1", "127.0.0.1", "198.51.100.7"


def asking(user_agent: str = "") -> PresentedRequest:
    return PresentedRequest("INVITE", "sip:support@bridge.example", user_agent)


def sources(
    strangers: Strangers = "refuse",
    trunk: SourceBounds = UNLIMITED,
    stranger: SourceBounds = UNLIMITED,
) -> RequestSources:
    def trunk_of(host: str) -> str | None:
        return {TRUNK: "carrier", HERE: ""}.get(host)

    return RequestSources(trunk_of, {"carrier": trunk}, strangers, stranger)


@pytest.mark.parametrize("host", [TRUNK, HERE])
@pytest.mark.parametrize("strangers", ["refuse", "drop", "answer"])
def test_trunks_and_this_machine_are_served(host: str, strangers: Strangers) -> None:
    assert sources(strangers).judge(host, asking("sipvicious"), 0) is SERVED
    assert sources(strangers).serves(host)


@pytest.mark.parametrize(
    ("strangers", "agent", "verdict", "reason"),
    [
        ("refuse", "", SourceVerdict.REFUSE, TurnedAway.STRANGER),
        ("refuse", "Zoiper", SourceVerdict.REFUSE, TurnedAway.STRANGER),
        ("refuse", "friendly-scanner", SourceVerdict.DROP, TurnedAway.SCANNER),
        ("refuse", "X SIPVicious/0.3", SourceVerdict.DROP, TurnedAway.SCANNER),
        ("drop", "", SourceVerdict.DROP, TurnedAway.STRANGER),
        ("answer", "sipvicious", SourceVerdict.SERVE, None),
    ],
)
def test_stranger_gets_what_the_settings_say(
    strangers: Strangers, agent: str, verdict: SourceVerdict, reason: TurnedAway | None
) -> None:
    judgement = sources(strangers).judge(STRANGER, asking(agent), 0)
    assert (judgement.verdict, judgement.reason) == (verdict, reason)
    assert sources(strangers).serves(STRANGER) == (verdict is SourceVerdict.SERVE)


def test_refusals_to_all_strangers_together_are_bounded() -> None:
    """A forged source makes the bridge answer to somebody who asked nothing."""
    judged = sources()
    verdicts = [
        judged.judge(f"198.51.{n // 256}.{n % 256}", asking(), 0).verdict for n in range(1_000)
    ]
    assert verdicts.count(SourceVerdict.REFUSE) == 2 * REFUSALS_PER_S
    assert judged.judge(STRANGER, asking(), S).verdict is SourceVerdict.REFUSE


@pytest.mark.parametrize("host", [TRUNK, STRANGER])
def test_requests_over_the_rate_are_counted_by_source(host: str) -> None:
    rate = SourceBounds(requests_per_s=10)
    judged = sources(trunk=rate, stranger=rate)
    over = [judged.over_rate(host, 0) for _ in range(30)]
    assert over.count(False) == 20
    assert not judged.over_rate(HERE, 0)
    assert [judged.over_rate(host, S) for _ in range(12)].count(False) == 10


@pytest.mark.parametrize("host", [TRUNK, STRANGER])
def test_new_calls_have_a_rate_and_a_number_of_their_own(host: str) -> None:
    limits = SourceBounds(calls_per_s=0.5, max_calls=2)
    judged = sources("answer", limits, limits)
    assert judged.admits_call(host, 0, calls=0)
    assert not judged.admits_call(host, S, calls=0)
    assert judged.admits_call(host, 3 * S, calls=1)
    assert not judged.admits_call(host, 9 * S, calls=2)
    assert judged.admits_call(HERE, 0, calls=1_000)


def test_clock_that_stands_or_goes_back_gives_nothing_away() -> None:
    judged = sources(stranger=SourceBounds(requests_per_s=1))
    assert [judged.over_rate(STRANGER, now) for now in (5 * S, 5 * S, 0, 0)].count(False) == 2


def test_addresses_without_end_are_forgotten_and_a_trunks_rate_is_not() -> None:
    rate = SourceBounds(requests_per_s=0.5)
    judged = sources(trunk=rate, stranger=rate)
    assert not judged.over_rate(TRUNK, 0)
    assert judged.over_rate(TRUNK, 0)
    made: Callable[[int], str] = "10.{0}.0.1".format
    for number in range(MOST_ADDRESSES + 10):
        judged.over_rate(made(number), 0)
    assert judged.over_rate(made(MOST_ADDRESSES + 9), 0)
    assert not judged.over_rate(made(0), 0)  # forgotten, so new
    assert judged.over_rate(TRUNK, 0)


def test_addresses_of_one_ipv6_network_share_a_limit() -> None:
    """A host has 2**64 of them to send from."""
    judged = sources("answer", stranger=SourceBounds(requests_per_s=5, calls_per_s=5))
    hosts = [f"2001:db8:0:7::{number:x}" for number in range(1, 30)]
    assert [judged.over_rate(host, 0) for host in hosts].count(False) == 10
    assert [judged.admits_call(host, 0, calls=0) for host in hosts].count(True) == 10
    assert not judged.over_rate("2001:db8:0:8::1", 0)
    assert not judged.over_rate(STRANGER, 0)
