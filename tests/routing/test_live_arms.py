"""Arms of a full-duplex service: what is refused before any call is taken."""

from datetime import date
from typing import Any

import pytest
from pydantic import ValidationError

from bridge.config.models import choose_model, load_models
from bridge.config.settings import ArmSettings
from bridge.errors import ConfigError
from bridge.routing.models import Dialplan
from bridge.routing.session import read_config
from bridge.routing.session_checks import check_sessions
from bridge.routing.session_layers import session_layers

URL = "wss://live.example/v1/live/sessions"
BACKEND = {"delegation": {"model": "gpt-5.6-luna"}}
TOOL = {"name": "find", "description": "Finds.", "parameters": {"type": "object"}}


def arm(**more: Any) -> ArmSettings:
    return ArmSettings.model_validate(
        {"dialect": "live", "url": URL, "model": "gpt-live-1", "api_key_env": "KEY", **more}
    )


def dialplan(**agent: Any) -> Dialplan:
    return Dialplan.model_validate(
        {
            "schema": "dialplan/v1",
            "name": "support",
            "match": [{"called": "*"}],
            "arm": "voice",
            "agent": {"instructions": "Be brief.", **agent},
        }
    )


def test_no_token_opens_a_session() -> None:
    with pytest.raises(ValidationError, match="credentials: direct"):
        arm(credentials="token")


def test_tools_need_a_backend() -> None:
    asks = dialplan(tools=[{**TOOL, "webhook": {"url": "https://tools.example"}}])
    with pytest.raises(ConfigError, match=r"tool 'find' can't be offered on arm 'voice'") as told:
        check_sessions([asks], {"voice": arm()}, {})
    assert "arms.voice.session.delegation.model" in told.value.remedy
    check_sessions([asks], {"voice": arm(session=BACKEND)}, {})
    check_sessions([dialplan()], {"voice": arm()}, {})


@pytest.mark.parametrize("dialect", ["ga", "beta"])
def test_a_backend_is_lives_alone(dialect: str) -> None:
    other = arm(dialect=dialect, model="gpt-realtime", session=BACKEND)
    with pytest.raises(ConfigError, match="calls the tools itself"):
        check_sessions([], {"voice": other}, {})


def test_what_a_template_asks_for_in_vain_is_refused() -> None:
    turns = {"audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}}
    with pytest.raises(ConfigError, match="stops by itself"):
        check_sessions([], {"voice": arm(session=turns)}, {})


def test_backend_is_read_with_its_fields() -> None:
    more = {"delegation": {"model": "m", "instructions": "Look.", "acknowledgement_delay_ms": 0}}
    backend = read_config(session_layers(dialplan(), "voice", arm(session=more))).backend
    assert backend is not None
    assert (backend.model, backend.instructions, backend.acknowledgement_delay_ms) == (
        *("m", "Look.", 0),
    )


@pytest.mark.parametrize(("dialect", "model"), [("ga", "gpt-live-1"), ("live", "gpt-realtime")])
def test_no_model_changes_its_protocol(dialect: str, model: str) -> None:
    with pytest.raises(ConfigError, match="not for an arm"):
        choose_model(arm(dialect=dialect, model=model), load_models(), date(2026, 11, 24))


def test_a_voice_that_live_lacks_falls_back() -> None:
    chosen, *_ = choose_model(arm(voice="alice"), load_models(), date(2026, 11, 24))
    assert chosen.voice == "marin"
