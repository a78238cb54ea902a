"""Every command that a page tells somebody to type is one that there is, with its options."""

from pathlib import Path

import pytest

from bridge.config.rollouts import RolloutSettings
from bridge.routing.rollout import changes
from bridge.routing.rollout.state import Halt, RolloutState
from tests.deploy.pages import PAGES, ROOT, Typed, commands, problem
from tests.deploy.rules import DEPLOY

NAMES = [str(page.relative_to(ROOT)) for page in PAGES]


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_command_of_a_page_is_taken(page: Path) -> None:
    found = list(commands(page.read_text(encoding="utf-8")))
    wrong = {str(typed): why for typed in found if (why := problem(typed)) is not None}
    assert wrong == {}


@pytest.mark.parametrize("name", ["MIGRATION.md", "ROLLOUT.md"])
def test_rollout_commands_to_type_name_their_settings(name: str) -> None:
    found = list(commands((DEPLOY / name).read_text(encoding="utf-8")))
    rollouts = [typed for typed in found if typed.words[0] == "rollout" and typed.whole]
    assert rollouts
    assert [str(typed) for typed in rollouts if "--config" not in typed.words] == []


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("rollout set --percent 5", "Missing argument"),
        ("rollout promote new-model", "no command 'promote'"),
        ("rollout rearm new-model --now", "No such option"),
        ("call sip:127.0.0.1 extra", "too much"),
        ("rollout set new-model --ai perhaps", "'perhaps' is not one of"),
        ("replay trend a b", "too much"),
        ("bench --secret", "No such option"),
    ],
)
def test_what_is_no_command_is_found(line: str, why: str) -> None:
    assert why in str(problem(Typed(tuple(line.split()), whole=True)))


PLAN = RolloutSettings.model_validate({"control": "old", "treatment": "new", "gates": [50]})


@pytest.mark.parametrize(
    "state",
    [
        *(RolloutState(halt=halt) for halt in Halt if halt is not Halt.NONE),
        RolloutState(share=250, paused=True),
        RolloutState(share=250, ai_off=True),
        RolloutState(share=250, stopped=frozenset({"new"})),
        RolloutState(),
        RolloutState(share=250),
    ],
)
def test_command_that_status_advises_is_taken(state: RolloutState) -> None:
    advice = changes.why_held(state, PLAN, 0, "to-ga --config bridge.yaml")
    (typed,) = commands(advice or "")
    assert problem(Typed(typed.words, whole=True)) is None
    assert typed.words[2:5] == ("to-ga", "--config", "bridge.yaml")
