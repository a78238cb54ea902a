"""Many datagrams at once, over real sockets."""

import sys
import time
from collections.abc import Iterator

import numpy as np
import pytest

from bridge.bench.datagrams import Arrivals, Datagrams

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sendmmsg and recvmmsg")

SIZE = 172


@pytest.fixture
def pair() -> Iterator[tuple[Datagrams, Datagrams]]:
    one, other = Datagrams(SIZE, 300), Datagrams(SIZE, 300)
    yield one, other
    one.close()
    other.close()


def receive(wire: Datagrams, count: int) -> Arrivals:
    """Loopback delivers within the send: nothing is waited for."""
    came = wire.receive()
    assert len(came.lengths) == count
    return came


def test_each_row_arrives_whole_and_in_order(pair: tuple[Datagrams, Datagrams]) -> None:
    one, other = pair
    one.out[:] = np.arange(300, dtype=np.uint16).astype(np.uint8)[:, None]
    for row in range(300):
        one.aim(row, other.port)

    assert one.send(np.arange(10, 110)) == 100

    came = receive(other, 100)
    assert came.data[:, 0].tolist() == list(range(10, 110))
    assert (came.data == came.data[:, :1]).all()
    assert set(came.lengths.tolist()) == {SIZE}
    assert set(came.ports.tolist()) == {one.port}


def test_rows_go_to_where_they_were_aimed(pair: tuple[Datagrams, Datagrams]) -> None:
    one, other = pair
    one.aim(0, other.port)
    one.aim(1, one.port)

    one.send(np.array([0, 1, 0]))

    receive(other, 2)
    receive(one, 1)


def test_arrivals_carry_the_kernels_time(pair: tuple[Datagrams, Datagrams]) -> None:
    one, other = pair
    one.aim(0, other.port)
    before_ns = time.time_ns()
    one.send(np.array([0]))
    after_ns = time.time_ns()
    time.sleep(0.05)  # a caller who comes late

    came = receive(other, 1)

    assert before_ns <= came.stamps_ns[0] <= after_ns


def test_nothing_to_receive_is_no_error(pair: tuple[Datagrams, Datagrams]) -> None:
    receive(pair[0], 0)
    assert pair[0].overflowed() == 0


def test_what_the_kernel_threw_away_is_told(pair: tuple[Datagrams, Datagrams]) -> None:
    one, other = pair
    one.aim(0, other.port)
    rows = np.zeros(1000, dtype=np.intp)
    sent = 0
    while not other.overflowed() and sent < 100_000:
        sent += one.send(rows)

    assert other.overflowed() > 0
