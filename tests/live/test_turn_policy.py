"""What a dialplan's words about turns become in a call."""

import pytest

from bridge.live.phrases import Phrases
from bridge.live.policy import policy_of
from bridge.live.turn_policy import turn_phrases
from bridge.routing.barge_in import farewell
from tests.live.test_safety_policy import dialplan


class Rendered(Phrases):
    """Has everything."""

    def at_hand(self, language: str | None, text: str | None) -> str | None:
        return text


@pytest.mark.parametrize(
    ("language", "says"),
    [("en", "Goodbye."), ("de-DE", "Auf Wiederhören."), ("es", "Adiós."), ("fr-CA", "Au revoir.")],
)
def test_goodbye_of_a_supervisor_is_in_the_dialplans_language(language: str, says: str) -> None:
    plan = dialplan({}, language=language)
    goodbye = policy_of(plan, Rendered()).goodbye
    assert goodbye is not None
    assert goodbye.endswith(says)
    assert goodbye in list(turn_phrases(plan))  # rendered before any call


def test_no_goodbye_is_better_than_one_in_another_language() -> None:
    assert policy_of(dialplan({}, language="fi"), Rendered()).goodbye is None
    assert farewell(None) == farewell("en")
