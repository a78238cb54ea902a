"""What each worker has of its own, and what several can't have."""

import socket
from pathlib import Path
from typing import Any

import pytest

from bridge.app.workers.kamailio import check_port_is_free, plan_edge, trunks_list
from bridge.app.workers.plan import count_of, plan_workers
from bridge.config.settings import Settings
from bridge.config.sip import SipSettings
from bridge.errors import ConfigError, InfrastructureError

REDIS = "redis://127.0.0.1/0"


def settings(**sip: object) -> Settings:
    return Settings.model_validate({"sip": sip})


def test_ranges_of_rtp_ports_are_apart_and_leave_room_for_a_replacement() -> None:
    plans = plan_workers(settings(rtp_port_min=40_001, rtp_port_max=40_099), 2, "here", REDIS)
    ranges = [
        (
            int(plan.variables["BRIDGE_SIP_RTP_PORT_MIN"]),
            int(plan.variables["BRIDGE_SIP_RTP_PORT_MAX"]),
        )
        for plan in plans
    ]
    assert ranges == [(40_002, 40_033), (40_034, 40_065), (40_066, 40_097)]
    assert [plan.variables["BRIDGE_NODE"] for plan in plans] == ["here-w1", "here-w2", "here-w3"]


def test_too_few_ports_are_refused() -> None:
    with pytest.raises(ConfigError, match="too few ports for 9 workers"):
        plan_workers(settings(rtp_port_min=40_000, rtp_port_max=40_009, max_calls=2), 8, "x", REDIS)


def test_auto_leaves_a_core_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {*range(16)})
    assert count_of("auto") == 15
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0})
    assert count_of("auto") == 1
    assert count_of(3) == 3


def test_what_one_process_alone_can_have_is_refused() -> None:
    trunk = {
        "addresses": "192.0.2.1",
        "registration": {"registrar": "sip:registrar.example", "user": "bridge"},
    }
    with pytest.raises(ConfigError, match=r"sip\.trunks\.pbx\.registration belongs to one process"):
        plan_workers(settings(trunks={"pbx": trunk}), 2, "x", REDIS)


def test_carriers_networks_have_their_bits_in_a_column() -> None:
    sip = SipSettings.model_validate({"trunks": {"pbx": {"addresses": "192.0.2.64/28"}}})
    assert trunks_list(sip) == "1 127.0.0.0 8\n1 192.0.2.64 28\n"


def test_missing_kamailio_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(InfrastructureError, match="apt install kamailio"):
        plan_edge(SipSettings(), 5060, Path("/tmp/x"))


def test_taken_sip_port_is_not_shared() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(InfrastructureError, match=f"SIP port {port}"):
            check_port_is_free("127.0.0.1", port)


def test_free_port_is_free_for_udp_and_tcp(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []

    class HalfTaken(socket.socket):
        """The first two ports are some connection's."""

        def bind(self, address: Any) -> None:  # Any: as socket has it
            if self.type == socket.SOCK_STREAM and len(taken) < 2:
                taken.append(address[1])
                raise OSError(98, "Address already in use")
            super().bind(address)

    monkeypatch.setattr(socket, "socket", HalfTaken)
    port = check_port_is_free("127.0.0.1", 0)
    assert len(taken) == 2
    assert port not in (0, *taken)
    taken.clear()
    with pytest.raises(InfrastructureError, match=f"SIP port {port}"):
        check_port_is_free("127.0.0.1", port)
    assert taken == [port]
