"""The check at the start: a session is opened on each arm, as its template asks for it."""

import pytest

from bridge.app.dialplans.arms import make_arms
from bridge.app.start.preflight import check_arms_answer
from bridge.clock import ManualClock, SystemClock
from bridge.config.models import load_models
from bridge.config.settings import Settings
from bridge.errors import InfrastructureError
from bridge.session.access_reader import read_access
from bridge.simulator.scenario import default_scenario
from bridge.simulator.server import SimulatorServer

CRM = {
    "type": "mcp",
    "server_label": "crm",
    "server_url": "https://crm.example.com/mcp",
    "authorization_env": "NOT_SET",
}


async def check(session: dict[str, object], **arm: object) -> None:
    """Check an arm of the local Realtime server."""
    server = SimulatorServer(default_scenario())
    try:
        given = {"url": await server.start(), "api_key_env": "KEY", "session": session, **arm}
        settings = Settings.model_validate({"arms": {"live": given}})
        access = read_access(settings.realtime_arms, {"KEY": "sk-sim-1"})
        arms = make_arms(settings.arms, access, load_models(), ManualClock(), lambda *told: None)
        await check_arms_answer(arms, settings, SystemClock())
    finally:
        await server.aclose()


async def test_session_of_the_template_is_opened_without_its_tools() -> None:
    """Their secrets are not read yet, and the service would visit their servers."""
    choice = {"type": "mcp", "server_label": "crm"}
    await check({"truncation": "disabled", "tools": [CRM], "tool_choice": choice})
    await check({"temperature": 0.7}, dialect="beta")


async def test_template_that_the_service_refuses_is_found_before_any_call() -> None:
    """Its owner said that it takes a temperature."""
    with pytest.raises(InfrastructureError, match=r"arm 'live': .*unknown_parameter"):
        await check({"temperature": 0.7}, takes=["temperature"])
