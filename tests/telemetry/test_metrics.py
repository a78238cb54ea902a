import inspect
import re
from datetime import date

import pytest
from prometheus_client import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics_text
from prometheus_client.parser import text_string_to_metric_families

from bridge.clock import NS_PER_MS, NS_PER_S
from bridge.errors import Fault, NotPlaced, Outcome
from bridge.live.records.summary import ToolRun
from bridge.session import tokens
from bridge.sip.sources import TurnedAway
from bridge.telemetry.labels import (
    BilledToken,
    By,
    DeadAirCause,
    DtmfMethod,
    DtmfResult,
    InterruptionKind,
    InterruptionResult,
    LabelGuard,
    Modality,
    Path,
    PromptResult,
    SipDirection,
    TransferKind,
    TurnStage,
    UpstreamPhase,
)
from bridge.telemetry.logs import call_context
from bridge.telemetry.metrics import ARM_STOPPING, Format, Metrics, RtpSummary

TOKEN_CODES = sorted(
    {*re.findall(r'"(token_[a-z]+)"', inspect.getsource(tokens))} - {"token_closed"}
)
"""The words of `bridge/session/tokens.py` for a token that could not be fetched."""

TURN = ".1 .2 .3 .4 .5 .65 .8 1 1.25 1.5 2 2.5 3 4 5 8 13"
STAGE = ".005 .01 .02 .03 .04 .06 .08 .1 .15 .2 .3 .5 .8 1.5 3 5 8"
SETUP = ".05 .1 .2 .3 .5 .75 1 1.5 2 3 5 10 20 30"

