"""A process that has an endpoint with SRTP, is sent a message that kills, and then a normal call.

    python -m tests.telephony.unguarded guarded|open NAME

`open` takes the bounds away. Prints a line with the status of each INVITE's answer.
"""

import asyncio
import sys
from typing import Any

from bridge.config.sip import SipSettings
from bridge.telephony import endpoint, long_messages, pj_settings, request_door
from tests.support.raw_sip import RawSip, sdp

_PLACES = 64
"""Of PJSIP's table of keys (`sdes_encode_sdp`)."""
_MOST_LINES = 68
"""That PJSIP keeps of one media (`PJMEDIA_MAX_SDP_ATTR`)."""


def _keys(written: str) -> bytes:
    tags = [tag if tag <= _PLACES else 2_000_000_000 + tag for tag in range(1, _MOST_LINES + 1)]
    lines = "".join(f"{written}:{tag} X inline:AAAA\r\n" for tag in tags)
    return sdp(f"m=audio 40000 RTP/SAVP 0\r\n{lines}")


KILLING = {
    "keys": _keys("a=crypto"),
    "keys-in-capitals": _keys("a=CRYPTO"),
}


def _with_srtp() -> None:
    written = pj_settings.account_config

    def account_config(settings: SipSettings, port: int) -> Any:  # a SWIG object without types
        config = written(settings, port)
        config.mediaConfig.srtpUse = 1  # PJMEDIA_SRTP_OPTIONAL
        config.mediaConfig.srtpSecureSignaling = 0
        return config

    setattr(endpoint, "account_config", account_config)  # noqa: B010 - not exported by it


def _without_bounds() -> None:
    for door in (request_door, long_messages):
        setattr(door, "out_of_bounds", lambda data: None)  # noqa: B010 - not exported by it


async def _poll(sip: endpoint.SipEndpoint) -> None:
    while True:
        sip.poll()
        await asyncio.sleep(0.01)


async def _main(body: bytes) -> None:
    server = endpoint.SipEndpoint(SipSettings(port=0), on_incoming=lambda leg: leg.answer())
    server.start()
    polling = asyncio.create_task(_poll(server))
    async with RawSip(server.port) as sip:
        for offer in (body, sdp()):
            print((await sip.talk().invite(offer)).code, flush=True)
    polling.cancel()
    server.stop()


if __name__ == "__main__":
    _with_srtp()
    if sys.argv[1] == "open":
        _without_bounds()
    asyncio.run(_main(KILLING[sys.argv[2]]))
