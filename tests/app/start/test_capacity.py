"""What a start-up measurement makes of a machine."""

import time

import pytest

from bridge.app.start.capacity import calls_within, measure_audio_ns
from bridge.clock import NS_PER_MS, NS_PER_S
from bridge.config.settings import MediaSettings


def test_the_measurement_is_quick_and_within_reason() -> None:
    begun_ns = time.process_time_ns()
    audio_ns = measure_audio_ns(MediaSettings())
    took_ns = time.process_time_ns() - begun_ns
    print(f"audio of a call: {audio_ns / NS_PER_MS:.2f} ms of CPU a second,", end=" ")
    print(f"{calls_within(audio_ns)} calls; measured in {took_ns // NS_PER_MS} ms")
    assert took_ns < NS_PER_S
    # Two resamplers and the base64 of 96 kB of JSON a second take more than 50 us anywhere, and a
    # machine on which they take a tenth of a core is none for this.
    assert 50_000 < audio_ns < 100 * NS_PER_MS


@pytest.mark.parametrize(
    ("audio_ns", "calls"), [(NS_PER_MS // 2, 350), (NS_PER_MS, 175), (10 * NS_PER_S, 1)]
)
def test_calls_leave_a_share_of_the_core_to_the_rest(audio_ns: int, calls: int) -> None:
    assert calls_within(audio_ns) == calls
