"""What a dialplan is for its calls: open, closed or full."""

from datetime import UTC, datetime
from typing import Any

import pytest

from bridge.routing.models import Dialplan
from bridge.routing.modes import CALLBACK_INSTRUCTIONS, Mode, during, has_agent, mode_of

OPEN = datetime(2026, 11, 18, 12, 0, tzinfo=UTC)
CLOSED = datetime(2026, 11, 18, 20, 0, tzinfo=UTC)
TIMES = {"time_zone": "UTC", "open": [{"days": "mon-fri", "from": "09:00", "to": "17:00"}]}


def plan(closed: object = None, **parts: Any) -> Dialplan:
    hours = {} if closed is None else {"hours": {**TIMES, "closed": closed}}
    return Dialplan.model_validate(
        {
            "schema": "dialplan/v1",
            "name": "made",
            "match": [{"called": "*"}],
            "arm": "x",
            "agent": {
                "instructions": "By day.",
                "greeting": "Good day.",
                "voice": "marin",
                "tools": [{"name": "transfer_to_human"}],
            },
            "handoff": {"targets": {"desk": {"to": "sip:desk@pbx"}}},
            **hours,
            **parts,
        }
    )


def test_line_without_hours_and_limit_is_always_open() -> None:
    made = plan()
    assert mode_of(made, CLOSED, 1000) is Mode.OPEN
    assert during(made, Mode.OPEN) is made
    assert has_agent(made, Mode.OPEN)


def test_closed_line_hangs_up_after_its_words() -> None:
    made = plan({"say": "We are closed."})
    assert mode_of(made, OPEN, 0) is Mode.OPEN
    assert mode_of(made, CLOSED, 0) is Mode.CLOSED
    assert not has_agent(made, Mode.CLOSED)
    fallback = during(made, Mode.CLOSED).fallback
    assert (fallback.say, fallback.then) == ("We are closed.", "hang_up")


def test_closed_line_sends_its_calls_on() -> None:
    made = plan({"then": "transfer", "to": "sip:night@pbx", "say": "One moment."})
    fallback = during(made, Mode.CLOSED).fallback
    assert (fallback.then, fallback.to, fallback.say) == (
        "transfer",
        "sip:night@pbx",
        "One moment.",
    )


def test_closed_line_takes_callbacks_down_with_no_other_tools() -> None:
    made = plan({"then": "callback", "greeting": "Closed."})
    assert has_agent(made, Mode.CLOSED)
    agent = during(made, Mode.CLOSED).agent
    assert agent.instructions == CALLBACK_INSTRUCTIONS
    assert (agent.greeting, agent.voice) == ("Closed.", "marin")
    assert [tool.name for tool in agent.tools] == ["schedule_callback", "end_call"]


def test_closed_line_has_its_agent_do_something_else() -> None:
    made = plan({"then": "agent", "instructions": "By night."})
    agent = during(made, Mode.CLOSED).agent
    assert (agent.instructions, agent.greeting) == ("By night.", None)
    assert [tool.name for tool in agent.tools] == ["transfer_to_human"]
    assert during(made, Mode.OPEN).agent.instructions == "By day."


def test_closed_greeting_is_cached_only_where_it_can_be() -> None:
    spoken = {"instructions": "By day.", "greeting": "Good day.", "greeting_by": "cached"}
    closed = {"then": "agent", "instructions": "By night.", "greeting": "word " * 81}
    with pytest.raises(ValueError, match=r"'hours.closed.greeting' of at most 400"):
        plan(closed, agent=spoken, handoff={})
    short = plan({**closed, "greeting": "Good night."}, agent=spoken, handoff={})
    assert during(short, Mode.CLOSED).agent.greeting == "Good night."


def test_full_line_refuses_or_says_so() -> None:
    limited = plan(limits={"max_calls": 2})
    assert mode_of(limited, OPEN, 1) is Mode.OPEN
    assert mode_of(limited, OPEN, 2) is Mode.FULL
    busy = plan(limits={"max_calls": 2, "busy": "All lines are taken."})
    assert not has_agent(busy, Mode.FULL)
    assert during(busy, Mode.FULL).fallback.say == "All lines are taken."


def test_closed_line_is_closed_also_when_it_is_full() -> None:
    made = plan({"say": "We are closed."}, limits={"max_calls": 1})
    assert mode_of(made, CLOSED, 1) is Mode.CLOSED


@pytest.mark.parametrize(
    ("closed", "message"),
    [
        ({}, "should have 'say' with 'then: hang_up'"),
        ({"say": "x", "to": "sip:a@b"}, "should not have 'to' with 'then: hang_up'"),
        ({"then": "transfer"}, "should have 'to' with 'then: transfer'"),
        ({"then": "agent"}, "should have 'instructions' with 'then: agent'"),
        ({"then": "callback", "say": "x"}, "should not have 'say' with 'then: callback'"),
    ],
)
def test_what_closed_needs(closed: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plan(closed)


def test_busy_words_need_a_limit() -> None:
    with pytest.raises(ValueError, match="should have 'max_calls' with 'busy'"):
        plan(limits={"busy": "All lines are taken."})


def test_cached_greeting_needs_words_that_can_be_rendered() -> None:
    for greeting in (None, "word " * 81):
        agent = {"instructions": "i", "greeting": greeting, "greeting_by": "cached"}
        with pytest.raises(ValueError, match="a 'greeting' of at most 400 characters"):
            plan(agent=agent, handoff={})
