"""Configures PJSIP by our settings: threads, log, sockets, codecs, account.

SIP is heard on UDP and TCP at one port. PJSIP has no SIP threads of its own (`threadCnt=0`).
"""

import logging
import re
from collections.abc import Mapping
from typing import Any

import structlog

from bridge.audio.rings import FRAME_MS
from bridge.config.sip import SipSettings
from bridge.config.trunks import Codec
from bridge.errors import InfrastructureError
from bridge.sip.addresses import host_and_port
from bridge.telephony.library import import_pjsua2, load_symbols

pj: Any = import_pjsua2()
_MOST_CALLS = 1024

_PORT_ATTEMPTS = 5
"""Free UDP ports that are tried, when we may choose, until TCP can have the same number."""

_LOG_LEVELS = {1: logging.WARNING, 2: logging.INFO}
"""By PJSIP's level. Its errors may be expected: a port that went with its call, one in use."""

_LINE = re.compile(r"[\d:.]+\s+([A-Za-z_]+)\S*\s+(.*)", re.DOTALL)
"""Time, the part of PJSIP that says something (a file, or an object with an address), and what."""
_MOST_CHARS = 500
"""Of a line: it may hold all of a message that PJSIP could not read."""
_SECRET = re.compile(r"((?:inline:|key=)\s*)[^\s|]+", re.IGNORECASE)
"""Keys of SRTP, in a session description and as PJMEDIA writes them at level 5."""

_CODEC_IDS: Mapping[Codec, str] = {
    "PCMU": "PCMU/8000/1",
    "PCMA": "PCMA/8000/1",
    "G722": "G722/16000/1",
}
_HIGHEST_PRIORITY = 255
_CODEC_FRAME_MS = 10
"""PJSIP's frame of G.711 and of G.722 (pjmedia-codec/g711.c, g722.c)."""

_G722_SHIFT_BITS = 1

_SMALL_FILTER = 4
"""Of the wheel's resampling, which G.711 needs at 16 kHz: a third of the default's CPU.

The capacity build's own has one filter.
"""

_THIS_MACHINE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""What stands for all addresses where one is needed."""

ACCOUNT = "bridge"
"""The user part of our own address."""


class LogWriter(pj.LogWriter):  # type: ignore[misc]  # SWIG class without types
    """Sends PJSIP's log lines where ours go, by a logger for each part of PJSIP."""

    def write(self, entry: Any) -> None:
        """Take one line."""
        level = _LOG_LEVELS.get(int(entry.level), logging.DEBUG)
        message = str(entry.msg).strip()
        found = _LINE.match(message)
        part, text = found.groups() if found else ("", message)
        named = structlog.get_logger(f"bridge.pjsip.{part}" if part else "bridge.pjsip")
        named.log(level, "pjsip", line=_SECRET.sub(r"\1***", text)[:_MOST_CHARS])


def identity_of(settings: SipSettings, port: int, user: str) -> str:
    """Return a user's SIP URI at our address as others see it; ``port`` is where SIP is heard."""
    host = settings.public_address or _THIS_MACHINE.get(settings.host, settings.host)
    return f"sip:{user}@{host_and_port(host, port)}"


def endpoint_config(settings: SipSettings, writer: LogWriter) -> Any:
    """Return PJSIP's own configuration; its log lines go to ``writer``, which must be kept."""
    config = pj.EpConfig()
    config.uaConfig.threadCnt = 0
    config.uaConfig.mainThreadOnly = True
    config.uaConfig.maxCalls = _MOST_CALLS
    config.uaConfig.userAgent = "telephony-bridge"
    config.logConfig.level = settings.log_level
    config.logConfig.consoleLevel = settings.log_level  # the writer is the console
    config.logConfig.writer = writer
    config.medConfig.clockRate = config.medConfig.sndClockRate = settings.audio_hz
    config.medConfig.audioFramePtime = FRAME_MS
    config.medConfig.quality = _SMALL_FILTER
    config.medConfig.noVad = True
    config.medConfig.ecTailLen = 0
    return config


