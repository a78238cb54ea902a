"""Templates and the agent's own fields, laid over each other; what each layer decides."""

from collections.abc import Mapping

import pytest

from bridge.config.settings import ArmSettings
from bridge.realtime.session_config import (
    ManualTurns,
    McpTool,
    SemanticVad,
    ServerVad,
    SessionConfig,
    Transcription,
)
from bridge.routing.agent import NoTurnDetection
from bridge.routing.models import Dialplan
from bridge.routing.modes import Mode, during
from bridge.routing.session import read_config, session_config
from bridge.routing.session_layers import on_arm, session_layers
from tests.config.test_session_template import WHOLE
from tests.routing.test_session import dialplan

Fields = Mapping[str, object]
BY_SERVICE = {"decided_by": "service"}


def arm(session: Fields | None = None, **fields: object) -> ArmSettings:
    return ArmSettings.model_validate({"url": "ws://x/v1/realtime", "session": session, **fields})


def heard(**fields: object) -> Fields:
    return {"audio": {"input": fields}}


def vad(**fields: object) -> Fields:
    return heard(turn_detection={"type": "server_vad", **fields})


def turns_of(plan: Dialplan, below: ArmSettings) -> object:
    return session_config(on_arm(plan, below)).turn_detection


def test_without_a_template_nothing_changes() -> None:
    plan = dialplan(voice="marin")
    assert on_arm(plan, arm()) is plan


def test_each_layer_stands_above_the_one_before_it() -> None:
    below = arm(
        {
            "audio": {"output": {"voice": "ash", "speed": 0.9}},
            "max_output_tokens": 10,
            "reasoning": {"effort": "low"},
            "parallel_tool_calls": True,
        },
        voice="sage",
    )
    plan = dialplan(
        session={"audio": {"output": {"speed": 1.1}}, "max_output_tokens": 20, "tracing": "auto"},
        max_output_tokens=30,
        barge_in=BY_SERVICE,
    )
    found = {
        path: (each.value, each.source) for path, each in session_layers(plan, "a", below).items()
    }
    assert found == {
        "reasoning.effort": ("low", "arms.a.session"),
        "parallel_tool_calls": (True, "arms.a.session"),
        "audio.output.voice": ("sage", "arms.a.voice"),
        "audio.output.speed": (1.1, "agent.session"),
        "tracing": ("auto", "agent.session"),
        "instructions": ("Be brief.", "agent.instructions"),
        "max_output_tokens": (30, "agent.max_output_tokens"),
    }
    assert session_config(on_arm(plan, below)) == SessionConfig(
        instructions="Be brief.",
        voice="ash",  # the arm's own voice is chosen with its model
        speed=1.1,
        max_output_tokens=30,
        reasoning_effort="low",
        parallel_tool_calls=True,
        tracing="auto",
    )


def test_fields_of_one_turn_detection_come_from_different_layers() -> None:
    below = arm(vad(silence_duration_ms=300, threshold=0.1))
    plan = dialplan(
        session=vad(prefix_padding_ms=100, threshold=0.2),
        turn_detection={"type": "server_vad", "threshold": 0.3},
    )
    assert turns_of(plan, below) == ServerVad(
        threshold=0.3,
        prefix_padding_ms=100,
        silence_duration_ms=300,
        create_response=False,
        interrupt_response=False,
    )


def test_turn_detection_of_another_type_stands_alone() -> None:
    below = arm(vad(silence_duration_ms=300))
    plan = dialplan(session=heard(turn_detection={"type": "semantic_vad", "eagerness": "low"}))
    wanted = SemanticVad(eagerness="low", create_response=False, interrupt_response=False)
    assert turns_of(plan, below) == wanted
    other = arm(heard(turn_detection={"type": "semantic_vad", "eagerness": "low"}))
    turns = turns_of(dialplan(turn_detection={"type": "server_vad"}), other)
    assert turns == ServerVad(create_response=False, interrupt_response=False)


