"""One step of a call script: an action, and the expectations after it."""

from typing import Self

from pydantic import model_validator

from bridge.config.parts import Part
from bridge.replay.script.actions import (
    Action,
    Backchannel,
    HangUp,
    Hold,
    Interruption,
    KeyPresses,
    Saying,
    Silence,
    Wait,
)
from bridge.replay.script.expectations import Expectation

ACTIONS = ("say", "interrupt", "backchannel", "dtmf", "silence", "wait", "hold", "hangup")

_ONLY_AFTER = {
    "agent_silent_within_ms": "interrupt",
    "no_resume_of_old_turn": "interrupt",
    "agent_keeps_talking": "backchannel",
    "reprompt_within_ms": "silence",
}
"""Expectations that have a meaning after one action alone."""


class Step(Part):
    """An action of the caller (none: only listens), and the expectation after it.

    Attributes:
        say: says something, when the agent has spoken.
        interrupt: talks over the agent.
        backchannel: murmurs while the agent speaks.
        dtmf: presses keys.
        silence: says nothing for a while.
        wait: does nothing until an anchor.
        hold: puts the call on hold for a while.
        hangup: hangs up; the last step.
        expect: what has to come.
    """

    say: Saying | None = None
    interrupt: Interruption | None = None
    backchannel: Backchannel | None = None
    dtmf: KeyPresses | None = None
    silence: Silence | None = None
    wait: Wait | None = None
    hold: Hold | None = None
    hangup: HangUp | None = None
    expect: Expectation | None = None

    @model_validator(mode="after")
    def _does_one_thing(self) -> Self:
        done = [name for name in ACTIONS if getattr(self, name) is not None]
        if len(done) > 1:
            raise ValueError(f"a step does one thing, and this one does {' and '.join(done)}")
        if not done and self.expect is None:
            raise ValueError(f"a step does something ({', '.join(ACTIONS)}) or expects something")
        return self

    @model_validator(mode="after")
    def _expects_what_can_come(self) -> Self:
        if self.expect is None:
            return self
        if self.hangup is not None:
            raise ValueError("nothing can be expected after hangup: see end")
        for name, action in _ONLY_AFTER.items():
            if getattr(self.expect, name) and getattr(self, action) is None:
                raise ValueError(f"{name} is for a step with {action}")
        if self.expect.greeting_within_ms is not None and self.action is not None:
            raise ValueError("greeting_within_ms is for a step that only listens")
        return self

    @property
    def action(self) -> Action | None:
        """What the caller does; None only listens."""
        return next((done for name in ACTIONS if (done := getattr(self, name)) is not None), None)
