"""What a dialplan's words about turns become in a call."""

import pytest

from bridge.engine.policy import policy_of
from bridge.live.phrases import spoken_by
from bridge.routing.barge_in import farewell
from tests.live.test_safety_policy import dialplan


@pytest.mark.parametrize(
    ("language", "says"),
    [("en", "Goodbye."), ("de-DE", "Auf Wiederhören."), ("es", "Adiós."), ("fr-CA", "Au revoir.")],
)
def test_goodbye_of_a_supervisor_is_in_the_dialplans_language(language: str, says: str) -> None:
    plan = dialplan({}, language=language)
    goodbye = policy_of(plan, lambda text: text).goodbye
    assert goodbye is not None
    assert goodbye.endswith(says)
    assert goodbye in list(spoken_by(plan))  # rendered before any call


def test_no_goodbye_is_better_than_one_in_another_language() -> None:
    assert policy_of(dialplan({}, language="fi"), lambda text: text).goodbye is None
    assert farewell(None) == farewell("en")