# Names, labels and buckets as in NEEDS.md section 3, and more of our own.
EXPECTED: dict[str, tuple[str, str]] = {
    "bridge_build_info": ("version", ""),
    "bridge_arm_info": ("arm dialect endpoint model", ""),
    "bridge_config_last_reload_timestamp_seconds": ("", ""),
    "bridge_dialplan_reloads_total": ("result", ""),
    "bridge_trace_spans_total": ("result", ""),
    "bridge_trunk_reloads_total": ("result", ""),
    "bridge_calls_offered_total": ("route arm", ""),
    "bridge_calls_answered_total": ("route arm", ""),
    "bridge_calls_ended_total": ("route arm outcome reason fault", ""),
    "bridge_calls_bad_total": ("arm", ""),
    "bridge_arm_shutdown_timestamp_seconds": ("arm model", ""),
    "bridge_calls_active": ("arm", ""),
    "bridge_calls_limit": ("", ""),
    "bridge_call_duration_seconds": ("arm", "5 10 30 60 120 180 300 600 900 1800 3600"),
    "bridge_call_setup_duration_seconds": ("arm", SETUP),
    "bridge_transfers_total": ("kind result reason", ""),
    "bridge_consent_prompts_total": ("route result", ""),
    "bridge_emergencies_total": ("route", ""),
    "bridge_transfer_duration_seconds": ("kind result", SETUP),
    "bridge_greeting_delay_seconds": ("arm", TURN),
    "bridge_turn_response_seconds": ("arm", TURN),
    "bridge_turn_response_by_age_seconds": ("arm age", TURN),
    "bridge_turn_stage_seconds": ("arm stage", STAGE),
    "bridge_turn_inference_seconds": ("arm", TURN),
    "bridge_barge_in_stop_seconds": ("arm", ".02 .04 .06 .08 .1 .15 .2 .25 .3 .4 .5 .75 1 2"),
    "bridge_interruptions_total": ("arm by kind", ""),
    "bridge_interruption_recoveries_total": ("arm result", ""),
    "bridge_dead_air_seconds": ("arm", "1 2 3 4 5 7 10 15 30"),
    "bridge_dead_air_events_total": ("arm cause", ""),
    "bridge_upstream_connect_attempts_total": ("arm", ""),
    "bridge_upstream_connect_failures_total": ("arm reason", ""),
    "bridge_upstream_session_ready_seconds": ("arm", SETUP),
    "bridge_upstream_rtt_seconds": ("arm", SETUP),
    "bridge_upstream_disconnects_total": ("arm code phase", ""),
    "bridge_upstream_events_total": ("arm type", ""),
    "bridge_upstream_unknown_events_total": ("arm", ""),
    "bridge_upstream_malformed_events_total": ("arm", ""),
    "bridge_upstream_errors_total": ("arm code", ""),
    "bridge_upstream_sessions_lost_total": ("arm", ""),
    "bridge_token_rotations_total": ("arm result reason", ""),
    "bridge_upstream_tokens_total": ("arm model kind modality", ""),
    "bridge_transcribed_seconds_total": ("arm model", ""),
    "bridge_cost_usd_total": ("arm model", ""),
    "bridge_turn_full_seconds": ("arm", "1 2 3 4 5 6 8 10 13 16 20 25 30 45 60"),
    "bridge_tool_calls_total": ("arm tool result fault", ""),
    "bridge_tool_duration_seconds": ("tool result", ".05 .1 .25 .5 1 2 3 5 8 15 30"),
    "bridge_rtp_packets_total": ("direction", ""),
    "bridge_rtp_lost_packets_total": ("direction", ""),
    "bridge_rtp_late_packets_total": ("direction", ""),
    "bridge_rtp_jitter_seconds": ("direction", ".001 .002 .005 .01 .02 .03 .05 .1 .2"),
    "bridge_rtp_loss_ratio": ("direction", "0 .0025 .005 .01 .02 .03 .05 .1"),
    "bridge_call_mos": ("direction", "1 2 2.5 3 3.1 3.6 4 4.3 4.5"),
    "bridge_one_way_audio_calls_total": ("arm", ""),
    "bridge_playout_underruns_total": ("arm", ""),
    "bridge_human_requests_total": ("by result", ""),
    "bridge_dtmf_digits_total": ("method result", ""),
    "bridge_calls_without_telephone_event_total": ("", ""),
    "bridge_audit_write_failures_total": ("", ""),
    "bridge_audio_thread_overruns_total": ("", ""),
    "bridge_media_reinvites_total": ("", ""),
    "bridge_audio_clock_still_seconds": ("", ""),
    "bridge_silent_calls_total": ("arm", ""),
    "bridge_sip_requests_total": ("method trunk direction", ""),
    "bridge_sip_responses_total": ("method code trunk direction", ""),
    "bridge_trunk_probes_total": ("trunk", ""),
    "bridge_trunk_registered": ("trunk", ""),
    "bridge_trunk_register_answers_total": ("trunk code", ""),
    "bridge_sip_turned_away_total": ("reason trunk", ""),
    "bridge_calls_not_placed_total": ("reason trunk", ""),
    "bridge_rtp_stray_packets_total": ("trunk", ""),
    "bridge_queue_waiting": ("queue", ""),
    "bridge_queue_oldest_timestamp_seconds": ("queue", ""),
    "bridge_queue_wait_seconds": ("queue", "1 2 5 10 20 30 60 90 120 180 300 600 1800"),
    "bridge_loop_lag_seconds": ("", ".001 .002 .005 .01 .02 .04 .06 .1 .25 .5 1"),
    "bridge_added_latency_seconds": (
        "arm path",
        ".005 .01 .02 .03 .04 .05 .06 .08 .1 .15 .2 .5",
    ),
    "bridge_recorder_dropped_blocks_total": ("", ""),
    "bridge_recording_stopped_total": ("reason", ""),
    "bridge_caller_audio_overruns_total": ("", ""),
    "bridge_loop_tasks": ("", ""),
    "bridge_ring_rows_in_use": ("", ""),
    "bridge_conference_ports": ("", ""),
    "bridge_playout_late_blocks_total": ("", ""),
    "bridge_store_pending_writes": ("", ""),
    "bridge_store_away": ("reason", ""),
    "bridge_records_waiting": ("", ""),
    "bridge_recordings": ("state", ""),
    "bridge_recordings_oldest_seconds": ("state", ""),
    "bridge_recordings_archive_failing": ("", ""),
    "bridge_recordings_ship": ("", ""),
    "bridge_records_dropped_total": ("", ""),
    "bridge_store_dropped_writes_total": ("", ""),
    "bridge_store_swept_calls_total": ("", ""),
    "bridge_store_emptied_total": ("", ""),
    "bridge_process_stops_total": ("", ""),
    "bridge_clock_sets_total": ("", ""),
    "bridge_calls_promised": ("", ""),
    "bridge_descriptors_used_up": ("", ""),
    "bridge_directory_refused": ("directory", ""),
    "bridge_certificate_expiry_timestamp_seconds": ("of", ""),
    "bridge_turn_transitions_refused_total": ("state trigger", ""),
    "bridge_tick_seconds": ("", ".001 .002 .005 .01 .02 .04 .06 .1 .25 .5 1"),
    "bridge_long_ticks_total": ("", ""),
    "bridge_log_lines_left_out_total": ("level", ""),
    "bridge_supervisor_actions_total": ("action result", ""),
}

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(metrics: Metrics) -> Samples:
    body, content_type = metrics.render()
    assert content_type.startswith("text/plain")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def read_openmetrics(text: str) -> list[Metric]:
    return list(openmetrics.text_string_to_metric_families(text))  # type: ignore[no-untyped-call]  # untyped