def test_null_is_off_and_a_higher_layer_switches_on_again() -> None:
    off = arm(heard(turn_detection=None))
    assert turns_of(dialplan(), off) == ManualTurns()
    on = turns_of(dialplan(session=vad(threshold=0.2)), off)
    assert on == ServerVad(threshold=0.2, create_response=False, interrupt_response=False)
    assert turns_of(dialplan(turn_detection={"type": "none"}), arm(vad())) == ManualTurns()


@pytest.mark.parametrize(
    ("null", "field"),
    [
        (heard(noise_reduction=None), "noise_reduction"),
        (heard(transcription=None), "transcription"),
        ({"tracing": None}, "tracing"),
    ],
)
def test_null_takes_back_what_a_lower_layer_asks_for_and_is_sent(null: Fields, field: str) -> None:
    below = arm(
        {
            "audio": {
                "input": {
                    "noise_reduction": {"type": "far_field", "strength": 0.3},
                    "transcription": {"model": "gpt-transcribe"},
                }
            },
            "tracing": "auto",
        }
    )
    config = session_config(on_arm(dialplan(session=null), below))
    assert config.switched_off == {field}
    assert getattr(config, field) is None
    assert config.noise_reduction_strength == (None if field == "noise_reduction" else 0.3)


@pytest.mark.parametrize("key", ["prompt", "max_output_tokens", "tool_choice", "truncation"])
def test_null_elsewhere_leaves_the_field_to_the_service(key: str) -> None:
    below = arm({"prompt": {"id": "p"}, "max_output_tokens": 9, "truncation": "disabled"})
    config = session_config(on_arm(dialplan(session={key: None}), below))
    assert getattr(config, key) is None
    assert config.switched_off == frozenset()


def test_bridge_decides_on_turns_above_all_templates() -> None:
    plan = dialplan()
    found = session_layers(plan, "a", arm(vad(create_response=True)))
    assert found["audio.input.turn_detection.create_response"].source == "agent.barge_in"
    by_service = dialplan(barge_in=BY_SERVICE)
    assert turns_of(by_service, arm(vad(create_response=True))) == ServerVad(create_response=True)


@pytest.mark.parametrize(
    ("transcription", "agent", "language", "languages"),
    [
        ({"language": "de"}, {}, "de", ()),
        ({"language": "de"}, {"language": "en-GB"}, "en", ()),
        ({"languages": ["de", "fr"]}, {"language": "en"}, None, ("de", "fr")),
        (
            {"languages": ["de", "fr"]},
            {"language": "en", "session": heard(transcription={"languages": None})},
            "en",
            (),
        ),
        (
            {"language": "de"},
            {"language": "en", "transcription": {"model": "m", "language": "fr-CA"}},
            "fr",
            (),
        ),
    ],
)
def test_language_of_the_transcription(
    transcription: Fields, agent: Fields, language: str | None, languages: tuple[str, ...]
) -> None:
    below = arm(heard(transcription={"model": "gpt-transcribe", **transcription}))
    found = session_config(on_arm(dialplan(**agent), below)).transcription
    assert found is not None
    assert (found.language, found.languages) == (language, languages)


def test_transcription_of_agent_and_template_are_one() -> None:
    below = arm(heard(transcription={"keywords": ["Fielding"], "delay": "low"}))
    plan = on_arm(dialplan(transcription={"model": "gpt-realtime-whisper"}), below)
    assert session_config(plan).transcription == Transcription(
        "gpt-realtime-whisper", keywords=("Fielding",), delay="low"
    )


def test_language_without_a_transcription_asks_for_none() -> None:
    plan = on_arm(dialplan(language="en"), arm({"tracing": "auto"}))
    assert session_config(plan).transcription is None


def test_policy_goes_by_the_turn_detection_in_force() -> None:
    """A service that may wait four seconds for the caller's next word is not overdue before."""
    for plan, overdue_ms in (
        (on_arm(dialplan(), arm(vad(silence_duration_ms=4_000))), 4_800),
        (on_arm(dialplan(session=vad(silence_duration_ms=200)), arm()), 1_000),
        (on_arm(dialplan(), arm(heard(turn_detection={"type": "semantic_vad"}))), 4_800),
        (on_arm(dialplan(), arm(heard(turn_detection=None))), None),
        (on_arm(dialplan(), arm({"tracing": "auto"})), 1_300),
    ):
        assert plan.agent.policy(lambda text: text).turn_overdue_ms == overdue_ms


