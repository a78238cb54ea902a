"""What `bridge serve` says when it can't start: one line, an exit code, and nothing left behind."""

import socket
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.certificates import make_certificate
from tests.support.gateways import write_dialplan, write_settings
from tests.support.processes import Ended, run_to_end, running
from tests.support.redis_servers import redis_server

pytestmark = [pytest.mark.sip, pytest.mark.redis]

BAD_INPUT, INFRASTRUCTURE = 2, 3


@contextmanager
def taken_port(kind: socket.SocketKind) -> Iterator[int]:
    """Hold a port on loopback."""
    with socket.socket(socket.AF_INET, kind) as holder:
        holder.bind(("127.0.0.1", 0))
        if kind is socket.SOCK_STREAM:
            holder.listen()
        yield holder.getsockname()[1]


@pytest.fixture
def settings(simulator: str, tmp_path: Path) -> Path:
    """Good settings, for a test to spoil."""
    return write_settings(tmp_path, simulator, write_dialplan(tmp_path / "dialplans"))


def serve(settings: Path, *options: str, **environ: str) -> Ended:
    return run_to_end(
        *("serve", "--config", str(settings), "--json", *options),
        directory=settings.parent,
        **environ,
    )


def assert_says(ended: Ended, code: int, *named: str) -> None:
    """Check exit code, the one line that names things, and that nothing was left."""
    assert ended.stdout == ""
    # Beside what was logged of the same, PJSIP's own words among it.
    said = [line for line in ended.stderr.splitlines() if not line.startswith("{")]
    assert len(said) == 1, ended.stderr
    assert said[0].startswith("error: "), ended.stderr
    for each in named:
        assert each in ended.stderr
    assert ended.code == code, ended.stderr
    assert ended.left == []
    print(ended.stderr.strip())


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM], ids=["udp", "tcp"])
def test_a_sip_port_in_use(settings: Path, kind: socket.SocketKind) -> None:
    with taken_port(kind) as port:
        ended = serve(settings, BRIDGE_SIP_PORT=str(port))
    assert_says(ended, INFRASTRUCTURE, f"127.0.0.1:{port}", "in use", "BRIDGE_SIP_PORT")


def test_an_http_port_in_use(settings: Path) -> None:
    with taken_port(socket.SOCK_STREAM) as port:
        ended = serve(settings, BRIDGE_HTTP_PORT=str(port))
    assert_says(ended, INFRASTRUCTURE, f"HTTP port {port}", "in use", "BRIDGE_HTTP_PORT")


def test_an_address_of_another_machine(settings: Path) -> None:
    ended = serve(settings, BRIDGE_SIP_HOST="203.0.113.77")  # RFC 5737: nobody's
    assert_says(ended, INFRASTRUCTURE, "203.0.113.77", "BRIDGE_SIP_HOST")


def test_a_redis_that_is_not_there(settings: Path) -> None:
    ended = serve(settings, BRIDGE_REDIS_URL="redis://127.0.0.1:1")
    assert_says(ended, INFRASTRUCTURE, "Redis", "127.0.0.1:1", "BRIDGE_REDIS_URL")
    assert "unset" not in ended.stderr


def assert_says_of_redis(settings: Path, url: str, *named: str) -> None:
    """Check the line of a start without Redis: it keeps secrets, and advises no other Redis."""
    ended = serve(settings, BRIDGE_REDIS_URL=url)
    assert_says(ended, INFRASTRUCTURE, "Redis", "BRIDGE_REDIS_URL", *named)
    assert "unset" not in ended.stderr
    assert "hunter2" not in ended.stderr


def test_a_redis_whose_authority_nobody_knows(settings: Path, tmp_path: Path) -> None:
    with redis_server(tls=make_certificate(tmp_path)) as redis:
        said = (f"127.0.0.1:{redis.port}", "not trusted", "self-signed", "ssl_ca_certs")
        assert_says_of_redis(settings, f"rediss://:hunter2@127.0.0.1:{redis.port}", *said)


def test_a_redis_with_tls_that_is_asked_without(settings: Path, tmp_path: Path) -> None:
    with redis_server(tls=make_certificate(tmp_path)) as redis:
        said = (f"127.0.0.1:{redis.port}", "TLS alone", "write rediss://")
        assert_says_of_redis(settings, f"redis://:hunter2@127.0.0.1:{redis.port}", *said)


def test_a_redis_without_tls_that_is_asked_with_it(settings: Path) -> None:
    with redis_server() as redis:
        said = (f"127.0.0.1:{redis.port}", "speaks no TLS", "write redis://")
        assert_says_of_redis(settings, f"rediss://:hunter2@127.0.0.1:{redis.port}", *said)


def test_a_database_that_redis_does_not_have(settings: Path) -> None:
    with redis_server() as redis:
        said = (f"127.0.0.1:{redis.port}", "no database 99", "/0")
        assert_says_of_redis(settings, f"redis://127.0.0.1:{redis.port}/99", *said)


