"""What a call gets: its dialplan, how it is treated, and the arm that its flag deals."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import cast

from bridge.app.dialplans.arms import make_arms
from bridge.app.dialplans.plans import Dialplans, Plans
from bridge.app.rollouts.files import RolloutFiles
from bridge.app.rollouts.in_force import Rollouts
from bridge.clock import SystemClock
from bridge.config.models import load_models
from bridge.config.settings import RedisSettings, Settings
from bridge.live.call import CallRunner
from bridge.live.services import Route
from bridge.routing.models import Dialplan
from bridge.routing.modes import Mode
from bridge.routing.rollout.state import RolloutState
from bridge.routing.rules import incoming_call
from bridge.routing.verstat import Verstat
from bridge.session.access_reader import read_access
from bridge.store.client import RedisLink
from bridge.store.rollouts import RolloutStore
from bridge.telemetry.metrics import Metrics

CLOSED = {"time_zone": "UTC", "open": [{"days": "sun", "from": "00:00", "to": "00:01"}]}
MONDAY = datetime(2026, 6, 1, 12, tzinfo=UTC)
NEW_CALLER = "+15550199"


@dataclass(frozen=True)
class Running:
    """As much of a running call as a new call's route depends on."""

    route: Route

    @property
    def arm(self) -> str:
        return self.route.arm.name


def dialplan(**parts: object) -> Dialplan:
    plan = {
        "schema": "dialplan/v1",
        "name": "test",
        "match": [{"called": "*"}],
        "agent": {"instructions": "Be a test.", "greeting": "Hello."},
        **parts,
    }
    return Dialplan.model_validate(plan if "arm" in plan else {"rollout": "f", **plan})


class Line:
    """One dialplan, and the flag that it may name."""

    def __init__(
        self, plans: Plans, flags: Rollouts, metrics: Metrics, running: list[Running]
    ) -> None:
        self._plans, self._flags, self._metrics = plans, flags, metrics
        self.running = running

    def call(self, caller: str = "+15550100", trunk: str = "") -> Route:
        """Place a call that goes on."""
        call = incoming_call(
            "100", MONDAY, caller=caller, trunk=trunk, stir=Verstat.C, sip_call_id="x"
        )
        route = self._plans.route(call, cast(list[CallRunner], self.running), self._flags)
        assert route is not None
        self.running.append(Running(route))
        return route

    @property
    def decisions(self) -> float:
        """How often the flag was asked."""
        lines = self._metrics.render()[0].decode().splitlines()
        asked = [line for line in lines if line.startswith("bridge_flag_evaluations_total{")]
        return sum(float(line.rsplit(" ", 1)[1]) for line in asked)


@asynccontextmanager
async def line(
    directory: Path, *, state: RolloutState | None = None, **parts: object
) -> AsyncIterator[Line]:
    """A line whose Redis is away: what is in force is what its node knew last."""
    settings = Settings.model_validate(
        {
            "arms": {"old": {"url": "ws://a"}, "new": {"url": "ws://b"}},
            "rollouts": {
                "f": {
                    "control": "old",
                    "treatment": "new",
                    "caps": {"new": 2},
                    "overrides": [
                        {"by": "caller", "patterns": [NEW_CALLER], "arm": "new"},
                        {"by": "trunk", "patterns": ["north"], "arm": "new"},
                    ],
                }
            },
        }
    )
    metrics, clock = Metrics("test"), SystemClock()
    files = RolloutFiles(directory)
    files.write("f", state or RolloutState(version=1, share=0))
    link = RedisLink("redis://127.0.0.1:1", timeout_s=0.5)
    store = RolloutStore(link, RedisSettings())
    running: list[Running] = []
    flags = Rollouts(
        settings.rollouts,
        b"a secret",
        store,
        files,
        "node",
        clock,
        metrics,
        lambda: Counter(each.arm for each in running),
    )
    table = load_models()
    arms = make_arms(
        settings.arms, read_access(settings.realtime_arms, {}), table, clock, lambda *told: None
    )
    dialplans = Dialplans((dialplan(**parts),), {})
    plans = Plans(dialplans, arms, settings, table, date(2026, 6, 1))
    await flags.open()
    try:
        yield Line(plans, flags, metrics, running)
    finally:
        await flags.aclose()
        await link.aclose()


async def test_a_flag_deals_the_arm_and_names_who_rescues_the_call(tmp_path: Path) -> None:
    async with line(tmp_path, state=RolloutState(version=1, share=1)) as here:
        route = here.call(NEW_CALLER)
        assert (route.arm.name, route.choices[0].endpoint.url) == ("new", "ws://b")
        assert route.rescuer is not None
        assert route.rescuer.arm.name == "old"
        assert route.dealt is not None
        assert route.dealt.decision.flag == "f"
        assert route.verstat is Verstat.C
        assert here.call("+15550198").arm.name == "old"


async def test_a_trunk_is_meant_by_its_name(tmp_path: Path) -> None:
    async with line(tmp_path) as here:
        assert here.call(trunk="north").arm.name == "new"
        assert here.call(trunk="south").arm.name == "old"


async def test_an_arm_at_its_cap_gets_no_call(tmp_path: Path) -> None:
    async with line(tmp_path) as here:
        assert [here.call(NEW_CALLER).arm.name for _ in range(3)] == ["new", "new", "old"]


async def test_a_closed_line_without_an_agent_asks_no_flag(tmp_path: Path) -> None:
    hours = CLOSED | {"closed": {"say": "We are closed."}}
    async with line(tmp_path, hours=hours) as here:
        route = here.call(NEW_CALLER)
        assert (route.mode, route.arm.name, route.choices) == (Mode.CLOSED, "none", ())
        assert (route.model, route.dealt, route.rescuer) == ("", None, None)
        assert here.decisions == 0


async def test_an_agent_of_a_closed_line_is_dealt_and_rescued_as_the_closed_lines(
    tmp_path: Path,
) -> None:
    hours = CLOSED | {"closed": {"then": "agent", "instructions": "Closed.", "greeting": "Bye."}}
    async with line(tmp_path, hours=hours) as here:
        route = here.call(NEW_CALLER)
        assert (route.mode, route.arm.name) == (Mode.CLOSED, "new")
        assert route.rescuer is not None
        assert route.rescuer.mode is Mode.CLOSED
        for each in (route, route.rescuer):
            assert each.config(each.choices[0]).instructions == "Closed."


async def test_a_full_line_asks_no_flag(tmp_path: Path) -> None:
    async with line(tmp_path, limits={"max_calls": 1}) as here:
        assert here.call().mode is Mode.OPEN
        assert (here.call().mode, here.running[1].arm) == (Mode.FULL, "none")
        assert here.decisions == 1


async def test_calls_without_ai_do_not_fill_a_line(tmp_path: Path) -> None:
    state = RolloutState(version=1, ai_off=True)
    async with line(tmp_path, state=state, limits={"max_calls": 1}) as here:
        for _ in range(2):
            route = here.call()
            assert (route.mode, route.arm.name, route.choices) == (Mode.AI_OFF, "none", ())
            assert route.dealt is not None
            assert route.dealt.decision.arm is None


async def test_a_dialplan_with_an_arm_asks_no_flag(tmp_path: Path) -> None:
    async with line(tmp_path, arm="new") as here:
        route = here.call()
        assert (route.arm.name, route.dealt, route.rescuer) == ("new", None, None)
        assert here.decisions == 0
