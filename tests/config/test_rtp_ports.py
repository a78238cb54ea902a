"""The range of RTP's ports: what it holds, and what is refused."""

import pytest
from pydantic import ValidationError

from bridge.config.sip import SipSettings


@pytest.mark.parametrize(
    ("first", "last", "ports"),
    [
        (0, 0, []),
        (20_000, 20_005, [20_000, 20_002, 20_004]),
        (20_001, 20_006, [20_002, 20_004]),
        (65_534, 65_535, [65_534]),
    ],
)
def test_rtp_has_the_even_ports_that_have_one_behind_them(
    first: int, last: int, ports: list[int]
) -> None:
    assert list(SipSettings(rtp_port_min=first, rtp_port_max=last).rtp_ports) == ports


@pytest.mark.parametrize(
    ("first", "last", "words"),
    [
        (20_000, 0, "no rtp_port_max"),
        (0, 20_000, "no rtp_port_min"),
        (20_001, 20_002, "no two ports"),
        (20_000, 19_000, "no two ports"),
    ],
)
def test_half_a_range_and_an_empty_one_are_refused(first: int, last: int, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        SipSettings(rtp_port_min=first, rtp_port_max=last)


def test_a_range_too_small_for_the_calls_says_what_they_need() -> None:
    with pytest.raises(ValidationError, match=r"ports for 99 calls .* max_calls 100 needs 400"):
        SipSettings(rtp_port_min=20_000, rtp_port_max=20_397, max_calls=100)
    assert SipSettings(rtp_port_min=20_000, rtp_port_max=20_399, max_calls=100).max_calls == 100