def test_a_database_with_a_name(settings: Path) -> None:
    ended = serve(settings, BRIDGE_REDIS_URL="redis://127.0.0.1:1/calls")
    assert_says(ended, BAD_INPUT, "BRIDGE_REDIS_URL", "a number at")


def test_a_password_that_redis_refuses(settings: Path) -> None:
    with redis_server("--requirepass", "another") as redis:
        said = (f"127.0.0.1:{redis.port}", "refused the user or the password")
        assert_says_of_redis(settings, f"redis://:hunter2@127.0.0.1:{redis.port}", *said)


def test_a_realtime_server_that_is_not_there(simulator: str, tmp_path: Path) -> None:
    with taken_port(socket.SOCK_DGRAM) as port:  # nobody listens there for TCP
        dialplans = write_dialplan(tmp_path / "dialplans")
        url = f"ws://127.0.0.1:{port}/v1/realtime"
        ended = serve(write_settings(tmp_path, url, dialplans))
    assert_says(ended, INFRASTRUCTURE, "arm 'local'", f"127.0.0.1:{port}", "--no-preflight")


def test_a_wrong_key_is_found_before_any_call(settings: Path) -> None:
    ended = serve(settings, SIM_KEY="sk-wrong-0123456789")
    assert_says(ended, BAD_INPUT, "arm 'local'", "SIM_KEY")
    assert "sk-wrong" not in ended.stderr


def test_a_key_variable_that_is_not_set(settings: Path) -> None:
    ended = serve(settings, SIM_KEY="")
    assert_says(ended, BAD_INPUT, "SIM_KEY", "not set", "export SIM_KEY")


def test_a_dialplan_with_a_mistake(settings: Path, tmp_path: Path) -> None:
    dialplan = tmp_path / "dialplans" / "test.yaml"
    dialplan.write_text(
        textwrap.dedent(
            """\
            schema: dialplan/v1
            name: test
            match:
              - called: "*"
            arm: local
            agent:
              instructions: Be brief.
              voice_: marin
            """
        ),
        encoding="utf-8",
    )
    assert_says(serve(settings), BAD_INPUT, f"{dialplan}:8:", "voice_", "voice")


def test_a_dialplan_for_an_arm_that_does_not_exist(settings: Path, tmp_path: Path) -> None:
    write_dialplan(tmp_path / "dialplans", arm="remote")
    assert_says(serve(settings), BAD_INPUT, "test.yaml:", "remote", "local")


def test_dialplans_that_are_not_there(simulator: str, tmp_path: Path) -> None:
    settings = write_settings(tmp_path, simulator, tmp_path / "nowhere")
    assert_says(serve(settings), BAD_INPUT, str(tmp_path / "nowhere"))


def test_settings_that_are_not_there(tmp_path: Path) -> None:
    assert_says(serve(tmp_path / "no.yaml"), BAD_INPUT, "no.yaml")


def test_a_setting_with_a_mistake(settings: Path) -> None:
    ended = serve(settings, BRIDGE_SIP_PORT="many")
    assert_says(ended, BAD_INPUT, "BRIDGE_SIP_PORT", "correct the variable")


def test_a_recordings_directory_that_cannot_be_written(settings: Path, tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("not a directory")
    ended = serve(settings, BRIDGE_MEDIA_RECORDINGS_DIR=str(blocker / "recordings"))
    assert_says(ended, INFRASTRUCTURE, str(blocker / "recordings"), "BRIDGE_MEDIA_RECORDINGS_DIR")


def test_a_simulator_port_in_use(tmp_path: Path) -> None:
    with taken_port(socket.SOCK_STREAM) as port:
        ended = run_to_end("simulate", "--port", str(port), "--json", directory=tmp_path)
    assert_says(ended, INFRASTRUCTURE, f"127.0.0.1:{port}", "in use")


def test_a_scenario_with_a_mistake(tmp_path: Path) -> None:
    scenario = tmp_path / "scenario.yaml"
    scenario.write_text(
        textwrap.dedent(
            """\
            name: test
            greeting: Hello.
            fallback: What?
            rules:
              - hears: [Goodbye.]
                sai: Goodbye.
                say: Goodbye.
            """
        ),
        encoding="utf-8",
    )
    ended = run_to_end("simulate", "--scenario", str(scenario), directory=tmp_path)
    assert_says(ended, BAD_INPUT, f"{scenario}:6:", "sai", "'say'")


def test_two_gateways_on_one_port(settings: Path, tmp_path: Path) -> None:
    with running("serve", "--config", str(settings), "--json", directory=tmp_path) as first:
        port = first.ready["sip"].rsplit(":", 1)[1]
        ended = serve(settings, BRIDGE_SIP_PORT=port)
        assert_says(ended, INFRASTRUCTURE, f"127.0.0.1:{port}", "in use")
        assert first.processes