def listen(endpoint: Any, settings: SipSettings) -> int:
    """Open PJSIP's SIP sockets, on UDP and TCP; return their port.

    Raises:
        InfrastructureError: the port is taken, or the address isn't this machine's.
    """
    config = transport_config(settings)
    kinds = tuple(
        transport_kind(settings, kind) for kind in (pj.PJSIP_TRANSPORT_UDP, pj.PJSIP_TRANSPORT_TCP)
    )
    attempts = 1 if settings.port else _PORT_ATTEMPTS
    for attempt in range(1, attempts + 1):
        config.port = settings.port
        try:
            return _listen_once(endpoint, config, *kinds)
        except pj.Error as error:
            if attempt == attempts:
                raise InfrastructureError(
                    f"SIP cannot listen on {host_and_port(settings.host, config.port)}: "
                    f"{error.reason}",
                    remedy="free the port, or set BRIDGE_SIP_PORT (0 takes a free one) or "
                    "BRIDGE_SIP_HOST",
                ) from error
    raise AssertionError("the last attempt returns or raises")


def transport_kind(settings: SipSettings, kind: int) -> int:
    """Return PJSIP's type of a transport in our family (`pjsip_transport_type_e`)."""
    return kind | int(pj.PJSIP_TRANSPORT_IPV6) if settings.is_ipv6 else kind


def transport_config(settings: SipSettings) -> Any:
    """Return the configuration of a socket at our address, without its port."""
    config = pj.TransportConfig()
    config.boundAddress = bound_address(settings)
    config.publicAddress = settings.public_address or ""
    return config


def _listen_once(endpoint: Any, config: Any, udp_kind: int, tcp_kind: int) -> int:
    """Listen on UDP, then on TCP at the same port; return it."""
    udp = endpoint.transportCreate(udp_kind, config)
    address = endpoint.transportGetInfo(udp).localName
    port = config.port = int(address.rsplit(":", 1)[1])
    try:
        endpoint.transportCreate(tcp_kind, config)
    except pj.Error:
        endpoint.transportClose(udp)
        raise
    return port


def choose_codecs(endpoint: Any, settings: SipSettings, ptime_ms: int | None) -> None:
    """Have PJSIP offer the settings' codecs alone, those of all trunks.

    Args:
        ptime_ms: audio in one packet of ours, a multiple of 10; None for PJSIP's 20.
    """
    _keep_level_of_g722()
    for codec in endpoint.codecEnum2():
        endpoint.codecSetPriority(codec.codecId, 0)
    for place, name in enumerate(settings.all_codecs):
        codec = _CODEC_IDS[name]
        endpoint.codecSetPriority(codec, _HIGHEST_PRIORITY - place)
        if ptime_ms is not None:
            parameters = endpoint.codecGetParam(codec)
            parameters.setting.frmPerPkt = ptime_ms // _CODEC_FRAME_MS
            endpoint.codecSetParam(codec, parameters)


def _keep_level_of_g722() -> None:
    """Have PJMEDIA's G.722 coder keep the level of what it sends and hears.

    It shifts samples by 2 bits. Against a coder that passes ITU-T's tests (libg722) what it sends
    so is 6 dB too quiet, and what it hears 6 dB too loud, until that clips and the level jumps;
    with 1 both are right, up to full scale (measured, 2.15.1 and 2.17).
    """
    set_shift = getattr(load_symbols(), "pjmedia_codec_g722_set_pcm_shift", None)
    if set_shift is not None:
        set_shift(_G722_SHIFT_BITS)


def account_config(settings: SipSettings, port: int) -> Any:
    """Return the configuration of our account; ``port`` is where SIP is heard."""
    config = pj.AccountConfig()
    config.idUri = identity_of(settings, port, ACCOUNT)
    config.mediaConfig.transportConfig.port = 0  # the kernel's choice; PJSUA's is 4000 upwards
    config.mediaConfig.transportConfig.boundAddress = bound_address(settings)
    config.mediaConfig.transportConfig.publicAddress = settings.public_address or ""
    family = pj.PJSUA_IPV6_ENABLED_USE_IPV6_ONLY if settings.is_ipv6 else pj.PJSUA_IPV6_DISABLED
    config.sipConfig.ipv6Use = config.mediaConfig.ipv6Use = family
    config.natConfig.udpKaIntervalSec = 0
    return config


def bound_address(settings: SipSettings) -> str:
    """Return the address that sockets are bound to, "" for all of this machine's in IPv4."""
    return "" if settings.host == "0.0.0.0" else settings.host
