"""What arms and routes are made of, and what is found wrong with them before any call."""

from collections.abc import Mapping
from datetime import date

import pytest
from structlog.testing import capture_logs

from bridge.app.dialplans.arms import (
    make_arms,
    make_route,
    resolve_session_secrets,
    warn_of_dropped_fields,
)
from bridge.clock import ManualClock
from bridge.config.models import load_models
from bridge.config.settings import ArmSettings
from bridge.errors import ConfigError
from bridge.live.services import Arm
from bridge.realtime.dialects import DIALECTS
from bridge.realtime.session_config import ServerVad
from bridge.routing.models import Dialplan
from bridge.session.access_reader import read_access
from bridge.session.tokens import DirectKey, TokenProvider

URL = "ws://127.0.0.1:9/v1/realtime"
KEY = "sk-test-1"
TODAY = date(2026, 6, 1)
TABLE = load_models()


def arms(settings: Mapping[str, object]) -> Arm:
    given = {"a": ArmSettings.model_validate({"url": URL, "api_key_env": "KEY", **settings})}
    access = read_access(given, {"KEY": KEY})
    return make_arms(given, access, TABLE, ManualClock(), lambda *told: None)["a"]


def dialplan(**agent: object) -> Dialplan:
    return Dialplan.model_validate(
        {
            "schema": "dialplan/v1",
            "name": "test",
            "match": [{"called": "*"}],
            "arm": "a",
            "agent": {"instructions": "Be a test.", **agent},
        }
    )


@pytest.mark.parametrize("name", ["beta", "ga"])
def test_each_dialect_of_the_settings_is_there(name: str) -> None:
    assert DIALECTS[name]().name == name
    assert arms({"dialect": name, "model": "my-model"}).dialect_name == name


def test_auto_with_a_legacy_model_gives_two_choices_in_order() -> None:
    arm = arms({"model": "my-new", "legacy_model": "my-old"})
    assert [each.endpoint.model for each in arm.choices] == ["my-new", "my-old"]


async def test_direct_key_is_the_connections_bearer() -> None:
    (choice,) = arms({"model": "my-model"}).choices
    assert isinstance(choice.credentials, DirectKey)
    assert choice.endpoint.access.key is None
    assert (await choice.credentials.get()).value == KEY


def test_the_model_goes_by_the_arms_parameter() -> None:
    (choice,) = arms({"model": "my-model", "model_parameter": "deployment"}).choices
    assert choice.endpoint.address == f"{URL}?deployment=my-model"


def test_each_model_gets_tokens_of_its_own() -> None:
    settings = {"model": "n", "legacy_model": "o", "credentials": "token", "api_key_env": "KEY"}
    first, second = arms(settings).choices
    assert isinstance(first.credentials, TokenProvider)
    assert isinstance(second.credentials, TokenProvider)
    assert first.credentials is not second.credentials


def test_dialplans_voice_stands_above_the_arms() -> None:
    settings = ArmSettings(url=URL, model="gpt-realtime-2.1", voice="marin")
    arm = arms({"model": "gpt-realtime-2.1", "voice": "marin"})
    with_voice = make_route(dialplan(voice="cedar"), arm, settings, TABLE, TODAY)
    without = make_route(dialplan(), arm, settings, TABLE, TODAY)
    assert with_voice.config(with_voice.choices[0]).voice == "cedar"
    assert without.config(without.choices[0]).voice == "marin"
    assert with_voice.choices[0].credentials is arm.choices[0].credentials


def test_voice_that_the_model_lacks_is_an_error_that_names_both() -> None:
    fields = {"model": "gpt-realtime-2.1", "auto_select_voice": False}
    settings = ArmSettings.model_validate({"url": URL, **fields})
    with pytest.raises(ConfigError, match=r"gpt-realtime-2\.1.*nobody"):
        make_route(dialplan(voice="nobody"), arms(fields), settings, TABLE, TODAY)


def test_fields_that_a_dialect_drops_are_named_once_per_arm() -> None:
    turns = {"type": "server_vad", "idle_timeout_ms": 6000}
    fields = {"dialect": "beta", "model": "my-model"}
    settings = ArmSettings.model_validate({"url": URL, **fields})
    arm = arms(fields)
    routes = [
        make_route(dialplan(turn_detection=turns), arm, settings, TABLE, TODAY) for _ in range(2)
    ]
    with capture_logs() as logs:
        warn_of_dropped_fields(routes)
    (line,) = logs
    assert (line["arm"], line["log_level"]) == ("a", "warning")
    assert any("idle_timeout_ms" in name for name in line["fields"])


def test_templates_voice_is_chosen_like_any_other() -> None:
    """It stands below the arm's own; one that the model lacks is replaced."""
    template = {"audio": {"output": {"voice": "cedar"}}}
    for fields, agent, voice in (
        ({}, {}, "cedar"),
        ({"voice": "marin"}, {}, "marin"),
        ({}, {"session": {"audio": {"output": {"voice": "ash"}}}}, "ash"),
        ({"voice": "marin"}, {"session": {"audio": {"output": {"voice": "ash"}}}}, "ash"),
        ({}, {"voice": "coral"}, "coral"),
        ({"session": {"audio": {"output": {"voice": "nobody"}}}}, {}, "marin"),
    ):
        given = {"model": "gpt-realtime-2.1", "voice_fallback": "marin", "session": template}
        settings = ArmSettings.model_validate({"url": URL, **given, **fields})
        route = make_route(dialplan(**agent), arms({**given, **fields}), settings, TABLE, TODAY)
        assert route.config(route.choices[0]).voice == voice


def test_route_asks_for_what_the_arms_template_does_and_its_dialplan_knows() -> None:
    vad = {"type": "server_vad", "silence_duration_ms": 4000}
    given = {"model": "my-model", "session": {"audio": {"input": {"turn_detection": vad}}}}
    settings = ArmSettings.model_validate({"url": URL, "api_key_env": "KEY", **given})
    route = make_route(dialplan(), arms(given), settings, TABLE, TODAY)
    asked = route.config(route.choices[0]).turn_detection
    assert asked == ServerVad(
        silence_duration_ms=4000, create_response=False, interrupt_response=False
    )
    assert route.dialplan.agent.policy(lambda text: text).turn_overdue_ms == 4_800
    assert route.arm.digest == settings.digest


def test_secret_of_a_template_that_is_not_set_is_named_with_its_place() -> None:
    entry = {
        "type": "mcp",
        "server_label": "crm",
        "server_url": "u",
        "headers": {"X-Key": {"env": "CRM_KEY"}},
        "authorization_env": "CRM_TOKEN",
    }
    configured = {"live": ArmSettings.model_validate({"url": URL, "session": {"tools": [entry]}})}
    secrets = {"CRM_KEY": " hush\n", "CRM_TOKEN": "mum"}
    assert resolve_session_secrets(configured, secrets) == {"CRM_KEY": "hush", "CRM_TOKEN": "mum"}
    with pytest.raises(ConfigError, match=r"CRM_KEY is not set.*arms\.live\.session\.tools\[0\]"):
        resolve_session_secrets(configured, {"CRM_TOKEN": "mum"})
