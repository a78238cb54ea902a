"""The metrics that dashboards elsewhere were promised (`NEEDS.md` section 3), name by name."""

import pytest

from bridge.telemetry.labels import TurnStage
from bridge.telemetry.metrics import Metrics

AGREED = {
    "bridge_build_info": "version",
    "bridge_arm_info": "arm endpoint model",
    "bridge_config_last_reload_timestamp_seconds": "",
    "bridge_sip_requests_total": "method trunk direction",
    "bridge_sip_responses_total": "method code trunk direction",
    "bridge_calls_offered_total": "route arm",
    "bridge_calls_answered_total": "route arm",
    "bridge_calls_ended_total": "route arm outcome reason fault",
    "bridge_calls_active": "arm",
    "bridge_calls_limit": "",
    "bridge_call_duration_seconds": "arm",
    "bridge_call_setup_duration_seconds": "arm",
    "bridge_greeting_delay_seconds": "arm",
    "bridge_turn_response_seconds": "arm",
    "bridge_turn_stage_seconds": "arm stage",
    "bridge_barge_in_stop_seconds": "arm",
    "bridge_interruptions_total": "arm by kind",
    "bridge_dead_air_seconds": "arm",
    "bridge_dead_air_events_total": "arm cause",
    "bridge_upstream_connect_attempts_total": "arm",
    "bridge_upstream_connect_failures_total": "arm reason",
    "bridge_upstream_session_ready_seconds": "arm",
    "bridge_upstream_rtt_seconds": "arm",
    "bridge_upstream_disconnects_total": "arm code phase",
    "bridge_upstream_events_total": "arm type",
    "bridge_upstream_unknown_events_total": "arm",
    "bridge_upstream_errors_total": "arm code",
    "bridge_upstream_tokens_total": "arm kind modality",
    "bridge_rtp_packets_total": "direction",
    "bridge_rtp_lost_packets_total": "direction",
    "bridge_rtp_late_packets_total": "direction",
    "bridge_rtp_jitter_seconds": "direction",
    "bridge_rtp_loss_ratio": "direction",
    "bridge_call_mos": "direction",
    "bridge_one_way_audio_calls_total": "arm",
    "bridge_playout_underruns_total": "arm",
    "bridge_dtmf_digits_total": "method result",
    "bridge_tool_calls_total": "tool result",
    "bridge_tool_duration_seconds": "tool result",
    "bridge_transfers_total": "kind result reason",
    "bridge_transfer_duration_seconds": "kind result",
    "bridge_queue_waiting": "queue",
    "bridge_queue_oldest_timestamp_seconds": "queue",
    "bridge_queue_wait_seconds": "queue",
    "bridge_flag_evaluations_total": "arm reason",
    "bridge_arm_target_ratio": "arm",
    "bridge_rollout_verdict": "arm",
    "bridge_rollout_evidence": "arm metric",
    "bridge_supervisor_actions_total": "action",
    "bridge_audit_write_failures_total": "",
    "bridge_consent_prompts_total": "result",
    "bridge_audio_thread_overruns_total": "",
}
"""Name to labels that it has at least."""

HISTOGRAM_LABELS = 2
"""A histogram carries the arm and one more at most: each label multiplies its buckets."""

METRICS = Metrics("0")


@pytest.mark.parametrize(("name", "labels"), AGREED.items())
def test_every_agreed_metric_is_exported_with_its_labels(name: str, labels: str) -> None:
    assert set(labels.split()) <= set(METRICS.labels[name])


def test_agreed_stages_have_their_words() -> None:
    agreed = {"endpoint", "model", "first_delta", "transcode", "pacing", "tool"}
    assert {stage.label for stage in TurnStage} == agreed | {"capture", "uplink"}


def test_histograms_have_few_labels() -> None:
    many = {
        name: labels
        for name, labels in METRICS.labels.items()
        if name.endswith("_bucket") and len(labels) > HISTOGRAM_LABELS + 1  # and `le`
    }
    assert many == {}