def of_bridge(exposition: bytes) -> list[bytes]:
    """Return the lines, but for the process's own figures, which change all the time."""
    return [line for line in exposition.splitlines() if b"process_" not in line]


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return samples(metrics).get((name, frozenset(labels.items())))


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("1.2.3")


@pytest.fixture
def used(metrics: Metrics) -> Metrics:
    """Metrics in which everything was recorded once."""
    metrics.set_arm(
        "a",
        dialect="ga",
        url="wss://u:pw@h:1/v1/realtime?k=secret",
        model="m",
        shutdown=date(2027, 1, 20),
    )
    metrics.config_loaded(NS_PER_S)
    metrics.loop_lag(1)
    metrics.supervision.acted("whisper", refused=False)
    metrics.ticked(1, 10)
    metrics.watch_tasks(lambda: 1)
    calls = metrics.calls
    calls.set_limit(4)
    calls.offered(route="r", arm="a")
    calls.answered(route="r", arm="a", setup_ns=1)
    calls.ended(
        route="r",
        arm="a",
        outcome=Outcome.COMPLETED,
        reason="caller_hung_up",
        fault=Fault.NONE,
        duration_ns=1,
    )
    calls.human_asked("key", granted=True)
    calls.transferred(TransferKind.BLIND, failed="sip_603", took_ns=1)
    calls.prompted(route="r", result=PromptResult.HEARD)
    calls.emergency(route="r")
    turns = metrics.turns
    turns.greeted("a", 1)
    turns.responded("a", 1, age_ns=1)
    turns.stage("a", TurnStage.MODEL, 1)
    turns.interrupted("a", by=By.CALLER, kind=InterruptionKind.TRUE)
    turns.stopped("a", 1)
    turns.inference("a", 1)
    turns.dead_air("a", DeadAirCause.TOOL)
    turns.longest_silence("a", 1)
    turns.transition_refused("idle", "speech_started")
    upstream = metrics.upstream
    upstream.connecting("a")
    upstream.connect_failed("a", "timeout")
    upstream.session_ready("a", 1)
    upstream.pong("a", 1)
    upstream.disconnected("a", close_code=1000, phase=UpstreamPhase.TALK)
    upstream.event("a", "response.done")
    upstream.unknown_event("a")
    upstream.malformed_event("a")
    upstream.error("a", "invalid_value")
    upstream.tokens("a", "m", BilledToken.IN, Modality.AUDIO, 7)
    upstream.transcribed("a", "t", 1.5)
    upstream.cost("a", "m", 0.5)
    turns.full("a", 1)
    metrics.tools.ended("a", ToolRun.of("find", "ok", 1), 1)
    metrics.sip.request(SipDirection.IN, "INVITE", trunk="carrier-a")
    metrics.sip.response(SipDirection.OUT, "INVITE", "200", trunk="")
    metrics.sip.probed("carrier-a")
    metrics.sip.set_registered("carrier-a", registered=True)
    metrics.sip.register_answered("carrier-a", "200")
    metrics.sip.turned_away(TurnedAway.CREDENTIALS, trunk="")
    metrics.sip.not_placed(NotPlaced.TRUNK_FULL, trunk="")
    metrics.sip.dropped_rtp(3, trunk="")
    metrics.queues.joined("billing", NS_PER_S)
    metrics.queues.left("billing", NS_PER_S, 1)
    turns.silent("a")
    media = metrics.media
    media.rtp_ended(RtpSummary(SipDirection.IN, 99, 1, 0, 2 * NS_PER_MS, 4.2))
    media.one_way_audio("a")
    media.underrun("a")
    media.overrun()
    media.clock_stalls()
    media.digit(DtmfMethod.RFC4733, DtmfResult.ACCEPTED)
    media.added_latency("a", Path.UPLINK, 25 * NS_PER_MS)
    media.recorder_dropped()
    media.recording_stopped("disk_full")
    metrics.store.set_pending(3)
    metrics.store.set_away("silent")
    metrics.store.set_records_waiting(2)
    metrics.store.records_dropped(1)
    metrics.store.dropped(2)
    metrics.archive.set_recordings("plain", 2, 60)
    metrics.node.set_refused("state", refused=True)
    metrics.node.set_certificate("console", 1.0)
    return metrics


