"""The diary of a supervisor's shift: prints each check and each step as it comes.

A shift that breaks off after twenty minutes has told what it did until then.
"""

import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Step:
    """One thing that is done to a call, and what was found at the ear, the page and the audit.

    Attributes:
        call: the dialect and the node of the call.
        failure: why it failed, "" if it did not.
    """

    call: str
    name: str
    checks: list[str] = field(default_factory=list)
    failure: str = ""


async def _leave(step: Step) -> None:
    """Leave things as they are after a step that failed."""


class Diary:
    """What was done and seen in a shift.

    Attributes:
        steps: those that were begun.
        slowest: ms until the page, or the call, showed what was waited for; and what that was.
        recover: is called after a step that failed.
    """

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.slowest: tuple[int, str] = (0, "")
        self.recover: Callable[[Step], Awaitable[None]] = _leave
        self._began_s = time.monotonic()

    @property
    def failures(self) -> list[str]:
        return [f"{each.call}: {each.name}: {each.failure}" for each in self.steps if each.failure]

    @asynccontextmanager
    async def step(self, call: str, name: str) -> AsyncIterator[Step]:
        """Note a step, and its failure; the shift goes on."""
        step = Step(call, name)
        self.steps.append(step)
        began_s = time.monotonic()
        try:
            yield step
        except Exception as error:  # noqa: BLE001 - whatever breaks is told, and the shift goes on
            why = str(error).partition("\nCall log")[0].replace("\n", " ")
            step.failure = f"{type(error).__name__}: {why}"
            self._print(f"FAILED {call}: {name}: {step.failure}")
            await self.recover(step)
        else:
            took_s = time.monotonic() - began_s
            self._print(f"passed {call}: {name}: {len(step.checks)} checks in {took_s:.1f} s")

    def found(self, what: str) -> None:
        """Note a check of the step that goes on."""
        self.steps[-1].checks.append(what)
        self._print(f"  {what}")

    async def reacts(self, what: str, waiting: Any) -> None:  # Any: an awaitable of anything
        """Wait until the page shows something; note how long that took."""
        began_s = time.monotonic()
        await waiting
        took_ms = round((time.monotonic() - began_s) * 1000)
        self.found(f"{what} ({took_ms} ms)")
        self.slowest = max(self.slowest, (took_ms, what))

    def told(self, **more: object) -> str:
        """Return what was done until now as JSON: of each step how many passed, by its call."""
        tried = Counter((each.name, each.call) for each in self.steps)
        passed = Counter((each.name, each.call) for each in self.steps if not each.failure)
        names = dict.fromkeys(each.name for each in self.steps)
        table = {
            name: {
                call: f"{passed[name, call]} of {tried[name, call]}"
                for of, call in tried
                if of == name
            }
            for name in names
        }
        checks = [check for each in self.steps for check in each.checks]
        return json.dumps(
            {
                "minutes": round((time.monotonic() - self._began_s) / 60, 1),
                "steps": len(self.steps),
                "checks": len(checks),
                "chopped": sum("chopped" in each for each in checks),
                "slowest": self.slowest,
                "passed": table,
                "failures": self.failures,
                **more,
            },
            indent=1,
        )

    def _print(self, line: str) -> None:
        print(f"{time.monotonic() - self._began_s:7.1f} s  {line}", flush=True)
