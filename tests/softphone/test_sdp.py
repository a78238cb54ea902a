"""Session descriptions on their way through a relay."""

import pytest

from bridge.softphone.sdp import MediaAddress, media_address, redirect
from bridge.softphone.sip_message import audio_sdp

HERE = MediaAddress("127.0.0.9", 7000, 7001)


def test_audio_is_led_to_the_relay_and_nothing_else_changes() -> None:
    sdp = audio_sdp(4000, direction="sendonly")
    moved = redirect(sdp, HERE)

    assert media_address(sdp) == MediaAddress("127.0.0.1", 4000, 4001)
    assert media_address(moved) == HERE
    back = moved.replace("c=IN IP4 127.0.0.9", "c=IN IP4 127.0.0.1").replace("7000", "4000")
    assert back.replace("a=rtcp:7001 IN IP4 127.0.0.9\r\n", "") == sdp


def test_rtcp_that_has_its_own_place_is_followed() -> None:
    sdp = audio_sdp(4000) + "a=rtcp:4321 IN IP4 127.0.0.1\r\n"

    assert media_address(sdp) == MediaAddress("127.0.0.1", 4000, 4321)
    assert redirect(sdp, HERE).count("a=rtcp:") == 1
    assert media_address(redirect(sdp, HERE)) == HERE


def test_a_connection_of_the_stream_wins_over_the_sessions() -> None:
    sdp = audio_sdp(4000, address="192.0.2.1") + "c=IN IP4 192.0.2.2\r\n"

    found = media_address(sdp)
    assert found is not None
    assert found.host == "192.0.2.2"
    assert media_address(redirect(sdp, HERE)) == HERE


@pytest.mark.parametrize("sdp", [audio_sdp(0), audio_sdp(4000, address="0.0.0.0"), "v=0\r\n"])
def test_a_stream_that_takes_nothing_stays_so(sdp: str) -> None:
    assert media_address(sdp) is None
    assert redirect(sdp, HERE) == sdp
