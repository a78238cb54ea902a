"""The endpoint itself: where it listens, how it starts and stops, and whom a URI calls."""

import gc
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
from structlog.testing import capture_logs

from bridge.config.sip import SipSettings
from bridge.errors import InfrastructureError, TelephonyError
from bridge.telephony import endpoint as endpoint_module
from bridge.telephony.endpoint import GUEST_ROWS, MediaPortsKind, SipEndpoint

pytestmark = pytest.mark.sip


def settings(port: int = 0, host: str = "127.0.0.1") -> SipSettings:
    return SipSettings(host=host, port=port)


@pytest.fixture
def endpoint() -> Iterator[SipEndpoint]:
    endpoint = SipEndpoint(settings())
    yield endpoint
    endpoint.stop()


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_a_port_in_use_is_named(kind: socket.SocketKind) -> None:
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", 0))
        if kind is socket.SOCK_STREAM:
            taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InfrastructureError) as caught:
            SipEndpoint(settings(port)).start()
    assert f"127.0.0.1:{port}" in str(caught.value)
    assert "BRIDGE_SIP_PORT" in caught.value.remedy
    again = SipEndpoint(settings(port))  # the failure took nothing with it
    again.start()
    again.stop()


def test_an_address_of_another_machine_is_named() -> None:
    with pytest.raises(InfrastructureError, match=r"192\.0\.2\.1"):
        SipEndpoint(settings(host="192.0.2.1")).start()


def test_a_free_port_is_free_for_udp_and_tcp(
    endpoint: SipEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A UDP port that the kernel gives may be taken for TCP: then another one is found."""
    pj = endpoint_module.pj
    create = pj.Endpoint.transportCreate
    blockers: list[socket.socket] = []

    def create_with_a_blocker(self: Any, kind: int, config: Any) -> Any:  # SWIG objects
        if kind == pj.PJSIP_TRANSPORT_TCP and len(blockers) < 2:
            blockers.append(socket.create_server(("127.0.0.1", config.port)))
        return create(self, kind, config)

    monkeypatch.setattr(pj.Endpoint, "transportCreate", create_with_a_blocker)
    endpoint.start()
    taken = {blocker.getsockname()[1] for blocker in blockers}
    for blocker in blockers:
        blocker.close()
    assert len(taken) == 2
    assert endpoint.port not in taken
    socket.create_connection(("127.0.0.1", endpoint.port), timeout=5).close()


def test_start_and_stop_over_and_over_leave_nothing() -> None:
    process = psutil.Process()

    def once() -> None:
        endpoint = SipEndpoint(settings(), refusal=lambda method: None)
        endpoint.start()
        endpoint.poll()
        endpoint.stop()
        endpoint.stop()  # twice is no error

    once()
    gc.collect()
    before = process.num_fds(), process.num_threads(), threading.active_count()
    for _ in range(10):
        once()
    gc.collect()
    assert (process.num_fds(), process.num_threads(), threading.active_count()) == before


def test_a_second_endpoint_is_refused(endpoint: SipEndpoint) -> None:
    """PJSIP would abort the process."""
    endpoint.start()
    with pytest.raises(TelephonyError, match="already runs"):
        SipEndpoint(settings()).start()
    endpoint.poll()  # the first is unharmed


def test_the_library_says_what_it_can_do(endpoint: SipEndpoint) -> None:
    endpoint.start()
    assert endpoint.info.version.startswith("2.")
    assert endpoint.info.call_limit >= 4
    assert endpoint.info.media_ports in {"memory", "callback"}
    assert endpoint.ports.arena.rows == endpoint.info.call_limit + GUEST_ROWS


_OPEN_AND_CLOSE_ROWS = """
import random, sys, time
from bridge.config.sip import SipSettings
from bridge.telephony.endpoint import SipEndpoint

endpoint = SipEndpoint(SipSettings(host="127.0.0.1", port=0), media_ports=sys.argv[1])
endpoint.start()
ports, rows, choose = endpoint.ports, [], random.Random(1)
most = min(endpoint.info.call_limit, int(sys.argv[2]))
end = time.monotonic() + 3
while time.monotonic() < end:
    if len(rows) < most and (not rows or choose.random() < 0.6):
        rows.append(ports.open_row())
    else:
        ports.close_row(rows.pop(choose.randrange(len(rows))))
    ports.refresh()
    time.sleep(choose.random() * 0.002)
assert ports.tx_positions.any(), "the audio clock stood still"
endpoint.stop()  # with rows open
print("done")
"""


@pytest.mark.parametrize("most_rows", [4, 200])
def test_rows_open_and_close_under_the_audio_clock(
    media_ports: MediaPortsKind, most_rows: int
) -> None:
    """In a process of its own, because what this is about would take it down."""
    script = ["-c", _OPEN_AND_CLOSE_ROWS, media_ports, str(most_rows)]
    command = [sys.executable, "-X", "faulthandler", *script]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, "done\n", "")


def test_what_pjsip_says_of_an_error_is_in_our_log() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        with capture_logs() as lines, pytest.raises(InfrastructureError):
            SipEndpoint(settings(taken.getsockname()[1])).start()
    said = [line for line in lines if line["event"] == "pjsip" and line["log_level"] == "warning"]
    assert any("Address already in use" in str(line["line"]) for line in said)