def test_names_labels_and_buckets_are_the_agreed_ones(used: Metrics) -> None:
    found: dict[str, tuple[set[str], set[float]]] = {}
    for name, labels in samples(used):
        if not name.startswith("bridge_") or name.endswith(("_sum", "_count")):
            continue
        names = {key for key, _ in labels}
        edges = {float(edge) for key, edge in labels if key == "le"}
        family = found.setdefault(name.removesuffix("_bucket"), (names - {"le"}, set()))
        family[1].update(edges)
    inf = float("inf")
    assert found == {
        name: (
            set(labels.split()),
            {float(edge) for edge in buckets.split()} | ({inf} if buckets else set()),
        )
        for name, (labels, buckets) in EXPECTED.items()
    }


def test_every_name_is_published_before_anything_happened(metrics: Metrics) -> None:
    text = metrics.render()[0].decode()
    missing = [name for name in EXPECTED if f"# HELP {name} " not in text]
    assert missing == []


def test_a_call_is_active_from_offer_to_end(metrics: Metrics) -> None:
    metrics.calls.offered(route="r", arm="a")
    assert value(metrics, "bridge_calls_active", arm="a") == 1
    metrics.calls.ended(
        route="r",
        arm="a",
        outcome=Outcome.CANCELLED,
        reason="cancel",
        fault=Fault.CALLER,
        duration_ns=None,
    )
    assert value(metrics, "bridge_calls_active", arm="a") == 0
    assert value(metrics, "bridge_call_duration_seconds_count", arm="a") is None


def test_refused_call_is_offered_and_ended_but_never_active(metrics: Metrics) -> None:
    metrics.calls.refused(outcome=Outcome.REJECTED_BUSY, reason="full", fault=Fault.BRIDGE)
    assert value(metrics, "bridge_calls_offered_total", route="none", arm="none") == 1
    assert value(metrics, "bridge_calls_active", arm="none") is None


def test_nanoseconds_become_seconds(used: Metrics) -> None:
    name = "bridge_added_latency_seconds"
    labels = {"arm": "a", "path": "uplink"}
    assert value(used, f"{name}_sum", **labels) == pytest.approx(0.025)
    assert value(used, f"{name}_bucket", le="0.02", **labels) == 0
    assert value(used, f"{name}_bucket", le="0.03", **labels) == 1


def test_loss_is_a_ratio_of_what_was_expected(used: Metrics) -> None:
    assert value(used, "bridge_rtp_loss_ratio_sum", direction="in") == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("age_s", "age"),
    [(0, "under_2m"), (119, "under_2m"), (120, "2m_to_5m"), (300, "5m_to_9m"), (540, "over_9m")],
)
def test_a_reply_is_counted_by_the_age_of_its_call(metrics: Metrics, age_s: int, age: str) -> None:
    metrics.turns.responded("a", NS_PER_S, age_ns=age_s * NS_PER_S)
    name = "bridge_turn_response_by_age_seconds_count"
    assert value(metrics, name, arm="a", age=age) == 1


