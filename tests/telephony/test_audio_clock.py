"""The conference's clock, from readings that come late."""

from bridge.audio.resample import PHONE_HZ
from bridge.audio.rings import FRAME_SAMPLES
from bridge.clock import NS_PER_MS, NS_PER_S
from bridge.telephony.audio_clock import ConferenceClock

FRAME_NS = 20 * NS_PER_MS


def test_a_late_reading_does_not_make_audio_young() -> None:
    clock, begun_ns = ConferenceClock(PHONE_HZ), 10 * NS_PER_S
    for tick in range(1, 200):
        lag_ns = 35 * NS_PER_MS if tick % 10 == 0 else tick % 4 * NS_PER_MS
        tick_ns = begun_ns + tick * FRAME_NS
        said_ns = clock.feed(tick * FRAME_SAMPLES, tick_ns + lag_ns)
        if tick > 4:
            assert said_ns == tick_ns


def test_a_clock_that_jumped_is_followed() -> None:
    """The process was stopped: the conference counts on from where it was, later."""
    clock, jump_ns = ConferenceClock(PHONE_HZ), 7 * NS_PER_S
    for tick in range(1, 100):
        clock.feed(tick * FRAME_SAMPLES, tick * FRAME_NS)
    for tick in range(100, 250):
        said_ns = clock.feed(tick * FRAME_SAMPLES, jump_ns + tick * FRAME_NS)
    assert said_ns == jump_ns + 249 * FRAME_NS
