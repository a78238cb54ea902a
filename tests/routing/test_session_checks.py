"""Sessions that can't be asked for are found before any call; what is said of each."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from bridge.config.rollouts import RolloutSettings
from bridge.config.settings import ArmSettings
from bridge.config.yaml_source import YamlSource
from bridge.errors import ConfigError
from bridge.routing.models import Dialplan
from bridge.routing.session_checks import arms_of, check_sessions, session_warnings
from bridge.routing.session_layers import TURNS, on_arm, session_layers
from tests.config.test_session_template import WHOLE
from tests.routing.test_session import dialplan
from tests.routing.test_session_layers import BY_SERVICE, CRM, Fields, arm, heard, vad

ROLLOUTS = {"f": RolloutSettings(control="old", treatment="new")}


def problem(
    plans: list[Dialplan],
    arms: Mapping[str, ArmSettings],
    rollouts: Mapping[str, RolloutSettings] = {},  # nobody changes it
) -> str:
    with pytest.raises(ConfigError) as caught:
        check_sessions(plans, arms, rollouts)
    return str(caught.value)


def flagged(**agent: object) -> Dialplan:
    return dialplan(**agent).model_copy(update={"arm": None, "rollout": "f"})


BETA_LACKS: dict[str, Fields] = {
    "audio.input.noise_reduction.strength": heard(
        noise_reduction={"type": "near_field", "strength": 0.4}
    ),
    "audio.input.transcription.languages": heard(transcription={"model": "m", "languages": ["de"]}),
    "audio.input.transcription.keywords": heard(transcription={"model": "m", "keywords": ["a"]}),
    "audio.input.transcription.delay": heard(transcription={"model": "m", "delay": "low"}),
    "audio.input.turn_detection.idle_timeout_ms": vad(idle_timeout_ms=6000),
    "audio.output.voice.id": {"audio": {"output": {"voice": {"id": "voice_1"}}}},
    "tools[mcp crm]": {"tools": [CRM]},
    "tool_choice": {"tools": [CRM], "tool_choice": {"type": "mcp", "server_label": "crm"}},
    "reasoning.effort": {"reasoning": {"effort": "low"}},
    "parallel_tool_calls": {"parallel_tool_calls": True},
    "truncation": {"truncation": "disabled"},
    "truncation.type": {"truncation": {"type": "retention_ratio", "retention_ratio": 0.8}},
    "include": {"include": ["item.input_audio_transcription.logprobs"]},
    "prompt": {"prompt": {"id": "pmpt_1"}},
}


@pytest.mark.parametrize("path", BETA_LACKS)
def test_field_without_a_counterpart_in_the_beta_is_refused(path: str) -> None:
    session = BETA_LACKS[path]
    check_sessions([dialplan()], {"local": arm(session)}, {})
    told = problem([dialplan()], {"local": arm(session, dialect="beta")})
    named = "tools[mcp crm]" if path == "tool_choice" else path
    assert told.startswith(f"arms.local.session.{named} can't be asked for: ")
    assert "came with GA" in told or "only a session that transcribes" in told
    assert "the arm's dialect is beta" in told


BETA_HAS: list[Fields] = [
    heard(noise_reduction={"type": "near_field"}),
    heard(noise_reduction=None, transcription=None, turn_detection=None),
    heard(transcription={"model": "m", "language": "de", "prompt": "Orders."}),
    vad(threshold=0.4, prefix_padding_ms=1, silence_duration_ms=2),
    heard(turn_detection={"type": "semantic_vad", "eagerness": "low"}),
    {"audio": {"output": {"voice": "sage", "speed": 1.2}}},
    {"temperature": 0.7},
    {"max_output_tokens": "inf"},
    {"tool_choice": "required"},
    {"tracing": {"workflow_name": "a", "metadata": {"b": 1}}},
    {"output_modalities": ["audio"]},
]


@pytest.mark.parametrize("session", BETA_HAS, ids=str)
def test_field_with_a_counterpart_is_taken(session: Fields) -> None:
    check_sessions([dialplan()], {"local": arm(session, dialect="beta")}, {})


def test_arm_that_no_dialplan_names_is_checked_too() -> None:
    told = problem([], {"spare": arm({"truncation": "auto"}, dialect="beta")})
    assert told.startswith("arms.spare.session.truncation can't be asked for")


def test_temperature_is_for_servers_that_take_it() -> None:
    told = problem([dialplan()], {"local": arm({"temperature": 0.7})})
    assert "arms.local.session.temperature can't be asked for: GA has none" in told
    assert "takes: [temperature]" in told
    check_sessions([dialplan()], {"local": arm({"temperature": 0.7}, takes=["temperature"])}, {})


def test_field_of_the_agent_is_refused_where_one_of_its_arms_lacks_it() -> None:
    arms = {"old": arm(dialect="beta"), "new": arm()}
    plan = flagged(session={"reasoning": {"effort": "low"}})
    told = problem([plan], arms, ROLLOUTS)
    assert "dialplan 'made': agent.session.reasoning.effort can't be asked for on arm 'old'" in told
    assert told.endswith("take it out, or write it in the session of those arms that can")
    check_sessions([flagged()], {**arms, "new": arm({"reasoning": {"effort": "low"}})}, ROLLOUTS)


def test_complaint_has_the_dialplans_line() -> None:
    text = (
        "schema: dialplan/v1\nname: made\nmatch: [{called: '*'}]\narm: local\n"
        "agent:\n  instructions: Be brief.\n  session:\n    tracing: auto\n    truncation: auto\n"
    )
    plan = Dialplan.from_source(YamlSource(Path("made.yaml"), text))
    told = problem([plan], {"local": arm(dialect="beta")})
    assert told.startswith("made.yaml:9: agent.session.truncation can't be asked for on arm")


def test_what_a_dialplan_says_in_its_own_words_is_no_error() -> None:
    """It is left out with a warning, as it was before there were templates."""
    plan = dialplan(
        turn_detection={"type": "server_vad", "idle_timeout_ms": 6000},
        mcp_servers=[{"label": "crm", "url": "https://crm.example.com"}],
    )
    check_sessions([plan], {"local": arm({"tracing": "auto"}, dialect="beta")}, {})


def test_two_deciders_are_refused() -> None:
    told = problem([dialplan()], {"local": arm(vad(create_response=True))})
    assert "arms.local.session.audio.input.turn_detection.create_response" in told
    assert "barge_in: {decided_by: service}" in told
    check_sessions([dialplan(barge_in=BY_SERVICE)], {"local": arm(vad(create_response=True))}, {})
    with pytest.raises(ValueError, match="decided_by: service"):
        dialplan(session=vad(interrupt_response=False))


@pytest.mark.parametrize(
    ("session", "words"),
    [
        (heard(transcription={"delay": "low"}), "nothing names the transcription's model"),
        (
            heard(transcription={"model": None, "language": "de"}),
            "nothing names the transcription's model",
        ),
        ({"tool_choice": {"type": "function", "name": "find"}}, "no function 'find'"),
        ({"tool_choice": {"type": "mcp", "server_label": "crm"}}, "no mcp 'crm'"),
    ],
)
def test_session_that_names_what_is_not_there_is_refused(session: Fields, words: str) -> None:
    assert words in problem([dialplan()], {"local": arm(session)})
    assert words in problem([dialplan(session=session)], {"local": arm()})


def test_choice_of_a_tool_that_the_agent_has_is_taken() -> None:
    plan = dialplan(tools=[{"name": "end_call"}])
    for name in ({"type": "function", "name": "end_call"}, {"type": "mcp", "server_label": "crm"}):
        check_sessions([plan], {"local": arm({"tools": [CRM], "tool_choice": name})}, {})


def test_whole_template_is_taken_by_ga() -> None:
    check_sessions([dialplan(barge_in=BY_SERVICE)], {"local": arm(WHOLE)}, {})


def warnings(plan: Dialplan, arms: Mapping[str, ArmSettings]) -> list[str]:
    return list(session_warnings([plan], arms, ROLLOUTS))


def test_stored_prompt_is_warned_of() -> None:
    (told,) = warnings(dialplan(), {"local": arm({"prompt": {"id": "p"}})})
    assert "arms.local.session.prompt" in told
    assert "2026-11-30" in told
    assert (
        warnings(dialplan(session={"prompt": None}), {"local": arm({"prompt": {"id": "p"}})}) == []
    )


def test_rollout_of_what_the_dialplan_decides_anyway_is_warned_of() -> None:
    arms = {"old": arm(vad(silence_duration_ms=700)), "new": arm(vad(silence_duration_ms=300))}
    assert arms_of(flagged(), ROLLOUTS) == ("old", "new")
    assert warnings(flagged(), arms) == []
    decided = flagged(turn_detection={"type": "server_vad", "silence_duration_ms": 500})
    (told,) = warnings(decided, arms)
    assert "the arms old and new differ in their session alone" in told
    assert warnings(flagged(), {"old": arm(), "new": arm(model="other")}) == []


def test_turns_are_left_to_a_server_that_leaves_them_to_nobody() -> None:
    local = arm({}, flavour="localai")
    layers = session_layers(dialplan(), "local", local)
    assert f"{TURNS}.create_response" not in layers
    assert not on_arm(dialplan(), local).agent.barge_in.is_ours
    check_sessions([dialplan()], {"local": local}, {})


def test_bridge_cannot_decide_on_turns_that_a_server_answers_by_itself() -> None:
    ours = dialplan(barge_in={"decided_by": "bridge"})
    told = problem([ours], {"local": arm({}, flavour="qwen")})
    assert "agent.barge_in can't be on arm 'local' (flavour qwen)" in told
    assert "write barge_in: {decided_by: service}" in told
    qwen = {"local": arm({}, flavour="qwen")}
    check_sessions([dialplan(barge_in=BY_SERVICE)], qwen, {})
    # What only says how the bridge would decide is no contradiction, and is told to be in vain.
    in_vain = dialplan(barge_in={"backchannels": "stop"})
    check_sessions([in_vain], qwen, {})
    found = list(session_warnings([in_vain], qwen, {}))
    assert any("agent.barge_in does not say when the agent stops" in each for each in found)


def test_server_that_answers_audio_alone_does_not_greet() -> None:
    told = problem([dialplan(greeting="Hello.")], {"local": arm({}, flavour="vllm-omni")})
    assert "agent.greeting can't be on arm 'local' (flavour vllm-omni)" in told
    cached = dialplan(greeting="Hello.", greeting_by="cached")
    check_sessions([cached], {"local": arm({}, flavour="vllm-omni")}, {})


def test_field_that_a_flavour_lacks_is_refused_in_a_template() -> None:
    told = problem(
        [dialplan()], {"local": arm({"audio": {"output": {"speed": 1.2}}}, flavour="qwen")}
    )
    assert "arms.local.session.audio.output.speed can't be asked for" in told
    assert "(the arm's dialect is beta, its flavour qwen)" in told


def test_commands_that_a_server_does_not_take_are_warned_of() -> None:
    found = list(session_warnings([dialplan()], {"local": arm({}, flavour="qwen")}, {}))
    assert any("is not sent TruncateItem: it goes on believing" in each for each in found)
    assert list(session_warnings([dialplan()], {"local": arm({})}, {})) == []
