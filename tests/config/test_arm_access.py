"""What an arm's settings may say of the way to its service, and what is refused with its reason."""

from pathlib import Path
from typing import Any

import pytest

from bridge.config.loading import load_settings
from bridge.config.secret_places import SecretPlace
from bridge.config.settings import ArmSettings
from bridge.errors import ConfigError
from tests.support.processes import write_yaml

SECRET = "sk-live-Gnu5150_Tapir3141"
KEY = {"api_key_env": "KEY"}


def refusal(tmp_path: Path, **fields: Any) -> str:
    arm = {"url": "wss://h/v1/realtime", **fields}
    path = write_yaml(tmp_path / "bridge.yaml", {"arms": {"a": arm}})
    with pytest.raises(ConfigError) as caught:
        load_settings(path, {})
    assert caught.value.path == str(path)
    assert caught.value.line
    return str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        *("Host", "host", "Upgrade", "Connection", "Content-Length", "Content-Type", "TE"),
        *("Sec-WebSocket-Key", "sec-websocket-protocol", "Transfer-Encoding"),
        *("Proxy-Authorization", "Expect", "Keep-Alive"),
    ],
)
def test_headers_of_the_handshake_are_refused(tmp_path: Path, name: str) -> None:
    said = refusal(tmp_path, headers={name: "x"})
    assert f"is a header of the handshake's own ({name})" in said
    assert "arms.a.headers" in said


@pytest.mark.parametrize("name", ["X-A\r\nX-B", "X A", "X:", "", "Grüße", "X\n", "x" * 200])
def test_names_that_are_no_tokens_are_refused(tmp_path: Path, name: str) -> None:
    assert "should match pattern" in refusal(tmp_path, headers={name: "x"})


@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        (f"{SECRET}\r\nX-Other: 1", "line ends or other control characters"),
        (f"{SECRET}\n", "line ends or other control characters"),
        (f"{SECRET}\x00", "line ends or other control characters"),
        (f"{SECRET} größer", "letters beyond ASCII"),  # Latin-1
        (f"{SECRET} \u20ac", "letters beyond ASCII"),
        (" ", "holds nothing"),
        (SECRET * 500, "is too long"),
    ],
)
@pytest.mark.parametrize("kind", ["headers", "query"])
def test_values_that_fit_no_header_are_refused_unrepeated(
    tmp_path: Path, kind: str, value: str, wrong: str
) -> None:
    said = refusal(tmp_path, **{kind: {"X-Tenant": value}})
    assert f"arms.a.{kind}.X-Tenant {wrong}" in said or wrong in said
    assert SECRET not in said


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("headers", "Authorization"),
        ("headers", "api-key"),
        ("headers", "X-Gateway-Token"),
        ("headers", "Cookie"),
        ("headers", "Ocp-Apim-Subscription-Key"),
        ("query", "api-key"),
        ("query", "sig"),
        ("query", "code"),
    ],
)
def test_a_secret_written_into_the_settings_is_refused(
    tmp_path: Path, kind: str, name: str
) -> None:
    said = refusal(tmp_path, **{kind: {name: SECRET}})
    assert f"{kind}.{name}: {{env: NAME}}" in said
    assert SECRET not in said


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"headers": {"X-A": "1", "x-a": "2"}}, "has the header x-a twice"),
        ({"headers": {"OpenAI-Beta": "realtime=v1"}}, "set the arm's dialect"),
        ({**KEY, "headers": {"Authorization": {"env": "X"}}}, "a key that goes there"),
        ({**KEY, "auth": "header", "headers": {"API-Key": {"env": "X"}}}, "where the key goes"),
        ({**KEY, "auth": "header", "auth_name": "Host"}, "a header of the handshake's own"),
        ({**KEY, "auth": "query", "query": {"api-key": {"env": "X"}}}, "api-key twice"),
        ({"query": {"model": "x"}}, "model twice"),
        ({"url": "wss://h/realtime?a=1", "query": {"a": "2"}}, "a twice"),
        ({"auth": "header"}, "auth: header and no key"),
        ({**KEY, "auth_name": "x-key"}, "auth_name, which is for auth: header and query"),
        ({**KEY, "auth": "digest"}, "should be one of bearer, basic, header, query"),
        ({"url": "ws://h/realtime", "ca_file": "ca.pem"}, "ca_file and a url without TLS"),
        ({"client_key_file": "k.pem"}, "client_key_file and no client_cert_file"),
        ({"proxy": "env", "proxy_credentials": {"env": "P"}}, "names no proxy"),
        ({"headers": {"X-A": {"env": "A", "file": "b"}}}, "one of env and file"),
        ({"headers": {"X-A": {}}}, "one of env and file"),
        ({"headers": {"X-A": {"env": "no name"}}}, "should match pattern"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, fields: dict[str, Any], said: str) -> None:
    assert said in refusal(tmp_path, **fields)


@pytest.mark.parametrize(
    "proxy",
    [
        *("https://proxy:443", "socks5://proxy:1080", "proxy:3128", "http://", "HTTP"),
        *("http://proxy:0", "http://proxy:x", "http://proxy:3128/path", "http://proxy?x=1"),
    ],
)
def test_proxies_that_are_not_spoken_with_are_refused(tmp_path: Path, proxy: str) -> None:
    assert "should be http://HOST:PORT, env or none" in refusal(tmp_path, proxy=proxy)


def test_a_password_in_the_proxys_url_is_refused_unrepeated(tmp_path: Path) -> None:
    said = refusal(tmp_path, proxy=f"http://u:{SECRET}@proxy:3128")
    assert "give them by proxy_credentials" in said
    assert SECRET not in said


def test_each_secret_has_its_place_by_the_setting_that_names_it() -> None:
    arm = ArmSettings.model_validate(
        {
            "url": "wss://h/v1/realtime",
            "api_key_file": "key",
            "headers": {"OpenAI-Organization": "org-1", "X-Gateway-Key": {"env": "GATEWAY"}},
            "query": {"api-version": "1", "sig": {"file": "sig"}},
            "proxy": "http://proxy:3128",
            "proxy_credentials": {"env": "PROXY"},
        }
    )
    assert arm.secret_places("a") == {
        "arms.a.api_key_file": SecretPlace(file=Path("key")),
        "arms.a.headers.X-Gateway-Key": SecretPlace(env="GATEWAY"),
        "arms.a.query.sig": SecretPlace(file=Path("sig")),
        "arms.a.proxy_credentials": SecretPlace(env="PROXY"),
    }
