from pathlib import Path

import pytest

from bridge.config.loading import load_settings, variable_names
from bridge.config.secret_places import SecretPlace
from bridge.config.settings import MediaSettings, Settings
from bridge.errors import ConfigError
from bridge.session.access_reader import read_access


def error_text(environ: dict[str, str], path: Path | None = None) -> str:
    with pytest.raises(ConfigError) as raised:
        load_settings(path, environ)
    return str(raised.value)


@pytest.fixture
def settings_file(tmp_path: Path) -> Path:
    path = tmp_path / "bridge.yaml"
    path.write_text(
        "node: one\n"
        "sip: {port: 5070, host: 127.0.0.1}\n"
        "arms:\n"
        "  local: {url: 'ws://127.0.0.1:1/v1/realtime'}\n"
    )
    return path


def test_without_file_and_environment_defaults_stand() -> None:
    assert load_settings(None, {"PATH": "/bin", "HOME": "/"}) == Settings()


def test_environment_stands_above_the_file(settings_file: Path) -> None:
    settings = load_settings(settings_file, {"BRIDGE_SIP_PORT": "6060", "BRIDGE_NODE": "two"})
    assert settings.sip.port == 6060
    assert settings.node == "two"
    assert settings.sip.host == "127.0.0.1"
    assert settings.realtime_arms["local"].url.endswith("/v1/realtime")


def test_file_is_found_through_bridge_config(settings_file: Path) -> None:
    assert load_settings(None, {"BRIDGE_CONFIG": str(settings_file)}).node == "one"


@pytest.mark.parametrize(
    ("variable", "text", "section", "field", "expected"),
    [
        ("BRIDGE_REDIS_URL", "redis://h:1/0", "redis", "url", "redis://h:1/0"),
        ("BRIDGE_MEDIA_PORTS", "memory", "media", "ports", "memory"),
        ("BRIDGE_MEDIA_APPEND_MS", "60", "media", "append_ms", 60),
        ("BRIDGE_HTTP_PORT", "0", "http", "port", 0),
        ("BRIDGE_SIP_CODECS", "PCMA, PCMU", "sip", "codecs", ("PCMA", "PCMU")),
        ("BRIDGE_SIP_CODECS", '["PCMA", "PCMU"]', "sip", "codecs", ("PCMA", "PCMU")),
        (
            "BRIDGE_SIP_SUPERVISOR_PHONES",
            '["sip:*@desk.example", "sip:2??@pbx.example"]',
            "sip",
            "supervisor_phones",
            ("sip:*@desk.example", "sip:2??@pbx.example"),
        ),
        ("BRIDGE_SESSION_OPEN_TIMEOUT_S", "2.5", "session", "open_timeout_s", 2.5),
        ("BRIDGE_TELEMETRY_REVEAL_PII", "true", "telemetry", "reveal_pii", True),
        ("BRIDGE_MEDIA_RECORDINGS_DIR", "r", "media", "recordings_dir", Path("r")),
    ],
)
def test_section_variables(
    variable: str, text: str, section: str, field: str, expected: object
) -> None:
    settings = load_settings(None, {variable: text})
    assert getattr(getattr(settings, section), field) == expected


def test_top_level_variables() -> None:
    environ = {
        "BRIDGE_DIALPLANS_DIR": "plans",
        "BRIDGE_ARMS": '{"cloud": {"url": "wss://h/v1/realtime", "api_key_env": "KEY"}}',
    }
    settings = load_settings(None, environ)
    assert settings.dialplans_dir == Path("plans")
    assert settings.realtime_arms["cloud"].api_key_env == "KEY"


def test_section_that_may_be_absent_is_one_variable() -> None:
    environ = {"BRIDGE_SIP_TLS": '{"port": 0, "cert_file": "cert.pem", "key_file": "key.pem"}'}

    tls = load_settings(None, environ).sip.tls

    assert tls is not None
    assert (tls.port, tls.cert_file) == (0, Path("cert.pem"))
    assert load_settings(None, {"BRIDGE_SIP_TLS": ""}).sip.tls is None


def test_every_field_has_a_variable_and_no_two_share_one() -> None:
    names = variable_names()
    assert len(set(names)) == len(names)
    assert {"BRIDGE_CONFIG", "BRIDGE_NODE", "BRIDGE_SIP_PORT", "BRIDGE_REDIS_URL"} <= set(names)


def test_empty_variable_counts_as_not_set(settings_file: Path) -> None:
    assert load_settings(settings_file, {"BRIDGE_NODE": "", "BRIDGE_CONFIG": ""}).node == "one"


def test_bad_values_name_their_variables() -> None:
    environ = {"BRIDGE_SIP_PORT": "70000", "BRIDGE_MEDIA_PORTS": "memry", "BRIDGE_NODE": "A b"}
    assert error_text(environ).splitlines() == [
        "BRIDGE_NODE: node should match pattern '^[a-z0-9][a-z0-9_-]{0,63}$'",
        "BRIDGE_SIP_PORT: sip.port should be less than or equal to 65535",
        "BRIDGE_MEDIA_PORTS: media.ports should be one of auto, memory, callback, not 'memry';"
        " did you mean 'memory'?; correct the variable or unset it",
    ]


