"""A call whose node died: what its record keeps, and what it says in its rollout's verdict."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from bridge.config.rollouts import RolloutSettings
from bridge.live.records.lost import entry_of, summary_of
from bridge.routing.rollout.verdict import Badness
from bridge.store.reader import History

PLAN = RolloutSettings(control="old", treatment="new")
BEGUN_MS = 1_700_000_000_000


def lost(*events: Mapping[str, str], **fields: str) -> History:
    """A swept call; each event comes a second after the one before."""
    known = {
        "call_id": "c1",
        "dialplan": "support",
        "arm": "new",
        "dialect": "ga",
        "from": "sip:+15550100@x",
        "to": "sip:support@x",
        "outcome": "node_lost",
        "fault": "bridge",
        "started_at": str(BEGUN_MS),
        "answered_at": str(BEGUN_MS + 900),
        "ended_at": str(BEGUN_MS + 60_000),
        "session_id": "sess_2",
        "conversation_id": "conv_2",
        "rollout": "f",
        "rollout_reason": "SPLIT",
        "rollout_version": "7",
        "rollout_share": "0.25",
        "rollout_caller": "abc",
    }
    numbered = tuple((f"{BEGUN_MS + 1000 * i}-0", each) for i, each in enumerate(events, start=1))
    return History({**known, **fields}, numbered)


def test_record_keeps_rollout_rescue_and_consent(tmp_path: Path) -> None:
    summary = summary_of(
        lost(
            {"kind": "disclosure_spoken", "version": "v3", "language": "de-DE"},
            {"kind": "consent_given", "how": "key", "version": "v3"},
            consent="given",
            consent_version="v3",
            rescued_by="old",
            verstat="passed",
        ),
        tmp_path,
    )
    assert (summary.rollout, summary.rollout_reason, summary.rollout_version) == ("f", "SPLIT", 7)
    assert (summary.arm, summary.rescued_by, summary.arm_in_use) == ("new", "old", "old")
    assert summary.verstat == "passed"
    consent = summary.consent
    assert consent is not None
    assert (consent.version, consent.language, consent.given) == ("v3", "de-DE", True)
    assert (consent.disclosed_at_ms, consent.how) == (BEGUN_MS + 1000, "key")
    assert consent.settled_at_ms == BEGUN_MS + 2000


def test_record_keeps_what_was_told_where_the_stream_was_cut(tmp_path: Path) -> None:
    consent = summary_of(lost(consent="refused", consent_version="v3"), tmp_path).consent
    assert consent is not None
    assert (consent.given, consent.version, consent.how) == (False, "v3", None)


def test_record_of_a_call_that_was_told_nothing_has_no_consent(tmp_path: Path) -> None:
    assert summary_of(lost(), tmp_path).consent is None


def test_record_keeps_sessions_greeting_and_silence(tmp_path: Path) -> None:
    summary = summary_of(
        lost(
            {"kind": "greeted", "delay_ms": "812.5", "session_id": "sess_1"},
            {"kind": "dead_air", "cause": "tool", "silence_ms": "2500", "session_id": "sess_1"},
            {"kind": "dead_air", "cause": "model", "silence_ms": "9000", "session_id": "sess_2"},
            {"kind": "emergency_heard", "phrase": "fire"},
        ),
        tmp_path,
    )
    used = [(each.at_ms, each.session_id, each.conversation_id) for each in summary.sessions]
    assert used == [(1000, "sess_1", ""), (3000, "sess_2", "conv_2")]
    assert summary.greeting_ms == 812.5
    assert (summary.longest_silence_ms, summary.longest_silence_cause) == (9000, "model")
    assert summary.emergencies == ["fire"]


def test_call_counts_in_its_rollout_as_one_that_broke_off() -> None:
    entry = entry_of(lost({"kind": "measured", "response_ms": "700.0"}), PLAN)
    assert entry is not None
    assert (entry.call_id, entry.arm, entry.share, entry.version) == ("c1", "new", 0.25, 7)
    assert (set(entry.bad), entry.code) == ({Badness.CONNECTION}, "node_lost")
    assert (entry.connected, entry.permanent, entry.turns_ms) == (True, False, (700,))
    assert (entry.at_s, entry.caller) == (BEGUN_MS / 1000 + 60, "abc")


def test_what_the_arm_did_before_counts_too() -> None:
    gone = {"code": "close_4000", "layer": "protocol", "fault": "config", "permanent": "1"}
    entry = entry_of(lost({"kind": "session_lost", **gone}, {"kind": "unknown_event"}), PLAN)
    assert entry is not None
    assert entry.bad == {Badness.CONNECTION, Badness.PROTOCOL}
    assert (entry.code, entry.permanent, entry.connected) == ("close_4000", True, False)


@pytest.mark.parametrize(
    "fields",
    [{"rescued_by": "old"}, {"session_id": ""}],
    ids=["counted at its rescue", "never had a session"],
)
def test_call_that_says_nothing_new_of_its_arm_is_not_counted(fields: dict[str, str]) -> None:
    assert entry_of(lost(**fields), PLAN) is None


def test_call_that_was_not_drawn_has_no_share() -> None:
    entry = entry_of(lost(rollout_share=""), PLAN)
    assert entry is not None
    assert entry.share is None


def test_call_of_a_flag_that_is_gone_is_not_counted() -> None:
    assert entry_of(lost(), None) is None
