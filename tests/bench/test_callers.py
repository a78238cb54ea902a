"""Callers who talk: what leaves their sockets is speech, again and again."""

import socket
import time

import numpy as np
import pytest

from bridge.audio import g711
from bridge.bench.callers import Talkers

_RTP_HEADER_BYTES = 12


def level_of(packet: bytes) -> float:
    samples = np.frombuffer(g711.decode(g711.Law.PCMU, packet[_RTP_HEADER_BYTES:]), np.int16)
    return float(np.sqrt(np.mean(np.square(samples.astype(float)))))


@pytest.mark.speech
def test_a_call_that_is_up_sends_speech_and_pauses() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.bind(("127.0.0.1", 0))
        ear.settimeout(5)
        talkers = Talkers(("127.0.0.1", 9), "anybody")
        talkers.on_up(0, ear.getsockname()[1])
        levels: list[float] = []
        due_s = time.monotonic()
        for slot in range(5):
            talkers.lane_of(slot).due_ns = time.monotonic_ns()
        while len(levels) < 100:
            talkers.tick()
            due_s += 0.02
            time.sleep(max(0.0, due_s - time.monotonic()))
            levels.append(level_of(ear.recv(2048)))
    talkers.close()
    spoken = sum(level > 500 for level in levels)
    assert spoken > 30, "two seconds of the first sentence"