def test_arm_info_shows_no_credentials(used: Metrics) -> None:
    text = used.render()[0].decode()
    assert 'endpoint="wss://h:1/v1/realtime"' in text
    assert "pw" not in text
    assert "secret" not in text


def test_what_a_server_sends_cannot_become_any_label(metrics: Metrics) -> None:
    for code in ("bad key sk-1", "call +15550100", "x" * 65, "id123456789", ""):
        metrics.upstream.error("a", code)
    assert value(metrics, "bridge_upstream_errors_total", arm="a", code="other") == 5


def test_guard_lets_only_so_many_words_through() -> None:
    guard = LabelGuard(2)
    assert [guard(word) for word in ("a", "b", "c", "a", "b")] == ["a", "b", "other", "a", "b"]


@pytest.mark.parametrize("form", Format)
def test_pieces_are_small_and_together_the_whole(used: Metrics, form: Format) -> None:
    for arm in ("b", "c", "d"):
        for stage in TurnStage:
            with call_context("c_1"):
                used.turns.stage(arm, stage, 1)
    pieces = list(used.render_parts(form))
    assert len(pieces) > len(EXPECTED)
    assert max(piece.count(b"\n") for piece in pieces) <= 63  # with HELP, TYPE and UNIT
    if form is Format.TEXT:
        whole = generate_latest(used._registry)
    else:
        whole = openmetrics_text(used._registry)  # type: ignore[no-untyped-call]  # untyped
    assert of_bridge(b"".join(pieces)) == of_bridge(whole)


def test_openmetrics_carries_the_call_as_an_exemplar_and_never_as_a_label(
    metrics: Metrics,
) -> None:
    with call_context("c_1"):
        metrics.turns.responded("a", 3 * NS_PER_S, age_ns=9 * 60 * NS_PER_S)
        metrics.upstream.connect_failed("a", "http_401")
    metrics.turns.responded("a", 4 * NS_PER_S, age_ns=0)  # outside of every call
    body, content_type = metrics.render(Format.OPEN_METRICS)
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    exemplars = {
        (sample.name, sample.labels.get("le")): sample.exemplar.labels
        for family in read_openmetrics(body.decode())
        for sample in family.samples
        if sample.exemplar
    }
    assert exemplars == {
        ("bridge_turn_response_seconds_bucket", "3.0"): {"call_id": "c_1"},
        ("bridge_turn_response_by_age_seconds_bucket", "3.0"): {"call_id": "c_1"},
        ("bridge_upstream_connect_failures_total", None): {"call_id": "c_1"},
    }
    assert "c_1" not in metrics.render()[0].decode()


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;"
            "q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",  # Prometheus 2.42
            Format.OPEN_METRICS,
        ),
        ("application/openmetrics-text;version=junk", Format.OPEN_METRICS),
        ("text/html,application/xhtml+xml,*/*;q=0.8", Format.TEXT),
        ("", Format.TEXT),
    ],
)
def test_format_is_what_the_reader_asks_for(accept: str, form: Format) -> None:
    assert Format.wanted(accept) is form


def test_oldest_of_a_queue_is_the_one_who_waits_longest_now(metrics: Metrics) -> None:
    def oldest_s() -> float | None:
        return value(metrics, "bridge_queue_oldest_timestamp_seconds", queue="billing")

    metrics.queues.joined("billing", 100 * NS_PER_S)
    metrics.queues.joined("billing", 130 * NS_PER_S)
    assert (value(metrics, "bridge_queue_waiting", queue="billing"), oldest_s()) == (2, 100)
    metrics.queues.left("billing", 100 * NS_PER_S, 45 * NS_PER_S)
    assert (value(metrics, "bridge_queue_waiting", queue="billing"), oldest_s()) == (1, 130)
    metrics.queues.left("billing", 130 * NS_PER_S, 15 * NS_PER_S)
    assert (value(metrics, "bridge_queue_waiting", queue="billing"), oldest_s()) == (0, 0)
    assert value(metrics, "bridge_queue_wait_seconds_sum", queue="billing") == 60


