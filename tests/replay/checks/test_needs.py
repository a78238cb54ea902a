"""What a service's way has nothing to show is not applicable there; all else is judged as ever."""

from dataclasses import replace

import pytest

from bridge.realtime.dialects import dialect_of
from bridge.replay.call.timeline import CallLog, Deed, Doing
from bridge.replay.checks.check import Check, CheckStatus
from bridge.replay.checks.defaults import default_checks
from bridge.replay.checks.needs import as_applicable, why_not_played
from bridge.replay.checks.run import judge_run
from bridge.replay.evidence.evidence import CallerEvidence, Evidence, GatewayEvent
from bridge.replay.results.call import CallOutcome
from bridge.replay.results.run import RunVerdict
from bridge.replay.script import CallScript
from bridge.softphone.ear import HeardUtterance
from tests.replay.evidence.test_heard_items import spoken, wired

KEEPS_TALKING = Check(
    3, "agent_keeps_talking", "the agent to keep talking", "it fell silent", CheckStatus.FAIL, 8000
)
SPOKE = HeardUtterance(1100, 3100)
OVER = Deed(0, Doing.INTERRUPT, "Wait.", 2900, 3500)


def interrupted(flavour: str, dialect: str, *, told: bool) -> Evidence:
    """Return a call whose answer of 8 s the caller cut off at 2.9 s."""
    cut = wired(3050, "conversation.item.truncate", {"item_id": "i", "audio_end_ms": 2000}, "sent")
    wire = (*spoken("i", "A long answer.", 1000, 8000), *([cut] if told else []))
    log = CallLog((OVER,), (SPOKE,), (), True, 20_000, True)
    return Evidence(
        "s.x.1",
        "x",
        dialect,
        CallerEvidence(CallOutcome.ANSWERED, 200, "id", 0, 100, log),
        record={"outcome": "completed"},
        figures={},
        events=(GatewayEvent(3050, "interrupted", {}),),
        wire=wire,
        flavour=flavour,
    )


def script(**fields: object) -> CallScript:
    end = {"by": "bridge"}
    asked = {"schema": "callscript/v1", "id": "s", "caller": [], "end": end, **fields}
    return CallScript.model_validate(asked)


@pytest.mark.parametrize(
    ("dialect", "flavour", "status"),
    [
        ("ga", "openai", CheckStatus.FAIL),
        ("ga", "azure", CheckStatus.FAIL),
        ("ga", "inworld", CheckStatus.FAIL),
        ("ga", "xai", CheckStatus.NOT_APPLICABLE),
        ("beta", "qwen", CheckStatus.NOT_APPLICABLE),
        ("live", "openai", CheckStatus.NOT_APPLICABLE),
    ],
)
def test_an_agent_that_decides_alone_is_not_judged_by_murmurs(
    dialect: str, flavour: str, status: CheckStatus
) -> None:
    found = as_applicable(KEEPS_TALKING, dialect_of(dialect, flavour))
    assert found.status is status
    assert found.found.endswith("it fell silent"), "what was found stays"


def test_what_is_met_stays_met_and_other_checks_fail_as_ever() -> None:
    qwen = dialect_of("beta", "qwen")
    met = replace(KEEPS_TALKING, status=CheckStatus.PASS)
    assert as_applicable(met, qwen) is met
    other = replace(KEEPS_TALKING, kind="text_contains")
    assert as_applicable(other, qwen) is other


def test_an_interrupted_answer_of_which_nothing_was_said_has_failed() -> None:
    (check,) = (
        c
        for c in default_checks(interrupted("openai", "ga", told=False), faulty=False)
        if c.kind == "default_truncated_as_heard"
    )
    assert (check.status, check.owner) == (CheckStatus.FAIL, "bridge")
    assert check.found == "nothing was said of it"
    told = default_checks(interrupted("openai", "ga", told=True), faulty=False)
    assert not any(c.found == check.found for c in told)


@pytest.mark.parametrize("flavour", ["qwen", "localai"])
def test_a_service_that_takes_no_truncation_passes_but_for_that(flavour: str) -> None:
    dialect = {"qwen": "beta", "localai": "ga"}[flavour]
    judgement = judge_run(script(), interrupted(flavour, dialect, told=False))
    assert judgement.verdict is RunVerdict.PASS
    (line,) = judgement.not_applicable
    assert "PROTOCOL.md" in line
    assert line.endswith("nothing was said of it")
    as_plain = judge_run(script(), interrupted("openai", dialect, told=False))
    assert as_plain.verdict is RunVerdict.FAIL, "without its row"
    assert as_plain.not_applicable == ()


def test_a_script_of_client_secrets_is_not_played_where_there_are_none() -> None:
    tokens = script(realtime={"credentials": "token"})
    assert why_not_played(tokens, dialect_of("ga", "xai")) == ""
    assert "way of its own" in why_not_played(tokens, dialect_of("ga", "inworld"))
    assert "client secret" in why_not_played(tokens, dialect_of("live", "openai"))
    assert why_not_played(script(), dialect_of("live", "openai")) == ""
