"""Rules: every condition, all of them together, and what one rule hides from another."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import ConfigError
from bridge.routing.matching import check_trunks, explain_match, load_dialplans, match
from bridge.routing.rules import IncomingCall, Rule, incoming_call
from bridge.routing.verstat import Verstat

WEDNESDAY_NOON = datetime(2026, 11, 18, 12, 0, tzinfo=UTC)
OFFICE_HOURS = {"time_zone": "UTC", "open": [{"days": "mon-fri", "from": "09:00", "to": "17:00"}]}

Given = dict[str, Any]  # Any: what a person may write in YAML


def rule(**conditions: object) -> Rule:
    return Rule.model_validate(conditions)


def call(called: str = "+15550100", at: datetime = WEDNESDAY_NOON, **facts: Any) -> IncomingCall:
    return incoming_call(called, at, **facts)


def test_condition_that_is_not_there_holds_for_every_call() -> None:
    assert rule(called="*").takes(call(""))
    assert rule(stir="failed").takes(call("anything", stir=Verstat.FAILED))


@pytest.mark.parametrize(
    ("conditions", "facts", "takes"),
    [
        ({"caller": "+1 555 0199"}, {"caller": '"Al" <sip:+1-555-0199@gw>;tag=1'}, True),
        ({"caller": "+1 555 0199"}, {"caller": "sip:+15550198@gw"}, False),
        ({"caller": ["+49*", "+1555*"]}, {"caller": "+15550198"}, True),
        ({"caller": "anonymous"}, {"caller": "sip:anonymous@anonymous.invalid"}, True),
        ({"caller": "_+1555018X"}, {"caller": "+15550187"}, True),
        ({"headers": {"X-Tier": "gold"}}, {"headers": {"x-tier": ("gold",)}}, True),
        ({"headers": {"x-tier": "gold"}}, {"headers": {"X-Tier": ("silver", "gold")}}, True),
        ({"headers": {"X-Tier": "gold"}}, {"headers": {"X-Tier": ("golden",)}}, False),
        ({"headers": {"X-Tier": "gold*"}}, {"headers": {"X-Tier": ("golden",)}}, True),
        ({"headers": {"X-Tier": "*"}}, {"headers": {"X-Tier": ("",)}}, True),
        ({"headers": {"X-Tier": "*"}}, {"headers": {}}, False),
        ({"headers": {"X-A": "1", "X-B": "2"}}, {"headers": {"X-A": ("1",)}}, False),
        ({"trunk": "carrier-a"}, {"trunk": "carrier-a"}, True),
        ({"trunk": ["carrier-a", "carrier-b"]}, {"trunk": "carrier-b"}, True),
        ({"trunk": "carrier-a"}, {"trunk": ""}, False),
        ({"stir": ["A", "B"]}, {"stir": Verstat.B}, True),
        ({"stir": ["A", "B"]}, {"stir": Verstat.NONE}, False),
        ({"stir": "none"}, {}, True),
        ({"when": OFFICE_HOURS}, {}, True),
        ({"when": {**OFFICE_HOURS, "is": "closed"}}, {}, False),
        ({"when": OFFICE_HOURS}, {"at": datetime(2026, 11, 21, 12, tzinfo=UTC)}, False),
        (
            {"when": {**OFFICE_HOURS, "is": "closed"}},
            {"at": datetime(2026, 11, 21, 12, tzinfo=UTC)},
            True,
        ),
    ],
)
def test_each_condition(conditions: Given, facts: Given, takes: bool) -> None:
    made = call(**facts)
    assert rule(**conditions).takes(made) is takes
    # It holds beside others that hold, and takes the rule down where it doesn't.
    assert rule(called="+1555*", **conditions).takes(made) is takes
    assert not rule(called="+49*", **conditions).takes(made)


def test_holiday_is_closed_and_is_a_state_of_its_own() -> None:
    times = {**OFFICE_HOURS, "holidays": {"dates": ["11-18"]}}
    assert rule(when={**times, "is": "holiday"}).takes(call())
    assert rule(when={**times, "is": "closed"}).takes(call())
    assert not rule(when=times).takes(call())
    weekend = call(at=datetime(2026, 11, 21, 12, tzinfo=UTC))
    assert not rule(when={**times, "is": "holiday"}).takes(weekend)


def test_rule_without_any_condition_is_refused() -> None:
    with pytest.raises(ValueError, match="should have a condition"):
        rule()


# What hides what

NUMBERS = st.sampled_from(["*", "+1*", "+15*", "+15550100", "_+1NXXXXXX", "_+1555010[0-4]"])
CALLERS = st.lists(st.sampled_from(["+1*", "+17*", "+1700", "anonymous"]), unique=True)
STIR = st.lists(st.sampled_from(["A", "B", "none"]), unique=True)
TRUNKS = st.lists(st.sampled_from(["a", "b"]), unique=True)
HEADERS = st.dictionaries(
    st.sampled_from(["X-A", "x-a", "X-B"]), st.sampled_from(["1", "1*", "*"]), max_size=1
)
TIMES = st.sampled_from([None, OFFICE_HOURS, {**OFFICE_HOURS, "is": "closed"}])
RULES = st.builds(
    rule, called=NUMBERS, caller=CALLERS, stir=STIR, trunk=TRUNKS, headers=HEADERS, when=TIMES
)
CALLS = st.builds(
    call,
    called=st.sampled_from(["+15550100", "+15550105", "+12", "x"]),
    at=st.sampled_from([WEDNESDAY_NOON, datetime(2026, 11, 21, 12, tzinfo=UTC)]),
    caller=st.sampled_from(["+1700", "+1800", "anonymous", ""]),
    stir=st.sampled_from([Verstat.A, Verstat.B, Verstat.NONE]),
    trunk=st.sampled_from(["a", "b", ""]),
    headers=st.dictionaries(
        st.sampled_from(["x-a", "x-b"]), st.tuples(st.sampled_from(["1", "12", ""])), max_size=2
    ),
)


@given(first=RULES, second=RULES, made=CALLS)
def test_rule_that_covers_another_takes_each_of_its_calls(
    first: Rule, second: Rule, made: IncomingCall
) -> None:
    if first.covers(second) and second.takes(made):
        assert first.takes(made)


@given(RULES)
def test_rule_covers_itself(one: Rule) -> None:
    assert one.covers(one)


@pytest.mark.parametrize(
    ("first", "second", "hidden"),
    [
        ({"called": "+1*"}, {"called": "+15*", "stir": "A"}, True),
        ({"called": "+1*", "stir": "A"}, {"called": "+15*"}, False),
        ({"stir": ["A", "B"]}, {"stir": "A", "trunk": "t"}, True),
        ({"caller": ["+1*", "+2*"]}, {"caller": ["+15", "+25"]}, True),
        ({"caller": ["+1*"]}, {"caller": ["+15", "+25"]}, False),
        ({"headers": {"X-A": "1*"}}, {"headers": {"x-a": "12", "X-B": "*"}}, True),
        ({"headers": {"X-A": "12"}}, {"headers": {"X-A": "1*"}}, False),
        ({"when": OFFICE_HOURS}, {"when": OFFICE_HOURS, "called": "+1"}, True),
        ({"when": OFFICE_HOURS}, {"when": {**OFFICE_HOURS, "is": "closed"}}, False),
    ],
)
def test_what_a_rule_hides(first: Given, second: Given, hidden: bool) -> None:
    assert rule(**first).covers(rule(**second)) is hidden


# Files

HEAD = """\
schema: dialplan/v1
name: {name}
arm: local
agent: {{instructions: Be brief.}}
match:
"""


def write(directory: Path, name: str, *rules: str) -> None:
    (directory / f"{name}.yaml").write_text(HEAD.format(name=name) + "".join(rules))


def test_unreachable_rule_is_told_with_both_places(tmp_path: Path) -> None:
    write(tmp_path, "a", "  - {stir: [A, B], called: '+1*'}\n")
    write(tmp_path, "b", "  - {called: '+1 555*', stir: A}\n  - called: '*'\n")
    with pytest.raises(ConfigError) as raised:
        load_dialplans(tmp_path)
    assert str(raised.value).replace(f"{tmp_path}/", "") == (
        "b.yaml:6: '+1555*' and stir A is never reached: '+1*' and stir A or B stands before it,"
        " at a.yaml:6; the first matching rule wins, files in the order of their names"
    )


def test_verdicts_end_with_the_rule_that_takes_the_call(tmp_path: Path) -> None:
    write(tmp_path, "a", "  - called: '+1*'\n    stir: A\n  - called: '+49*'\n")
    write(tmp_path, "b", "  - called: '*'\n")
    plans = load_dialplans(tmp_path)
    made = call("+15550100")
    verdicts = explain_match(plans, made)
    assert [verdict.place.rsplit("/", 1)[1] for verdict in verdicts] == [
        "a.yaml:6",
        "a.yaml:8",
        "b.yaml:6",
    ]
    assert [verdict.takes for verdict in verdicts] == [False, False, True]
    assert [str(check) for check in verdicts[0].checks] == [
        "called +15550100 meets +1*",
        "stir is none, not A",
    ]
    assert match(plans, made) is verdicts[-1].dialplan
    assert not explain_match(plans[:1], call("x"))[-1].takes
    assert match(plans[:1], call("x")) is None


def test_unknown_trunk_is_told_at_its_line(tmp_path: Path) -> None:
    write(tmp_path, "a", "  - called: '*'\n    trunk: [carrier-a, carier-b]\n")
    plans = load_dialplans(tmp_path)
    check_trunks(plans, ["carrier-a", "carier-b"])
    with pytest.raises(ConfigError) as raised:
        check_trunks(plans, ["carrier-a", "carrier-b"])
    assert str(raised.value) == (
        f"{tmp_path}/a.yaml:7: trunk 'carier-b' is not in the settings (known trunks: carrier-a,"
        " carrier-b); did you mean 'carrier-b'?"
    )
    with pytest.raises(ConfigError, match="there is none"):
        check_trunks(plans, [])


MISTAKES = """\
  - called: "_+1[5-2]"
  - stir: passd
  - caller: ["+1555*", 5]
  - {}
  - headers: {"X Vip": a}
  - headers: {"X-Vip": 3}
  - trnk: a
  - when:
      time_zone: Europe/Berln
      open: [{days: mon-fri, from: 8:00, to: '8:00'}, {day: sat}, {days: [mon-fry]}]
      is: opn
  - when: {time_zone: UTC, open: []}
