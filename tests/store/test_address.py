"""URLs of Redis: what they name, what they keep to themselves, and those that can't be read."""

import pytest

from bridge.errors import ConfigError
from bridge.store.address import open_redis, read_address


@pytest.mark.parametrize(
    ("url", "places", "master", "says"),
    [
        ("redis://h", (("h", 6379),), "", "h:6379"),
        ("rediss://u:hunter2@[::1]:7/3", (("::1", 7),), "", "::1:7"),
        ("unix:///run/a%20b.sock", (), "", "/run/a b.sock"),
        (
            "redis+sentinel://u:hunter2@a:1,b,[::1]:2/calls/4",
            (("a", 1), ("b", 26379), ("::1", 2)),
            "calls",
            "calls (Sentinels a:1, b:26379, ::1:2)",
        ),
    ],
)
def test_places(url: str, places: object, master: str, says: str) -> None:
    address = read_address(url)
    assert (address.places, address.master, address.says) == (places, master, says)
    assert "hunter2" not in repr(address)


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://a:1,b:2",
        "redis+sentinel://a:1,b:2/",
        "redis+sentinel://a:x/calls",
        "redis+sentinel://a/calls/one",
        "redis+sentinel://a/calls/0/1",
        "redis://h/calls",
        "redis://h?username_file=/run/user",
        "redis://h?nonsense=1",
        "redis+sentinel://a/calls?nonsense=1",
        "http://h",
        "http+sentinel://h/calls",
        "unix+sentinel://h/calls",
        "",
    ],
)
def test_a_url_that_cannot_be_read(url: str) -> None:
    with pytest.raises(ConfigError, match="the URL of Redis can't be read"):
        open_redis(read_address(url), 1.0)


@pytest.mark.parametrize("scheme", ["rediss", "rediss+sentinel"])
def test_a_certificates_name_is_checked_unless_the_url_says_otherwise(scheme: str) -> None:
    for option, checked in (("", True), ("?ssl_check_hostname=false", False)):
        opened = open_redis(read_address(f"{scheme}://h/0{option}"), 1.0)
        options = opened.client.connection_pool.connection_kwargs
        assert options["ssl_check_hostname"] is checked
