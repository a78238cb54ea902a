"""The dialplan's section about people."""

import pytest
from pydantic import ValidationError

from bridge.realtime.session_config import FunctionTool
from bridge.routing.handoff import Handoff
from bridge.routing.models import Dialplan
from bridge.routing.session import session_config

TARGETS = {"sales": {"to": "sip:sales@pbx.example"}, "help": {"to": "tel:+15550100"}}


def dialplan(**parts: object) -> Dialplan:
    return Dialplan.model_validate(
        {
            "schema": "dialplan/v1",
            "name": "test",
            "match": [{"called": "*"}],
            "arm": "local",
            "agent": {"instructions": "Be brief.", "tools": [{"name": "transfer_to_human"}]},
            **parts,
        }
    )


def test_model_is_told_whom_there_is() -> None:
    [tool] = session_config(dialplan(handoff={"targets": TARGETS})).tools
    assert isinstance(tool, FunctionTool)
    assert tool.parameters["properties"]["target"]["enum"] == ["sales", "help"]  # type: ignore[index]  # JSON


def test_tool_without_a_target_is_an_error() -> None:
    with pytest.raises(ValidationError, match=r"needs 'handoff\.targets'"):
        dialplan()


@pytest.mark.parametrize(
    ("section", "complaint"),
    [
        ({"targets": {"a b": {"to": "sip:a@b"}}}, "pattern"),
        ({"targets": {"a": {"to": "ann"}}}, "SIP or tel URI"),
        ({"targets": {"a": {"to": "sip:a@b", "mode": "cold"}}}, "warm"),
        ({"hand_back_key": "9"}, "two keys"),
        ({"accept": {"key": "1", "refuse": "1"}}, "same key"),
    ],
)
def test_mistakes_are_told(section: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        Handoff.model_validate(section)


@pytest.mark.parametrize(
    ("by", "question"),
    [
        ("key", "Press 1 to take the call, or 2 to refuse."),
        ("speech", "Speak to take the call, or hang up to refuse."),
        ("either", "Press 1 or speak to take the call, or 2 to refuse."),
    ],
)
def test_person_is_asked_for_what_is_taken(by: str, question: str) -> None:
    assert Handoff.model_validate({"accept": {"by": by}}).accept.question == question


def test_only_what_can_be_said_is_rendered() -> None:
    blind = Handoff.model_validate({"targets": TARGETS, "before": "One moment."})
    assert list(blind.phrases) == ["One moment."]
    warm = Handoff.model_validate({"targets": {"a": {"to": "sip:a@b", "mode": "warm"}}})
    assert len(list(warm.phrases)) == 2
