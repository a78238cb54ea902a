"""Session descriptions on their way through a relay (RFC 4566, RFC 3605). Pure."""

import re
from dataclasses import dataclass

_CONNECTION = re.compile(r"^c=IN IP4 (\S+?)(?:/\d+)?\r?$", re.M)
_AUDIO = re.compile(r"^m=audio (\d+)", re.M)
_RTCP = re.compile(r"^a=rtcp:(\d+)(?: IN IP4 (\S+))?\r?$", re.M)
_HELD_AS_OF_OLD = "0.0.0.0"
"""RFC 2543's way to put a stream on hold: there is nowhere to send to."""


@dataclass(frozen=True, slots=True)
class MediaAddress:
    """Where a side awaits its audio stream."""

    host: str
    rtp_port: int
    rtcp_port: int


def media_address(sdp: str) -> MediaAddress | None:
    """Read where the audio stream is awaited; None where there is none, or only a hold."""
    audio = _AUDIO.search(sdp)
    if audio is None or audio[1] == "0":
        return None
    # The stream's own connection wins over the session's (RFC 4566 section 5.7).
    connection = _CONNECTION.search(sdp, audio.end()) or _CONNECTION.search(sdp)
    if connection is None or connection[1] == _HELD_AS_OF_OLD:
        return None
    rtp_port = int(audio[1])
    rtcp = _RTCP.search(sdp)
    return MediaAddress(connection[1], rtp_port, int(rtcp[1]) if rtcp else rtp_port + 1)


def redirect(sdp: str, to: MediaAddress) -> str:
    """Have the audio stream come to another address; a stream that is off, or held, stays so."""
    if media_address(sdp) is None:
        return sdp
    moved = _CONNECTION.sub(f"c=IN IP4 {to.host}\r", sdp)
    moved = _AUDIO.sub(f"m=audio {to.rtp_port}", moved)
    if _RTCP.search(moved):
        return _RTCP.sub(f"a=rtcp:{to.rtcp_port} IN IP4 {to.host}\r", moved)
    return moved.rstrip("\r\n") + f"\r\na=rtcp:{to.rtcp_port} IN IP4 {to.host}\r\n"
