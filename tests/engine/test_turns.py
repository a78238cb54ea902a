"""The turn table: its rows, its refusals and its drawing."""

from pathlib import Path

import pytest

from bridge.engine.turns import TRANSITIONS, State, Transition, Trigger, TurnMachine, diagram

PATHS = [
    ([Trigger.ANSWERED], State.LISTENING),
    ([Trigger.ANSWERED, Trigger.SPEECH_STARTED], State.LISTENING),
    ([Trigger.ANSWERED, Trigger.SPEECH_STOPPED], State.THINKING),
    ([Trigger.ANSWERED, Trigger.SPEECH_STOPPED, Trigger.RESPONSE_CREATED], State.THINKING),
    ([Trigger.ANSWERED, Trigger.RESPONSE_CREATED, Trigger.PLAYOUT_STARTED], State.SPEAKING),
]


def machine_in(state: State) -> TurnMachine:
    """Walk the table to a state."""
    paths: dict[State, list[Trigger]] = {State.IDLE: []}
    queue = [State.IDLE]
    for here in queue:
        for (old, trigger), new in TRANSITIONS.items():
            if old is here and new not in paths:
                paths[new] = [*paths[here], trigger]
                queue.append(new)
    machine = TurnMachine()
    for trigger in paths[state]:
        machine.step(trigger)
    assert machine.state is state
    return machine


@pytest.mark.parametrize(("triggers", "state"), PATHS)
def test_path_leads_to_state(triggers: list[Trigger], state: State) -> None:
    machine = TurnMachine()
    for trigger in triggers:
        assert machine.step(trigger) is not None
    assert machine.state is state


def test_speech_over_the_agent_leads_through_cancelling_to_listening() -> None:
    machine = machine_in(State.SPEAKING)
    assert machine.step(Trigger.INTERRUPTED) == Transition(
        State.SPEAKING, State.CANCELLING, Trigger.INTERRUPTED
    )
    assert machine.step(Trigger.PLAYOUT_FLUSHED) == Transition(
        State.CANCELLING, State.LISTENING, Trigger.PLAYOUT_FLUSHED
    )


def test_only_playout_started_leads_to_speaking() -> None:
    entries = {
        trigger for (old, trigger), new in TRANSITIONS.items() if new is State.SPEAKING != old
    }
    assert entries == {Trigger.PLAYOUT_STARTED}


@pytest.mark.parametrize("state", list(State))
def test_every_state_is_reachable(state: State) -> None:
    machine_in(state)


@pytest.mark.parametrize("state", [state for state in State if state is not State.ENDED])
def test_closed_ends_every_state(state: State) -> None:
    machine = machine_in(state)
    machine.step(Trigger.CLOSED)
    assert machine.state is State.ENDED


@pytest.mark.parametrize("trigger", list(Trigger))
def test_ended_has_no_way_out(trigger: Trigger) -> None:
    assert machine_in(State.ENDED).step(trigger) is None


@pytest.mark.parametrize(
    "state", [State.LISTENING, State.THINKING, State.SPEAKING, State.CANCELLING]
)
def test_lost_session_leads_to_recovering(state: State) -> None:
    machine = machine_in(state)
    machine.step(Trigger.SESSION_LOST)
    assert machine.state is State.RECOVERING


@pytest.mark.parametrize(
    ("trigger", "state"),
    [
        (Trigger.SESSION_RESTORED, State.LISTENING),
        (Trigger.HANDOFF_STARTED, State.HANDOFF),
        (Trigger.CLOSED, State.ENDED),
    ],
)
def test_recovering_has_three_ways_out(trigger: Trigger, state: State) -> None:
    machine = machine_in(State.RECOVERING)
    machine.step(trigger)
    assert machine.state is state


@pytest.mark.parametrize("state", list(State))
def test_missing_pair_changes_nothing(state: State) -> None:
    missing = [trigger for trigger in Trigger if (state, trigger) not in TRANSITIONS]
    assert missing
    for trigger in missing:
        machine = machine_in(state)
        assert machine.step(trigger) is None
        assert machine.state is state


def test_diagram_draws_every_moving_row_once() -> None:
    lines = diagram().splitlines()
    assert lines[:2] == ["stateDiagram-v2", "    [*] --> idle"]
    assert lines[-1] == "    ended --> [*]"
    drawn = set()
    for line in lines[2:-1]:
        arrow, causes = line.strip().split(": ")
        old, new = arrow.split(" --> ")
        for cause in causes.split(", "):
            pair = (State(old), Trigger(cause))
            assert pair not in drawn
            drawn.add(pair)
            assert TRANSITIONS[pair] == State(new)
    assert drawn == {pair for pair, new in TRANSITIONS.items() if new is not pair[0]}


def test_page_in_deploy_is_current() -> None:
    page = (Path(__file__).parents[2] / "deploy" / "TURNS.md").read_text(encoding="utf-8")
    assert f"```mermaid\n{diagram()}```" in page, "the table has changed: deploy/TURNS.md says how"
