"""Call scripts as people write them."""

from datetime import timedelta
from pathlib import Path

import pytest

from bridge.errors import ConfigError
from bridge.replay.script import (
    ExpectedTool,
    HangUp,
    Interruption,
    KeyPresses,
    Noise,
    Saying,
    Silence,
    Simulated,
    load_script,
)
from bridge.simulator.scenario import default_scenario
from bridge.softphone.settings import Network, Outage

HEAD = "schema: callscript/v1\nid: test\nhears: [Hello.]\ncaller:\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "script.yaml"


def complaint(path: Path, text: str) -> str:
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_script(path)
    return str(caught.value)


def test_every_action_is_understood(path: Path) -> None:
    path.write_text(
        HEAD
        + """
  - say: Where is my order?
  - say: {text: Hello, audio: hello.wav}
  - interrupt: Wait, please.
  - interrupt:
      text: Stop.
      after: {event: agent_audio_started, delay_ms: 2500}
  - dtmf: {digits: "12#"}
  - silence: {ms: 700}
  - expect: {text_contains: hello}
  - hangup: true
"""
    )
    script = load_script(path)

    assert [step.action for step in script.caller] == [
        Saying(text="Where is my order?"),
        Saying(text="Hello", audio=Path("hello.wav")),
        Interruption(text="Wait, please."),
        Interruption.model_validate({"text": "Stop.", "after": {"delay_ms": 2500}}),
        KeyPresses(digits="12#"),
        Silence(ms=700),
        None,
        HangUp(),
    ]
    assert (script.called, script.end.by) == ("support", "caller")


@pytest.mark.parametrize(
    ("steps", "line", "what"),
    [
        ("  - {say: one, hangup: true}", 5, "a step does one thing"),
        ("  - hangup: false", 5, "should be True"),
        ("  - say: one\n    expect: {}", 6, "expects nothing"),
        ("  - say: one\n    expect: {agent_silent_within_ms: 5}", 5, "a step with interrupt"),
        ("  - hangup: true\n    expect: {within_ms: 5}", 5, "nothing can be expected"),
        ("  - hangup: true\n  - say: one", 1, "no step can follow hangup"),
        ("  - dtmf: {digits: 12x}", 5, "digits"),
        ("  - sing: la la", 5, "sing"),
    ],
)
def test_a_mistake_is_told_with_its_line(path: Path, steps: str, line: int, what: str) -> None:
    told = complaint(path, HEAD + steps)

    assert told.startswith(f"{path}:{line}: ")
    assert what in told


def test_words_cannot_be_expected_of_a_caller_who_hears_nothing(path: Path) -> None:
    text = HEAD.replace("hears: [Hello.]\n", "") + "  - expect: {text_contains: hello}"

    assert "without hears" in complaint(path, text)


EVERYTHING = """\
schema: callscript/v1
id: everything
source: {kind: recorded, call: c_8f2, consent: training-ok, redaction: pii-v3}
tags: [regression, barge-in]
target: {route: billing, arms: [beta, ga], repeat: 5, pass_rate: 0.8}
setup:
  now: 2026-11-20T18:30:00-05:00
  from: "+15550100"
  headers: {X-Tier: gold}
  vars: {order: "4711", tier: gold}
media: {codec: PCMA, ptime_ms: 40, dtmf: info}
network:
  {seed: 7, loss_pct: 1, burst: 2, jitter_ms: 20, delay_ms: 80, reorder_pct: 1,
   outage: {at_ms: 500, ms: 200}, direction: to_caller}
noise: babble
realtime:
  rules: [{hears: ["Where is it?"], tool: {name: look}, then: "It is at {place}."}]
  faults: [{kind: stall, at: audio, ms: 900}]
tools:
  - {name: look, returns: {order: "{order}"}, latency_ms: 1800}
  - {name: pay, fails: timeout}
hears: ["Order {order} is on its way."]
caller:
  - expect: {greeting_within_ms: 1500, contains_any: [recorded, automated]}
  - say: Where is order {order}?
    expect:
      numbers: [4711, "42.50"]
      matches: "order \\\\d{4}"
      tool: {name: look, args: {order: "{order}"}, times: 1}
      no_tool: pay
      no_dead_air_over_ms: 2000
  - interrupt: {text: "no, wait", after: {event: caller_speech_ended, delay_ms: 200}}
    expect: {agent_silent_within_ms: 500, no_resume_of_old_turn: true, talk_over_under_ms: 600}
  - backchannel: mm-hmm
    expect: {agent_keeps_talking: true}
  - dtmf: {digits: "1#", gap_ms: 120}
  - wait: {event: agent_audio_stopped}
  - hold: {ms: 2000}
  - silence: {ms: 9000}
    expect: {reprompt_within_ms: 9000}
  - say: a person, please
    expect: {transfer: {to: "queue:*", within_ms: 5000, context_contains: invoice}}
  - hangup: {after: {event: caller_speech_started, delay_ms: 100}}
end:
  state: transferred
  by: anyone
  must_say: on its way
  must_not_say: [card number]
  recording: present
  redis: {arm: beta, played_ms: "/^[1-9]/", human: 1}
  faults_seen: session_expired
"""