def test_what_depends_on_the_transcription_goes_by_the_one_in_force() -> None:
    plan = on_arm(dialplan(), arm(heard(transcription={"model": "gpt-transcribe"})))
    assert plan.agent.transcription is not None
    silent = on_arm(
        dialplan(session=heard(transcription=None)),
        arm(heard(transcription={"model": "gpt-transcribe"})),
    )
    assert silent.agent.transcription is None
    by_hand = on_arm(dialplan(), arm(heard(turn_detection=None)))
    assert by_hand.agent.turn_detection == NoTurnDetection(type="none")


CRM = {"type": "mcp", "server_label": "crm", "server_url": "https://crm.example.com/mcp"}


def test_servers_of_all_layers_are_told_apart_by_their_labels() -> None:
    below = arm({"tools": [CRM, {"type": "mcp", "server_label": "a", "tunnel_id": "t"}]})
    plan = dialplan(
        session={"tools": [{**CRM, "server_url": "https://new.example.com", "approve": ["pay"]}]},
        mcp_servers=[{"label": "mine", "url": "https://mine.example.com", "approve": ["sell"]}],
        tools=[{"name": "end_call"}],
    )
    laid = on_arm(plan, below)
    _, *servers = session_config(laid).tools
    assert servers == [
        McpTool("crm", {"server_url": "https://new.example.com"}),
        McpTool("a", {"tunnel_id": "t"}),
        McpTool("mine", {"server_url": "https://mine.example.com", "require_approval": "always"}),
    ]
    assert laid.agent.policy(lambda text: text).mcp_approved == {"pay", "sell"}
    without = on_arm(dialplan(session={"tools": []}), below)
    assert session_config(without).tools == ()


def test_secrets_are_sent_and_shown_nowhere() -> None:
    entry = {**CRM, "headers": {"X-Key": {"env": "CRM_KEY"}}, "authorization_env": "CRM_TOKEN"}
    config = session_config(
        on_arm(dialplan(), arm({"tools": [entry]})), {"CRM_KEY": "hush", "CRM_TOKEN": "mum"}
    )
    assert config.tools == (
        McpTool(
            "crm",
            {
                "server_url": "https://crm.example.com/mcp",
                "headers": {"X-Key": "hush"},
                "authorization": "mum",
            },
        ),
    )
    assert "hush" not in repr(config)
    assert "mum" not in repr(config)


def test_line_that_is_closed_takes_the_template_without_its_tools() -> None:
    hours = {
        "time_zone": "UTC",
        "open": [{"days": "mon", "from": "00:00", "to": "00:01"}],
        "closed": {"then": "callback"},
    }
    written = dialplan(tools=[{"name": "send_dtmf"}]).model_dump(by_alias=True, exclude_unset=True)
    plan = Dialplan.model_validate({**written, "hours": hours})
    choice = {"type": "function", "name": "send_dtmf"}
    laid = on_arm(plan, arm({"tools": [CRM], "tool_choice": choice, "tracing": "auto"}))
    assert session_config(laid).tool_choice == "send_dtmf"
    closed = session_config(during(laid, Mode.CLOSED))
    assert [getattr(each, "name", None) for each in closed.tools] == [
        "schedule_callback",
        "end_call",
    ]
    assert (closed.tool_choice, closed.tracing) == (None, "auto")


def test_every_field_of_a_template_becomes_a_setting() -> None:
    given = {path: each.value for path, each in session_layers(dialplan(), "a", arm(WHOLE)).items()}
    unset = SessionConfig()
    config = read_config(session_layers(dialplan(barge_in=BY_SERVICE), "a", arm(WHOLE)))
    left = [
        name for name in SessionConfig.__slots__ if getattr(config, name) == getattr(unset, name)
    ]
    # GA has no temperature and no backend; the rest is the bridge's own.
    own = ["output_audio", "input_format", "output_format", "switched_off", "kind", "model"]
    assert sorted(left) == sorted([*own, "temperature", "backend"])
    assert given["output_modalities"] == ("audio",)
