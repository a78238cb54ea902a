"""Examines the loaded PJSIP by asking it what it can do rather than by its version."""

import ctypes
import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as distribution_version
from typing import Any

from bridge.config.sip import SipSettings
from bridge.errors import ConfigError, InfrastructureError
from bridge.telephony.known_faults import KnownFault, faults_of
from bridge.telephony.library import import_pjsua2, load_symbols
from bridge.telephony.memory_layout import memory_ports_problem

_MORE_CALLS_THAN_ANY = 1 << 20
_OLDEST_SUPPORTED_OPENSSL = (3, 0)
"""1.0.2 had its last public fix in December 2019, 1.1.1 in September 2023 (OpenSSL's release
strategy)."""

_VERSION_STRING = 0
"""`OPENSSL_VERSION`, and `SSLEAY_VERSION` before it (OpenSSL, crypto.h)."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the loaded PJSIP can do.

    Attributes:
        version: PJSIP's own.
        distribution: of the Python package; a local part (``+capacity``) marks our build.
        call_limit: calls in one process, compiled in (`PJSUA_MAX_CALLS`).
        conference_ports: of the conference bridge, compiled in (`PJSUA_MAX_CONF_PORTS`).
        ioqueue: how sockets are waited for, such as `select` or `epoll[0x3]`.
        tls_library: name and version; empty where PJSIP was built without one.
        tls_problem: why SIP over TLS isn't offered on it, or None.
        srtp_problem: why SRTP isn't offered on it, or None.
        ipv6_problem: why IPv6 isn't offered on it, or None.
        memory_ports_problem: why PJSIP's memory ports can't be used, or None.
        codecs: PJSIP's names, such as ``PCMU/8000/1``, in its order of preference.
        known_faults: of its release, by its version alone.
    """

    version: str
    distribution: str
    call_limit: int
    conference_ports: int
    ioqueue: str
    tls_library: str
    tls_problem: str | None
    srtp_problem: str | None
    ipv6_problem: str | None
    memory_ports_problem: str | None
    codecs: tuple[str, ...]
    known_faults: tuple[KnownFault, ...]


def examine() -> Capabilities:
    """Bring PJSIP up without any transport, ask it, and take it down.

    Raises:
        InfrastructureError: it isn't installed, doesn't load or doesn't come up.
    """
    pj: Any = import_pjsua2()
    symbols = load_symbols()
    symbols.pj_log_set_level(0)  # it would print to standard output
    endpoint = pj.Endpoint()
    try:
        endpoint.libCreate()
        endpoint.libInit(_configuration(pj))
        return _ask(endpoint, symbols)
    except pj.Error as error:
        raise InfrastructureError(f"PJSIP does not come up: {error.reason}") from error
    finally:
        endpoint.libDestroy(pj.PJSUA_DESTROY_NO_RX_MSG)
        pj.Endpoint.__swig_destroy__(endpoint)


def _configuration(pj: Any) -> Any:
    config = pj.EpConfig()
    config.uaConfig.threadCnt = 0
    config.uaConfig.maxCalls = _MORE_CALLS_THAN_ANY
    config.logConfig.level = config.logConfig.consoleLevel = 0
    return config


def _ask(endpoint: Any, symbols: ctypes.CDLL) -> Capabilities:
    symbols.pj_ioqueue_name.restype = ctypes.c_char_p
    ioqueue: bytes = symbols.pj_ioqueue_name()
    tls = _tls_library(symbols)
    version: str = endpoint.libVersion().full
    return Capabilities(
        version=version,
        distribution=_distribution(),
        call_limit=int(symbols.pjsua_call_get_max_count()),
        conference_ports=int(symbols.pjsua_conf_get_max_ports()),
        ioqueue=ioqueue.decode(),
        tls_library=tls,
        tls_problem=secure_sip_problem(symbols),
        srtp_problem=srtp_problem(symbols),
        ipv6_problem=ipv6_problem(),
        memory_ports_problem=memory_ports_problem(),
        codecs=tuple(str(codec.codecId) for codec in endpoint.codecEnum2()),
        known_faults=faults_of(version),
    )


def _distribution() -> str:
    try:
        return distribution_version("pjsua2-python")
    except PackageNotFoundError:  # a `pjsua2` that the user built without us
        return ""


def _tls_library(symbols: ctypes.CDLL) -> str:
    """Ask the OpenSSL that the extension itself is linked with, which needn't be Python's."""
    for name in ("OpenSSL_version", "SSLeay_version"):
        if hasattr(symbols, name):
            ask = getattr(symbols, name)
            ask.argtypes, ask.restype = [ctypes.c_int], ctypes.c_char_p
            answer: bytes = ask(_VERSION_STRING)
            return " ".join(answer.decode().split())
    return ""


def secure_sip_problem(symbols: ctypes.CDLL) -> str | None:
    """Return why SIP over TLS isn't offered on the loaded PJSIP, or None."""
    return tls_problem(_tls_library(symbols)) or _renewal_problem(symbols)


def ipv6_problem() -> str | None:
    """Return why IPv6 isn't offered on the loaded PJSIP, or None.

    An account's default is to have none where PJSIP was built without (`pjsua_acc_config_default`);
    its sockets would take IPv6 addresses all the same, and its accounts end the process.
    """
    pj: Any = import_pjsua2()
    if pj.AccountConfig().mediaConfig.ipv6Use != pj.PJSUA_IPV6_DISABLED:
        return None
    return "this PJSIP is built without IPv6 (PJ_HAS_IPV6)"


def check_settings(settings: SipSettings, symbols: ctypes.CDLL) -> None:
    """See that the loaded PJSIP can do what the settings want of TLS, SRTP and IPv6.

    Raises:
        ConfigError: it can't.
    """
    encrypted = [name for name, trunk in settings.trunks.items() if trunk.srtp != "off"]
    wanted = [("sip.tls", secure_sip_problem(symbols))] if settings.tls is not None else []
    wanted += [(f"sip.host {settings.host}", ipv6_problem())] if settings.is_ipv6 else []
    wanted += [(f"sip.trunks.{name}.srtp", srtp_problem(symbols)) for name in encrypted]
    for setting, problem in wanted:
        if problem is not None:
            raise ConfigError(
                f"{setting} can't be had: {problem}",
                remedy=f"install the capacity build (deploy/pjsip/build), or take out {setting}",
            )


def srtp_problem(symbols: ctypes.CDLL) -> str | None:
    """Return why SRTP isn't offered on the loaded PJSIP, or None."""
    if not hasattr(symbols, "pjmedia_transport_srtp_create"):
        return "this PJSIP is built without libsrtp"
    return tls_problem(_tls_library(symbols))  # which makes the keys


def _renewal_problem(symbols: ctypes.CDLL) -> str | None:
    if hasattr(symbols, "pjsua_transport_lis_restart"):
        return None
    return "this PJSIP is older than 2.17: it can't renew a certificate"


def tls_problem(library: str) -> str | None:
    """Return why SIP over TLS isn't offered on a TLS library, or None where it is fit for it.

    Args:
        library: as it names itself, such as ``OpenSSL 1.0.2k-fips 26 Jan 2017``.
    """
    if not library:
        return "this PJSIP is built without OpenSSL"
    numbers = re.match(r"OpenSSL (\d+)\.(\d+)", library)
    if numbers is None:
        return f"{library} is no OpenSSL"
    if tuple(map(int, numbers.groups())) >= _OLDEST_SUPPORTED_OPENSSL:
        return None
    return f"{' '.join(library.split()[:2])} is past its end of life, its holes stay open"
