"""The dialplan's section about keys."""

import pytest
from pydantic import ValidationError

from bridge.realtime.session_config import FunctionTool
from bridge.routing.keypad import Digits, Keypad
from bridge.routing.models import Dialplan
from bridge.routing.session import session_config


def dialplan(**parts: object) -> Dialplan:
    return Dialplan.model_validate(
        {
            "schema": "dialplan/v1",
            "name": "test",
            "match": [{"called": "*"}],
            "arm": "local",
            "agent": {"instructions": "Be brief.", "tools": [{"name": "collect_digits"}]},
            **parts,
        }
    )


def menus(**menus: object) -> dict[str, object]:
    return {"menus": {name: {"keys": keys} for name, keys in menus.items()}}


@pytest.mark.parametrize(
    ("section", "complaint"),
    [
        (menus(main={"0": {"say": "No."}}), "pattern"),
        (menus(main={"12": {"say": "No."}}), "pattern"),
        (menus(main={}), "at least 1 item"),
        (menus(main={"1": {}}), "does nothing"),
        (menus(main={"1": {"tell": "x", "transfer": "ann"}}), "one of"),
        (menus(main={"1": {"menu": "orders"}}), "no menu orders"),
        ({"start": "main"}, "no menu main"),
        ({"digits": {"pin": {"min_digits": 5, "max_digits": 4}}}, "up to 'max_digits'"),
        ({"digits": {"pin": {"last_told": 2}}}, "sensitive: true"),
        (
            {"digits": {"pin": {"sensitive": True, "min_digits": 4, "last_told": 3}}},
            "half of 'min_digits'",
        ),
    ],
)
def test_mistakes_are_told(section: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        Keypad.model_validate(section)


def test_key_that_leads_to_nobody_is_an_error() -> None:
    with pytest.raises(ValidationError, match=r"transfers to ann: no 'handoff\.targets'"):
        dialplan(keypad=menus(main={"1": {"transfer": "ann"}}))


def test_model_is_told_what_may_be_collected() -> None:
    [tool] = session_config(dialplan(keypad={"digits": {"card": {}, "zip": {}}})).tools
    assert isinstance(tool, FunctionTool)
    assert tool.parameters["properties"].keys() == {"what"}  # type: ignore[attr-defined]  # JSON
    assert tool.parameters["properties"]["what"]["enum"] == ["card", "zip"]  # type: ignore[index]
    assert tool.parameters["required"] == ["what"]


def test_model_describes_digits_that_the_dialplan_does_not() -> None:
    [tool] = session_config(dialplan()).tools
    assert isinstance(tool, FunctionTool)
    assert "what" not in tool.parameters["properties"]  # type: ignore[operator]  # JSON
    assert tool.parameters["required"] == ["max_digits", "purpose"]


def test_bridge_says_only_what_it_has_words_for() -> None:
    section = Keypad(digits={"pin": Digits(prompt="Your PIN?"), "zip": Digits()})
    assert list(section.phrases("en"))[1:] == ["Your PIN?", "That was not complete."]
    assert list(section.phrases("de")) == [None, "Your PIN?", None]
