"""An arm's secrets and certificates, read at the start and anew when their files are renewed."""

import os
import shutil
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization as ser
from structlog.testing import capture_logs

from bridge.config.settings import ArmSettings
from bridge.errors import ConfigError
from bridge.session.access_reader import AccessReader
from tests.support.certificates import Authority

OLD, NEW = "Zebra0451", "Quagga7788"


def reader(environ: dict[str, str] | None = None, **fields: Any) -> AccessReader:
    arm = ArmSettings.model_validate({"url": "wss://h/v1/realtime", **fields})
    return AccessReader("a", arm, environ or {})


def put(path: Path, text: str | None) -> None:
    if text is None:
        path.unlink()
    else:
        path.write_text(text, encoding="latin-1")


def put_unnoticed(path: Path, text: str) -> None:
    """Write as many letters into the same file, within one step of its file system's clock."""
    stamp = path.stat()
    path.write_text(text)
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text(f"{OLD}\n")
    return path


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


def refusal(environ: dict[str, str] | None = None, **fields: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        reader(environ, **fields)
    assert caught.value.remedy
    return str(caught.value)


async def test_everything_comes_from_where_the_settings_say(key_file: Path) -> None:
    access = await reader(
        {"GATEWAY": "g-1", "SIG": "s-1"},
        api_key_file=key_file,
        auth="header",
        headers={"OpenAI-Project": "p", "X-Gateway-Key": {"env": "GATEWAY"}},
        query={"api-version": "1", "sig": {"env": "SIG"}},
    ).get()
    assert access.request_headers == {
        "OpenAI-Project": "p",
        "X-Gateway-Key": "g-1",
        "api-key": OLD,
    }
    assert access.url_with("wss://h/x") == "wss://h/x?api-version=1&sig=s-1"
    assert access.secrets == ("g-1", "s-1")
    assert access.key_setting == "arms.a.api_key_file"


async def test_what_is_in_variables_alone_can_not_be_fresher() -> None:
    found = reader({"KEY": OLD}, api_key_env="KEY")
    assert not found.current.renews
    assert await found.get(anew=True) is found.current


@pytest.mark.parametrize("key", ["two words", "a\nb", "schlüssel", "a\u20ac", "a\x00b"])
def test_key_that_fits_no_header_is_refused_unrepeated(key: str) -> None:
    said = refusal({"KEY": key}, api_key_env="KEY")
    assert "arms.a.api_key_env" in said
    assert key not in said


def test_missing_secrets_are_named_by_their_setting(tmp_path: Path) -> None:
    assert "variable NOT_SET is not set, and arms.a.api_key_env names it" in refusal(
        api_key_env="NOT_SET"
    )
    said = refusal(headers={"X-Key": {"file": tmp_path / "none"}})
    assert "No such file" in said
    assert "arms.a.headers.X-Key" in said


async def test_a_renewed_file_is_taken_before_the_next_connection(key_file: Path) -> None:
    found = reader(api_key_file=key_file)
    first = await found.get()
    assert await found.get() is first
    put(key_file, NEW)
    with capture_logs() as logs:
        assert (await found.get()).key == NEW
    assert [line["event"] for line in logs] == ["arm.access_renewed"]
    assert NEW not in repr(logs)


async def test_a_file_that_is_replaced_by_another_is_taken(key_file: Path) -> None:
    """As an orchestrator renews secrets: a link is turned to another directory."""
    link = key_file.with_name("link")
    link.symlink_to(key_file)
    found = reader(api_key_file=link)
    other = key_file.with_name("other")
    put(other, NEW)
    (key_file.with_name("turned")).symlink_to(other)
    os.replace(key_file.with_name("turned"), link)
    assert (await found.get()).key == NEW


async def test_what_was_refused_is_read_whatever_its_stamp(key_file: Path) -> None:
    put(key_file, "Zebra0451")
    found = reader(api_key_file=key_file)
    put_unnoticed(key_file, "Zebra9999")
    assert (await found.get()).key == "Zebra0451"
    assert (await found.get(anew=True)).key == "Zebra9999"


@pytest.mark.parametrize("content", [None, "", f"{NEW}\n{NEW}", f"{NEW} {NEW}", "\xff"])
async def test_a_file_that_is_no_good_any_more_leaves_what_was(
    key_file: Path, content: str | None
) -> None:
    found = reader(api_key_file=key_file)
    put(key_file, content)
    with capture_logs() as logs:
        assert (await found.get()).key == OLD
        assert (await found.get(anew=True)).key == OLD
    (line,) = logs  # said once
    assert (line["event"], line["log_level"], line["arm"]) == (
        "arm.access_not_renewed",
        "warning",
        "a",
    )
    assert "arms.a.api_key_file" in line["error"]
    assert NEW not in line["error"]
    put(key_file, NEW)
    assert (await found.get()).key == NEW


async def test_certificates_are_read_once_and_when_they_change(
    tmp_path: Path, authority: Authority
) -> None:
    cert, key = authority.sign("bridge")
    found = reader(ca_file=authority.cert_file, client_cert_file=cert, client_key_file=key)
    first = await found.get()
    assert isinstance(first.tls, ssl.SSLContext)
    assert (await found.get(anew=True)).tls is first.tls
    other_cert, other_key = Authority(tmp_path / "other").sign("bridge")
    shutil.copy(other_cert, cert)
    with capture_logs() as logs:
        assert (await found.get()).tls is first.tls  # its key is still the old one
    assert [line["event"] for line in logs] == ["arm.access_not_renewed"]
    shutil.copy(other_key, key)
    renewed = await found.get()
    assert renewed.tls is not None
    assert renewed.tls is not first.tls


def test_certificates_that_can_not_be_used_are_named(tmp_path: Path, authority: Authority) -> None:
    cert, key = authority.sign("bridge")
    _, other_key = authority.sign("other")
    junk = tmp_path / "junk.pem"
    put(junk, "no PEM")
    cases: tuple[tuple[dict[str, Any], str], ...] = (
        ({"ca_file": junk}, "arms.a.ca_file"),
        ({"ca_file": tmp_path / "none"}, "arms.a.ca_file"),
        ({"client_cert_file": cert}, "arms.a.client_cert_file"),
        ({"client_cert_file": cert, "client_key_file": other_key}, "arms.a.client_cert_file"),
        ({"client_cert_file": junk, "client_key_file": key}, "arms.a.client_cert_file"),
    )
    for fields, setting in cases:
        assert setting in refusal(**fields)


def test_a_locked_key_asks_nobody_for_its_password(tmp_path: Path, authority: Authority) -> None:
    cert, key = authority.sign("bridge")
    plain = ser.load_pem_private_key(key.read_bytes(), None)
    locked = ser.BestAvailableEncryption(b"Okapi2029")
    key.write_bytes(plain.private_bytes(ser.Encoding.PEM, ser.PrivateFormat.PKCS8, locked))
    assert "no password" in refusal(client_cert_file=cert, client_key_file=key)


async def test_the_proxys_credentials_are_renewed_like_a_key(tmp_path: Path) -> None:
    path = tmp_path / "proxy"
    put(path, "name:Zebra0451")
    found = reader(proxy="http://proxy:3128", proxy_credentials={"file": path})
    assert found.current.proxies.secrets[0] == "name:Zebra0451"
    put(path, "name:Quagga7788")
    assert (await found.get()).proxies.secrets[0] == "name:Quagga7788"


@pytest.mark.parametrize("credentials", ["Okapi2029", ":Okapi2029"])
def test_credentials_of_a_proxy_without_a_name_are_refused(credentials: str) -> None:
    said = refusal({"P": credentials}, proxy="http://proxy:3128", proxy_credentials={"env": "P"})
    assert "arms.a.proxy_credentials" in said
    assert "name:password" in said
    assert "Okapi" not in said


def test_an_environment_without_a_usable_proxy_is_refused_at_the_start() -> None:
    environ = {"HTTPS_PROXY": "socks5://proxy:1080"}
    assert "HTTPS_PROXY" in refusal(environ)
    assert reader(environ, proxy="none").current.proxies.of("wss://h/") is None
