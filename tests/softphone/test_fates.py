"""What becomes of packets."""

from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.softphone.media_relay import FateStream
from bridge.softphone.settings import Network, Outage

PACKETS = 20_000
networks = st.builds(
    Network,
    seed=st.integers(0, 2**32 - 1),
    loss_pct=st.floats(0.1, 100),
    burst=st.floats(1, 20),
    delay_ms=st.integers(0, 500),
    jitter_ms=st.integers(0, 200),
    reorder_pct=st.floats(0, 50),
)


def fates(network: Network, packets: int = 100, lane: int = 0) -> list[float | None]:
    stream = FateStream(network, lane)
    stream.answered(0.0)
    return [stream.next(number * 20.0) for number in range(packets)]


@given(networks)
def test_the_same_seed_gives_the_same_fates(network: Network) -> None:
    assert fates(network) == fates(network)


@given(networks, st.lists(st.floats(0, 60), min_size=100, max_size=100))
def test_whether_a_packet_is_lost_does_not_hang_on_when_it_comes(
    network: Network, waits_ms: list[float]
) -> None:
    stream, at_ms, lost = FateStream(network, 0), 0.0, []
    for wait_ms in waits_ms:
        at_ms += wait_ms
        lost.append(stream.next(at_ms) is None)
    assert lost == [fate is None for fate in fates(network)]


@given(networks)
def test_no_packet_comes_before_its_delay_or_after_all_that_can_hold_it(network: Network) -> None:
    longest_ms = network.delay_ms + network.jitter_ms + 50
    for number, arrives_ms in enumerate(fates(network)):
        if arrives_ms is not None:
            assert network.delay_ms <= arrives_ms - number * 20 + 1e-6
            assert arrives_ms - number * 20 <= longest_ms + 1e-6


@given(networks)
def test_without_reordering_packets_stay_in_order(network: Network) -> None:
    in_order = network.model_copy(update={"reorder_pct": 0.0})
    arrivals = [arrives_ms for arrives_ms in fates(in_order) if arrives_ms is not None]
    assert arrivals == sorted(arrivals)


@pytest.mark.parametrize("loss_pct", [1.0, 5.0, 20.0, 60.0])
@pytest.mark.parametrize("burst", [1.0, 2.0, 8.0])
def test_losses_are_as_many_and_come_in_such_runs_as_asked(loss_pct: float, burst: float) -> None:
    lost = [fate is None for fate in fates(Network(loss_pct=loss_pct, burst=burst), PACKETS * 4)]
    runs = [len(list(run)) for is_lost, run in groupby(lost) if is_lost]

    assert 100 * sum(lost) / len(lost) == pytest.approx(loss_pct, rel=0.15)
    independent = 1 / (1 - loss_pct / 100)
    assert sum(runs) / len(runs) == pytest.approx(max(burst, independent), rel=0.1)


def test_everything_can_be_lost_and_nothing() -> None:
    assert set(fates(Network(loss_pct=100))) == {None}
    assert None not in fates(Network(delay_ms=20))


def test_a_reordered_packet_is_overtaken_by_the_next_two() -> None:
    arrivals = fates(Network(reorder_pct=10), PACKETS)
    late = [number for number, at_ms in enumerate(arrivals) if at_ms != number * 20]

    assert len(late) / PACKETS == pytest.approx(0.1, rel=0.1)
    assert all(arrivals[number] == number * 20 + 50 for number in late)


def test_an_outage_lets_nothing_through_from_the_answer_on() -> None:
    stream = FateStream(Network(outage=(Outage(at_ms=1000, ms=500),)), 0)
    before = [stream.next(at_ms) for at_ms in range(0, 5000, 20)]
    assert None not in before, "the call is not answered"

    stream.answered(5000)
    stream.answered(6000)  # a re-INVITE's answer
    lost = [at_ms for at_ms in range(5000, 8000, 20) if stream.next(at_ms) is None]
    assert (lost[0], lost[-1]) == (6000, 6480)
    assert len(lost) == 25


def test_lanes_with_one_seed_have_fates_of_their_own() -> None:
    network = Network(loss_pct=50)
    assert fates(network, lane=0) != fates(network, lane=2)
