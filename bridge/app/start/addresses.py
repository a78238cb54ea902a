"""The name of a node, and the addresses at which phones and browsers reach it."""

import re
import socket
from dataclasses import dataclass

import structlog

from bridge.config.console import ConsoleSettings
from bridge.config.settings import HttpSettings, Settings, is_loopback
from bridge.config.sip import SipSettings
from bridge.sip.addresses import host_and_port
from bridge.telephony.known_faults import faults_of

log = structlog.get_logger(__name__)

_EVERYWHERE = frozenset({"0.0.0.0", "::"})


@dataclass(frozen=True, slots=True)
class Addresses:
    """The addresses at which a started gateway is reached.

    Attributes:
        sip_tls: None where it doesn't listen for TLS.
        admin_link: makes the console's first admin, once, within the hour; None where there is one.
    """

    sip: str
    sip_tls: str | None
    http: str
    probes: str
    node: str
    max_calls: int
    admin_link: str | None = None


def node_name(sip_port: int) -> str:
    """Make up the name of a node that was given none."""
    host = re.sub(r"[^a-z0-9_-]", "-", socket.gethostname().lower()).strip("-_")
    return f"{host or 'node'}-{sip_port}"


def http_url(http: HttpSettings, console: ConsoleSettings, port: int) -> str:
    """Return where an HTTP server with these settings is heard."""
    scheme = "https" if console.tls else "http"
    return f"{scheme}://{host_and_port(http.host, port)}"


def warn_of_open_http(settings: Settings) -> None:
    """Log what other machines can read or reach without TLS; a trusted proxy's job is its own."""
    http, console = settings.http, settings.console
    if not (is_loopback(http.host) or console.tls or console.trusted_proxies):
        log.warning(
            "http_without_tls",
            host=http.host,
            remedy="set console.tls_cert_file and tls_key_file, or http.host: 127.0.0.1 behind a"
            " proxy that console.trusted_proxies names",
        )
    metrics_host = http.host if http.probes_port is None else http.probes_host
    if not is_loopback(metrics_host):
        log.warning(
            "metrics_open_to_other_machines",
            host=metrics_host,
            remedy="set http.probes_port, which listens on this machine alone unless"
            " http.probes_host says otherwise, or let a firewall choose who asks",
        )


def warn_of_strangers(settings: SipSettings) -> None:
    """Log that anybody is answered, or that nobody beyond this machine is."""
    if settings.strangers == "answer":
        log.warning(
            "sip_answers_strangers",
            host=settings.host,
            remedy="set sip.strangers: refuse, and list the carriers in sip.trunks",
        )
    elif not (is_loopback(settings.host) or settings.trunks):
        log.warning(
            "sip_without_trunks",
            host=settings.host,
            remedy="list in sip.trunks the addresses that calls come from: all others are refused",
        )


def warn_of_open_keys(settings: SipSettings) -> None:
    """Log which trunks' keys of SRTP can be read on the way."""
    for name, trunk in settings.trunks.items():
        if trunk.srtp != "off" and trunk.transport != "tls":
            log.warning(
                "srtp_keys_in_the_open",
                trunk=name,
                remedy=f"set sip.trunks.{name}.transport: tls: keys go with the SIP messages",
            )


def warn_of_demo_pjsip(settings: SipSettings, version: str) -> None:
    """Log that other machines reach a PJSIP whose faults nothing keeps from them: the pip wheel's.

    Args:
        version: of the loaded PJSIP.
    """
    unguarded = [fault.name for fault in faults_of(version) if fault.guard is None]
    if unguarded and not is_loopback(settings.host):
        log.warning(
            "pjsip_is_for_the_demo",
            host=settings.host,
            version=version,
            faults=unguarded,
            remedy="install the capacity build (deploy/pjsip/build), or set sip.host: 127.0.0.1;"
            " `bridge pjsip` names the faults",
        )


def browser_url(settings: Settings, heard_at: str) -> str:
    """Return where a browser finds the console; ``heard_at`` is where the server is heard."""
    # All addresses are where we hear, not what a browser asks for.
    here = heard_at.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
    return settings.console.public_url or here


def sip_address(settings: Settings, port: int) -> str:
    """Return where phones reach us; "" where we hear at every address, which is none."""
    host = settings.sip.public_address or settings.sip.host
    return "" if host in _EVERYWHERE else host_and_port(host, port)
