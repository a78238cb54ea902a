import pytest
from pydantic import ValidationError

from bridge.realtime.session_config import (
    AudioFormat,
    FunctionTool,
    ManualTurns,
    McpTool,
    SemanticVad,
    ServerVad,
    SessionConfig,
    Transcription,
)
from bridge.routing.agent import AgentPolicy
from bridge.routing.models import Dialplan
from bridge.routing.session import session_config
from bridge.routing.tools import BUILT_IN


def dialplan(**agent: object) -> Dialplan:
    return Dialplan.model_validate(
        {
            "schema": "dialplan/v1",
            "name": "made",
            "match": [{"called": "*"}],
            "arm": "local",
            "agent": {"instructions": "Be brief.", **agent},
        }
    )


def agent_policy(**agent: object) -> AgentPolicy:
    return dialplan(**agent).agent.policy(lambda text: text)


def test_what_is_not_said_is_not_sent() -> None:
    plan = dialplan(barge_in={"decided_by": "service"})
    assert session_config(plan) == SessionConfig(instructions="Be brief.")
    assert agent_policy().greeting_instructions is None


def test_everything_that_is_said_is_sent() -> None:
    schema = {"type": "object", "properties": {"order": {"type": "string"}}}
    config = session_config(
        dialplan(
            voice="marin",
            language="pt-BR",
            turn_detection={"type": "server_vad", "threshold": 0.4, "idle_timeout_ms": 8000},
            transcription={"model": "gpt-transcribe"},
            tools=[
                {
                    "name": "find",
                    "description": "Find an order.",
                    "parameters": schema,
                    "webhook": {"url": "https://tools.example.com/find"},
                },
                {"name": "end_call"},
            ],
            mcp_servers=[
                {
                    "label": "crm",
                    "url": "https://crm.example.com/mcp",
                    "authorization_env": "CRM_TOKEN",
                    "allowed_tools": ["find_customer"],
                }
            ],
            max_output_tokens=100,
        ),
        {"CRM_TOKEN": "secret"},
    )
    assert config == SessionConfig(
        instructions="Be brief.",
        voice="marin",
        transcription=Transcription("gpt-transcribe", "pt"),
        turn_detection=ServerVad(
            threshold=0.4, create_response=False, interrupt_response=False, idle_timeout_ms=8000
        ),
        tools=(
            FunctionTool("find", "Find an order.", schema),
            FunctionTool("end_call", *BUILT_IN["end_call"]),
            McpTool(
                "crm",
                {
                    "server_url": "https://crm.example.com/mcp",
                    "require_approval": "always",
                    "allowed_tools": ["find_customer"],
                    "authorization": "secret",
                },
            ),
        ),
        max_output_tokens=100,
    )
    assert config.input_format is config.output_format is AudioFormat.PCM_24KHZ


def test_transcription_keeps_its_own_language() -> None:
    config = session_config(dialplan(language="en", transcription={"model": "m", "language": "de"}))
    assert config.transcription == Transcription("m", "de")


def test_other_turn_detections() -> None:
    semantic = {"type": "semantic_vad", "eagerness": "low", "create_response": False}
    by_service = dialplan(turn_detection=semantic, barge_in={"decided_by": "service"})
    assert session_config(by_service).turn_detection == SemanticVad(
        eagerness="low", create_response=False
    )
    off = session_config(dialplan(turn_detection={"type": "none"}))
    assert off.turn_detection == ManualTurns()


def test_service_does_nothing_about_turns_where_the_bridge_decides() -> None:
    nothing = ServerVad(create_response=False, interrupt_response=False)
    assert session_config(dialplan()).turn_detection == nothing
    semantic = dialplan(turn_detection={"type": "semantic_vad"})
    assert session_config(semantic).turn_detection == SemanticVad(
        create_response=False, interrupt_response=False
    )


def test_two_deciders_are_refused() -> None:
    turns = {"type": "server_vad", "interrupt_response": True}
    with pytest.raises(ValidationError, match="decided_by: service"):
        dialplan(turn_detection=turns)


def test_greeting_is_to_be_said_exactly() -> None:
    assert agent_policy(greeting=' Hello "you". ').greeting_instructions == (
        'Say exactly: "Hello "you"."'
    )


@pytest.mark.parametrize(
    ("turns", "overdue_ms"),
    [
        (None, 1_300),
        ({"type": "server_vad", "silence_duration_ms": 200}, 1_000),
        ({"type": "semantic_vad"}, 4_800),
        ({"type": "semantic_vad", "eagerness": "low"}, 8_800),
        ({"type": "none"}, None),
    ],
)
def test_turns_are_overdue_when_the_service_should_have_ended_them(
    turns: dict[str, object] | None, overdue_ms: int | None
) -> None:
    assert agent_policy(turn_detection=turns).turn_overdue_ms == overdue_ms