def test_bad_value_inside_a_mapping_names_the_variable() -> None:
    assert error_text({"BRIDGE_ARMS": "{a: {url: 'ws://x', modle: y}}"}).startswith(
        "BRIDGE_ARMS: arms.a.modle is not known; did you mean 'model'?"
    )
    error = error_text({"BRIDGE_SIP_TLS": "yes"})
    assert error.startswith("BRIDGE_SIP_TLS: sip.tls should be a mapping")
    assert error_text({"BRIDGE_ARMS": "{a: "}) == "BRIDGE_ARMS should be JSON or YAML on one line"


def test_unknown_variable_is_refused_with_a_suggestion() -> None:
    text = error_text({"BRIDGE_SIP_PRT": "1", "BRIDGE_QQ": "1"})
    assert text.splitlines() == [
        "the environment variable BRIDGE_QQ is not known",
        "the environment variable BRIDGE_SIP_PRT is not known, did you mean 'BRIDGE_SIP_PORT'?;"
        " correct its name or unset it",
    ]


def test_test_variables_are_let_through() -> None:
    assert load_settings(None, {"BRIDGE_TEST_SCALE": "3"}) == Settings()


def test_file_mistake_is_told_with_its_line_even_if_a_variable_hides_it(tmp_path: Path) -> None:
    path = tmp_path / "bridge.yaml"
    path.write_text("sip:\n  port: x\n")
    text = error_text({"BRIDGE_SIP_PORT": "1"}, path)
    assert text.startswith(f"{path}:2: sip.port should be a valid integer")


def test_secret_in_a_bad_variable_is_not_repeated() -> None:
    assert "hunter2" not in error_text({"BRIDGE_ARMS": "{a: {url: 'http://:hunter2@x'}}"})


def test_two_places_for_a_key_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bridge.yaml"
    path.write_text(
        "arms:\n  a:\n    url: ws://x\n    api_key_env: K\n    api_key_file: /dev/null\n"
    )
    assert error_text({}, path) == (
        f"{path}:2: arms.a names both api_key_env and api_key_file: keep one"
    )


def test_trunk_is_known_by_its_address() -> None:
    trunks = "{a: [192.0.2.7, 2001:db8::/32], b: [192.0.2.0/24]}"
    sip = load_settings(None, {"BRIDGE_SIP_TRUNKS": trunks, "BRIDGE_NODE": "n"}).sip
    known = ("192.0.2.7", "192.0.2.8", "2001:db8::1", "198.51.100.1", "", "gw.example")
    assert [sip.trunk_of(host) for host in known] == ["a", "b", "a", "", "", ""]


@pytest.mark.parametrize(
    ("calls", "wanted", "append_ms"),
    [(4, "auto", 40), (100, "auto", 40), (101, "auto", 60), (4, 60, 60)],
)
def test_many_calls_share_fewer_longer_appends(calls: int, wanted: object, append_ms: int) -> None:
    settings = MediaSettings.model_validate({"append_ms": wanted})
    assert settings.append_ms_for(calls) == append_ms


CREDENTIALS = """\
arms:
  live:
    url: wss://realtime.example.com/v1/realtime
    api_key_file: ${CREDENTIALS_DIRECTORY}/secret_realtime
    headers:
      X-Tenant: {file: "${CREDENTIALS_DIRECTORY}/secret_tenant"}
sip:
  tls: {cert_file: /etc/ssl/sip.pem, key_file: "${CREDENTIALS_DIRECTORY}/secret_sip.key"}
"""


def test_paths_of_credentials_are_in_the_directory_that_systemd_names(tmp_path: Path) -> None:
    path = tmp_path / "bridge.yaml"
    path.write_text(CREDENTIALS)
    settings = load_settings(path, {"CREDENTIALS_DIRECTORY": "/run/credentials/bridge.service"})
    arm = settings.realtime_arms["live"]
    assert arm.api_key_file == Path("/run/credentials/bridge.service/secret_realtime")
    tenant = arm.headers["X-Tenant"]
    assert isinstance(tenant, SecretPlace)
    assert tenant.file == Path("/run/credentials/bridge.service/secret_tenant")
    assert settings.sip.tls is not None
    assert settings.sip.tls.key_file == Path("/run/credentials/bridge.service/secret_sip.key")
    assert settings.sip.tls.cert_file == Path("/etc/ssl/sip.pem")


@pytest.mark.parametrize("environ", [{}, {"CREDENTIALS_DIRECTORY": ""}])
def test_credentials_without_their_directory_are_missed_by_whoever_reads_them(
    environ: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "bridge.yaml"
    path.write_text(CREDENTIALS)
    settings = load_settings(path, environ)  # as `bridge calls list` needs it
    with pytest.raises(ConfigError, match="cannot be read") as raised:
        read_access(settings.realtime_arms, environ)
    assert "${CREDENTIALS_DIRECTORY}/secret_realtime" in str(raised.value)


@pytest.mark.parametrize(
    "word", ["a${CREDENTIALS_DIRECTORY}/b", "${HOME}/b", "$CREDENTIALS_DIRECTORY/b"]
)
def test_no_other_variable_and_no_other_place_of_it_is_read(word: str, tmp_path: Path) -> None:
    path = tmp_path / "bridge.yaml"
    path.write_text(f"state_dir: '{word}'\n")
    assert load_settings(path, {"CREDENTIALS_DIRECTORY": "/c", "HOME": "/h"}).state_dir == Path(
        word
    )
