"""Secrets in variables and files: what is read, and what is wrong with a place."""

from pathlib import Path

import pytest

from bridge.config.secret_places import SecretPlace, check_text, read_secret
from bridge.errors import ConfigError

SECRET = "Tapir3141"
SETTING = "arms.a.api_key_file"


def read(place: SecretPlace, environ: dict[str, str] | None = None) -> str:
    return read_secret(place, SETTING, "API key", environ or {})


def test_white_space_around_a_secret_is_not_of_it(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(f"{SECRET}\r\n")
    assert read(SecretPlace(file=path)) == SECRET
    assert read(SecretPlace(env="KEY"), {"KEY": f" {SECRET} \n"}) == SECRET


@pytest.mark.parametrize("environ", [{}, {"KEY": ""}, {"KEY": " \n"}])
def test_a_variable_without_a_secret_is_named(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"variable KEY is not set, and arms\.a\.api_key_file"):
        read(SecretPlace(env="KEY"), environ)


@pytest.mark.parametrize(
    ("content", "wrong"),
    [(None, "cannot be read: No such file"), (b"\n", "is empty"), (b"\xff\xfe", "is not text")],
)
def test_a_file_without_a_secret_is_named(
    tmp_path: Path, content: bytes | None, wrong: str
) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=wrong) as caught:
        read(SecretPlace(file=path))
    assert str(path) in str(caught.value)
    assert SETTING in caught.value.remedy


@pytest.mark.parametrize("text", [f"{SECRET}\nmore", f"{SECRET}\x7f", f"{SECRET}é", "x" * 9000])
def test_text_that_fits_no_header_is_not_repeated(text: str) -> None:
    with pytest.raises(ConfigError, match=SETTING) as caught:
        check_text(text, SETTING)
    assert SECRET not in str(caught.value)


def test_text_that_fits_is_returned() -> None:
    assert check_text("name:pass word", SETTING) == "name:pass word"