def test_arm_has_its_series_before_its_first_call(metrics: Metrics) -> None:
    metrics.set_arm("a", dialect="ga", url="wss://h/v1/realtime", model="m")
    for name in ("calls_bad", "silent_calls", "one_way_audio_calls", "upstream_connect_attempts"):
        assert value(metrics, f"bridge_{name}_total", arm="a") == 0
    for reason in ARM_STOPPING:
        name = "bridge_upstream_connect_failures_total"
        assert value(metrics, name, arm="a", reason=reason) == 0
    assert value(metrics, "bridge_upstream_sessions_lost_total", arm="a") == 0
    for result in InterruptionResult:
        name = "bridge_interruption_recoveries_total"
        assert value(metrics, name, arm="a", result=result) == 0


def test_first_failure_of_a_token_adds_to_a_series_that_was_there(metrics: Metrics) -> None:
    metrics.set_arm("a", dialect="ga", url="wss://h/v1/realtime", model="m")
    before = samples(metrics).keys()
    for reason in (*TOKEN_CODES, "token_refused"):
        metrics.upstream.rotated("a", good=False, reason=reason)
    assert samples(metrics).keys() == before


def test_shutdown_of_a_model_is_midnight_utc(used: Metrics) -> None:
    name = "bridge_arm_shutdown_timestamp_seconds"
    assert value(used, name, arm="a", model="m") == 1_800_403_200  # 2027-01-20T00:00:00Z


@pytest.mark.parametrize(
    ("fault", "bad"),
    [
        *((fault, 1) for fault in (Fault.BRIDGE, Fault.PROVIDER, Fault.TOOL, Fault.CONFIG)),
        *((fault, 0) for fault in (Fault.NONE, Fault.CALLER, Fault.CARRIER, Fault.SUPERVISOR)),
    ],
)
def test_bad_call_is_one_that_neither_caller_nor_carrier_spoilt(
    metrics: Metrics, fault: Fault, bad: int
) -> None:
    metrics.set_arm("a", dialect="ga", url="wss://h/v1/realtime", model="m")
    metrics.calls.ended(
        route="r", arm="a", outcome=Outcome.COMPLETED, reason="x", fault=fault, duration_ns=1
    )
    assert value(metrics, "bridge_calls_bad_total", arm="a") == bad


def test_refusal_is_bad_unless_the_node_leaves(metrics: Metrics) -> None:
    for reason in ("draining", "shutdown", "at_capacity"):
        metrics.calls.refused(outcome=Outcome.REJECTED_BUSY, reason=reason, fault=Fault.BRIDGE)
    assert value(metrics, "bridge_calls_bad_total", arm="none") == 1


def test_labels_of_each_series_are_known_by_its_full_name(used: Metrics) -> None:
    found = [each for each in samples(used) if each[0].startswith("bridge_")]
    assert len(found) > 100
    for name, labels in found:
        assert set(used.labels[name]) == {key for key, _ in labels}


def test_two_registries_do_not_share_anything(used: Metrics) -> None:
    assert value(Metrics("2"), "bridge_calls_limit") == 0


def test_a_tick_longer_than_its_period_is_counted(metrics: Metrics) -> None:
    for took_ms in (3, 10, 11, 400):
        metrics.ticked(took_ms * NS_PER_MS, 10 * NS_PER_MS)
    assert value(metrics, "bridge_long_ticks_total") == 2
    assert value(metrics, "bridge_tick_seconds_count") == 4
    assert value(metrics, "bridge_tick_seconds_sum") == pytest.approx(0.424)


def test_what_strangers_make_up_shares_one_series() -> None:
    metrics = Metrics("1.0")
    for number in range(100):
        metrics.sip.request(SipDirection.IN, f"METHOD{number}", trunk="")
        metrics.sip.response(SipDirection.IN, f"METHOD{number}", str(600 + number), trunk="")
        metrics.sip.response(SipDirection.IN, "INVITE", str(100 + number), trunk="")
    metrics.sip.request(SipDirection.IN, "INVITE", trunk="")
    text = generate_latest(metrics._registry)
    lines = [line for line in text.decode().splitlines() if line.startswith("bridge_sip_requests")]
    assert len(lines) == 2
    assert sum('method="other"' in line for line in lines) == 1