"""


def test_every_condition_tells_its_mistakes_and_what_may_be_meant(tmp_path: Path) -> None:
    write(tmp_path, "a", MISTAKES)
    with pytest.raises(ConfigError) as raised:
        load_dialplans(tmp_path)
    assert str(raised.value).replace(f"{tmp_path}/", "").splitlines() == [
        "a.yaml:6: match[0].called has '[5-2]', whose range goes down",
        "a.yaml:7: match[1].stir[0] should be one of A, B, C, passed, failed, none, not 'passd';"
        " did you mean 'passed'?",
        "a.yaml:8: match[2].caller[1] should be text, and YAML reads it as a number: put it in"
        " quotes",
        "a.yaml:9: match[3] should have a condition; 'called: \"*\"' takes every call",
        "a.yaml:10: the key match[4].headers.X Vip should match pattern"
        " '^[A-Za-z0-9.!%*_+`'~-]{1,64}$'",
        "a.yaml:11: match[5].headers.X-Vip should be text, and YAML reads it as a number: put it in"
        " quotes",
        "a.yaml:12: match[6].trnk is not known; did you mean 'trunk'?",
        "a.yaml:14: match[7].when.time_zone should be a time zone of the IANA list, like"
        " 'Europe/Berlin', not 'Europe/Berln'; did you mean 'Europe/Berlin'?",
        "a.yaml:15: match[7].when.open[0].from should be text, and YAML reads it as a number: put"
        " it in quotes",
        "a.yaml:15: match[7].when.open[0].to should be a time from 00:00 to 24:00, like '08:30',"
        " not '8:00'",
        "a.yaml:15: match[7].when.open[1].days is missing",
        "a.yaml:15: match[7].when.open[1].day is not known; did you mean 'days'?",
        "a.yaml:15: match[7].when.open[2].days[0] should be a day or a range of days, like 'sat' or"
        " 'mon-fri', not 'mon-fry'; did you mean 'fri'?",
        "a.yaml:16: match[7].when.is should be one of open, closed, holiday, not 'opn'; did you"
        " mean 'open'?",
        "a.yaml:17: match[8].when.open should have at least one entry; leave it out for always",
    ]
