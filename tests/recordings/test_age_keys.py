"""Files of age's keys: those of its own tools, and those that people get wrong."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.errors import ConfigError
from bridge.recordings.age_keys import check_keys, read_identities, read_recipients
from tests.support.age import AgeKey, make_key


@pytest.fixture
def key(tmp_path: Path) -> AgeKey:
    return make_key(tmp_path)


def test_files_of_age_itself_are_read(key: AgeKey) -> None:
    key.recipients.write_text(f"# the safe's key\n\n  {key.public}  \n")
    assert read_recipients(key.recipients).names == (key.public,)
    assert read_identities(key.identities).opens == {key.public}  # with age-keygen's own comments


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds no recipient"),
        (b"# none yet\n", "holds no recipient"),
        (b"age1qqqq\n", ":1: is no recipient"),
        (b"\n\nssh-ed25519 AAAA me@here\n", ":3: is no recipient"),
        (b"\xff\xfe\x00", "is not text"),
    ],
)
def test_what_is_no_recipient_is_an_error_with_its_place(
    tmp_path: Path, content: bytes, said: str
) -> None:
    path = tmp_path / "recipients"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_recipients(path)
    assert said in str(caught.value)
    assert "age-keygen -y" in str(caught.value)


@pytest.mark.parametrize("read", [read_recipients, read_identities])
def test_a_file_that_is_missing_is_an_error(tmp_path: Path, read: Callable[[Path], object]) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read(tmp_path / "nothing")


def test_a_secret_key_among_the_recipients_is_refused_and_not_repeated(key: AgeKey) -> None:
    with pytest.raises(ConfigError, match="is a secret key") as caught:
        read_recipients(key.identities)
    assert "AGE-SECRET-KEY-1" not in str(caught.value).replace("AGE-SECRET-KEY-1...", "")


def test_a_secret_key_with_a_slip_is_not_repeated(key: AgeKey) -> None:
    secret = key.identities.read_text().splitlines()[-1]
    key.identities.write_text(secret[:-1] + ("Q" if secret[-1] != "Q" else "P"))
    with pytest.raises(ConfigError, match="is no identity") as caught:
        read_identities(key.identities)
    assert secret[:30] not in str(caught.value)


def test_keys_that_do_not_fit_are_an_error_and_those_that_do_are_not(
    tmp_path: Path, key: AgeKey
) -> None:
    other = make_key(tmp_path, "other")
    check_keys(None, None)
    check_keys(key.recipients, None)
    check_keys(key.recipients, key.identities)
    with pytest.raises(ConfigError, match="no identity of it opens") as caught:
        check_keys(key.recipients, other.identities)
    assert key.public in str(caught.value)
    assert other.public in str(caught.value)
    key.recipients.write_text(f"{key.public}\n{other.public}\n")
    check_keys(key.recipients, other.identities)


def test_identities_are_not_shown(key: AgeKey) -> None:
    assert "SECRET" not in repr(read_identities(key.identities))
