"""A Redis by TLS: authorities, names, dates, certificates of clients, and what is said of each."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bridge.store.client import RedisLink
from bridge.store.trouble import Trouble
from tests.support.certificates import Authority
from tests.support.redis_servers import RedisServer, redis_server, trouble_of

pytestmark = pytest.mark.redis


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ours")


@contextmanager
def serving(
    authority: Authority, *arguments: str, hosts: tuple[str, ...] = ("127.0.0.1",), days: float = 30
) -> Iterator[RedisServer]:
    certificate = authority.sign("redis", hosts=hosts, days_left=days)
    given = ("--tls-ca-cert-file", str(authority.cert_file), *arguments)
    with redis_server(*given, tls=certificate) as server:
        yield server


def url_of(server: RedisServer, authority: Authority, options: str = "") -> str:
    return f"rediss://127.0.0.1:{server.port}?ssl_ca_certs={authority.cert_file}{options}"


async def test_a_certificate_of_the_named_authority(authority: Authority) -> None:
    with serving(authority) as server:
        link = RedisLink(url_of(server, authority), timeout_s=2)
        assert await link.ask(["PING"]) == "PONG"
        await link.aclose()


@pytest.mark.parametrize(
    ("hosts", "days", "why"),
    [
        (("redis.example.com",), 30, "IP address mismatch"),
        (("127.0.0.1",), -1, "certificate has expired"),
    ],
)
async def test_a_certificate_that_does_not_hold(
    authority: Authority, hosts: tuple[str, ...], days: float, why: str
) -> None:
    with serving(authority, hosts=hosts, days=days) as server:
        error = await trouble_of(url_of(server, authority))
    assert error.trouble is Trouble.CERTIFICATE
    assert why in str(error)


async def test_an_authority_of_the_same_name_that_did_not_sign_it(
    authority: Authority, tmp_path: Path
) -> None:
    with serving(authority) as server:
        error = await trouble_of(url_of(server, Authority(tmp_path / "theirs")))
    assert error.trouble is Trouble.CERTIFICATE
    assert "not trusted" in str(error)
    assert "ssl_ca_certs" in str(error)


async def test_a_server_that_wants_the_clients_certificate(
    authority: Authority, tmp_path: Path
) -> None:
    with serving(authority, "--tls-auth-clients", "yes") as server:
        without = await trouble_of(url_of(server, authority))
        assert without.trouble is Trouble.CLIENT_CERTIFICATE
        certificate, key = authority.sign("bridge")
        shown = f"&ssl_certfile={certificate}&ssl_keyfile={key}"
        link = RedisLink(url_of(server, authority, shown), timeout_s=2)
        assert await link.ask(["PING"]) == "PONG"
        await link.aclose()
        strange, its_key = Authority(tmp_path / "theirs").sign("bridge")
        shown = f"&ssl_certfile={strange}&ssl_keyfile={its_key}"
        refused = await trouble_of(url_of(server, authority, shown))
        assert refused.trouble is Trouble.CLIENT_CERTIFICATE
        mixed = f"&ssl_certfile={certificate}&ssl_keyfile={its_key}"
        unfit = await trouble_of(url_of(server, authority, mixed))
        assert unfit.trouble is Trouble.CLIENT_CERTIFICATE
        assert "ssl_certfile" in str(unfit)