def test_everything_of_the_format_is_understood(path: Path) -> None:
    path.write_text(EVERYTHING)
    script = load_script(path)

    assert script.setup.now is not None
    assert script.setup.now.utcoffset() == timedelta(hours=-5)
    assert (script.setup.from_, script.media.codec) == ("+15550100", "PCMA")
    assert script.network == Network(
        seed=7,
        direction="to_caller",
        loss_pct=1,
        burst=2,
        delay_ms=80,
        jitter_ms=20,
        reorder_pct=1,
        outage=(Outage(at_ms=500, ms=200),),
    )
    assert script.noise == Noise(kind="babble", snr_db=15)
    expect = script.caller[1].expect
    assert expect is not None
    assert expect.numbers == (4711, "42.50")
    assert expect.tool == (ExpectedTool(name="look", args={"order": "4711"}, times=1),)
    assert [type(step.action).__name__ for step in script.caller] == [
        *("NoneType", "Saying", "Interruption", "Backchannel", "KeyPresses", "Wait", "Hold"),
        *("Silence", "Saying", "HangUp"),
    ]
    assert script.end.redis == {"arm": "beta", "played_ms": "/^[1-9]/", "human": 1}


def test_variables_stand_in_texts_and_not_in_what_the_simulator_fills_in(path: Path) -> None:
    path.write_text(EVERYTHING)
    script = load_script(path)

    action = script.caller[1].action
    assert isinstance(action, Saying)
    assert action.text == "Where is order 4711?"
    assert script.hears == ("Order 4711 is on its way.",)
    assert script.tools[0].returns == {"order": "4711"}
    assert script.realtime.rules[0].then == "It is at {place}."


@pytest.mark.parametrize(
    ("written", "instead", "line", "what"),
    [
        ("order {order}?", "order {ordr}?", 25, "{ordr}, which is not in setup.vars; did you mean"),
        ("[4711, ", "[47.5, ", 27, "in quotes where it has a fraction"),
        ('"order', '"(order', 28, "no regular expression"),
        ("kind: stall", "kind: stal", 18, "did you mean 'stall'?"),
        ("loss_pct: 1,", "loss: 1,", 13, "did you mean 'loss_pct'?"),
        ("noise: babble", "noise: bable", 15, "did you mean 'babble'?"),
        ("X-Tier: gold", "From: gold", 9, "the phone's own header"),
        ("hold: {ms: 2000}", "hold: {ms: 20}", 38, "greater than or equal to 100"),
        ("consent: training-ok, ", "", 3, "names its call, consent and redaction"),
        ("agent_keeps_talking: true", "agent_silent_within_ms: 9", 34, "a step with interrupt"),
        ("fails: timeout", "fails: slow", 21, "timeout"),
        ("name: pay, fails", "name: look, fails", 1, "tools has 'look' twice"),
        ("state: transferred", "state: transfered", 45, "did you mean 'transferred'?"),
        ("silence: {ms: 9000}", "wait: {event: dialled}", 39, "only hangup"),
        ("-05:00", "", 7, "timezone"),
    ],
)
def test_a_mistake_in_a_whole_script_is_told_with_its_line(
    path: Path, written: str, instead: str, line: int, what: str
) -> None:
    assert written in EVERYTHING
    told = complaint(path, EVERYTHING.replace(written, instead, 1))

    assert told.startswith(f"{path}:{line}: ")
    assert what in told


def test_a_scenario_is_made_of_the_support_line_and_what_the_script_adds(path: Path) -> None:
    path.write_text(EVERYTHING)
    scenario = load_script(path).realtime.build(path.parent)

    base = default_scenario()
    assert scenario.rules == (*load_script(path).realtime.rules, *base.rules)
    assert [fault.kind for fault in scenario.faults] == ["stall"]
    assert (scenario.greeting, scenario.beta) == (base.greeting, base.beta)


def test_a_scripts_own_rule_is_heard_in_the_place_of_its_scenarios() -> None:
    rules = [{"hears": ["Where is my order?"], "say": "It is lost."}]
    scenario = Simulated.model_validate({"rules": rules}).build(Path())
    answer = scenario.rule_for("Where is my order?")
    assert answer is not None
    assert answer.say == "It is lost."
    other = scenario.rule_for("I would like to know where my order is.")
    assert other is not None
    assert other.say != "It is lost."
