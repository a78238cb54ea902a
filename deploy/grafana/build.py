#!/usr/bin/env python3
"""Writes the dashboards beside it. Change them here: `python deploy/grafana/build.py`.

One table for each dashboard: panels of title, unit and queries. With `--check` it only says whether
the files are current (exit 1: they are not).
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ARM = '{arm=~"$arm"}'
WINDOW = "[$__rate_interval]"
PERCENTILES = (0.5, 0.95, 0.99)

Json = dict[str, object]


@dataclass(frozen=True)
class Panel:
    """One picture.

    Attributes:
        unit: Grafana's name of it.
        queries: legend to PromQL.
        note: what the reader must know; limit: a line that should not be crossed.
    """

    title: str
    unit: str
    queries: dict[str, str]
    note: str = ""
    limit: float | None = None


def rate(counter: str, by: str, matchers: str = "") -> str:
    """Return a counter's rate per second by some labels."""
    return f"sum by ({by}) (rate({counter}{matchers}{WINDOW}))"


def share(part: str, whole: str, by: str = "arm", matchers: str = ARM) -> str:
    """Return one counter as a share of another."""
    return f"{rate(part, by, matchers)} / {rate(whole, by, matchers)}"


def quantiles(histogram: str, by: str = "arm", matchers: str = ARM) -> dict[str, str]:
    """Return p50, p95 and p99 of a histogram."""
    legend = " ".join(f"{{{{{label.strip()}}}}}" for label in by.split(",") if label.strip())
    labels = f"{by}, le" if by else "le"
    return {
        f"p{round(q * 100)} {legend}".strip(): (
            f"histogram_quantile({q}, "
            f"sum by ({labels}) (rate({histogram}_bucket{matchers}{WINDOW})))"
        )
        for q in PERCENTILES
    }


GOLDEN = [
    Panel(
        "Calls offered and answered",
        "reqps",
        {
            "offered": f"sum(rate(bridge_calls_offered_total{WINDOW}))",
            "answered": f"sum(rate(bridge_calls_answered_total{WINDOW}))",
        },
    ),
    Panel(
        "Bad calls",
        "percentunit",
        {
            "5 min {{arm}}": "arm:bridge_calls_bad:ratio_rate5m",
            "1 h {{arm}}": "arm:bridge_calls_bad:ratio_rate1h",
        },
        "Failed by our, the provider's, a tool's or the settings' fault. The objective is 1%.",
        0.01,
    ),
    Panel(
        "Reply: caller stops to first audible sample",
        "s",
        quantiles("bridge_turn_response_seconds"),
        limit=1.5,
    ),
    Panel(
        "Whole turn: caller stops to the end of a reply that was heard out",
        "s",
        quantiles("bridge_turn_full_seconds"),
    ),
    Panel(
        "Calls now, and how many may be",
        "short",
        {
            "active {{instance}}": "sum by (instance) (bridge_calls_active)",
            "limit {{instance}}": "sum by (instance) (bridge_calls_limit)",
        },
    ),
    Panel(
        "How calls end",
        "reqps",
        {"{{outcome}}, {{reason}}": rate("bridge_calls_ended_total", "outcome, reason", ARM)},
    ),
    Panel(
        "Whose fault",
        "reqps",
        {"{{fault}}": rate("bridge_calls_ended_total", "fault", '{arm=~"$arm",fault!="none"}')},
    ),
    Panel(
        "Length of a call (mean)",
        "s",
        {
            "{{arm}}": "sum by (arm) (rate(bridge_call_duration_seconds_sum[1h]))"
            " / sum by (arm) (rate(bridge_call_duration_seconds_count[1h]))"
        },
    ),
    Panel(
        "INVITE to 200",
        "s",
        quantiles("bridge_call_setup_duration_seconds"),
        limit=1.0,
    ),
]

ARMS = [
    Panel(
        "Share of calls: meant",
        "percentunit",
        {"{{arm}}": f"bridge_arm_target_ratio{ARM}"},
    ),
    Panel(
        "Share of calls: got",
        "percentunit",
        {
            "{{arm}}": "sum by (arm) (increase(bridge_calls_offered_total[1h]))"
            " / scalar(sum(increase(bridge_calls_offered_total[1h])))"
        },
    ),
    Panel(
        "Verdict",
        "short",
        {"{{arm}} {{verdict}}": f"bridge_rollout_verdict{ARM} == 1"},
    ),
    Panel(
        "Evidence of harm (E-value)",
        "short",
        {"{{arm}} {{metric}}": f"bridge_rollout_evidence{ARM}"},
        "Rolled back at 1 / alpha; it may be looked at as often as you like.",
    ),
    Panel(
        "Calls so far today (n)",
        "short",
        {"{{arm}}": f"sum by (arm) (increase(bridge_calls_ended_total{ARM}[1d]))"},
    ),
    Panel("Bad calls", "percentunit", {"{{arm}}": "arm:bridge_calls_bad:ratio_rate1h"}, "", 0.01),
    Panel("Reply p95", "s", dict([list(quantiles("bridge_turn_response_seconds").items())[1]])),
    Panel("Greeting p95", "s", dict([list(quantiles("bridge_greeting_delay_seconds").items())[1]])),
    Panel(
        "Connections that fail",
        "percentunit",
        {
            "{{arm}}": share(
                "bridge_upstream_connect_failures_total", "bridge_upstream_connect_attempts_total"
            )
        },
    ),
    Panel(
        "Why connections fail",
        "reqps",
        {"{{arm}} {{reason}}": rate("bridge_upstream_connect_failures_total", "arm, reason", ARM)},
    ),
    Panel(
        "Sessions had, by model",
        "reqps",
        {"{{arm}} {{model}}": rate("bridge_upstream_sessions_total", "arm, model", ARM)},
    ),
    Panel(
        "Models passed over for another one of their arm",
        "reqps",
        {
            "{{arm}} {{model}}: {{reason}}": rate(
                "bridge_upstream_model_fallbacks_total", "arm, model, reason", ARM
            )
        },
    ),
    Panel(
        "Settings that the service confirmed otherwise",
        "reqps",
        {"{{arm}} {{field}}": rate("bridge_upstream_session_differences_total", "arm, field", ARM)},
    ),
    Panel(
        "Sessions that end, by phase and close code",
        "reqps",
        {
            "{{arm}} {{phase}} {{code}}": rate(
                "bridge_upstream_disconnects_total", "arm, phase, code", ARM
            )
        },
    ),
    Panel(
        "Sessions lost in a call",
        "reqps",
        {
            "in the talk {{arm}}": rate("bridge_upstream_sessions_lost_total", "arm", ARM),
            "lost {{arm}} {{layer}}": rate("bridge_upstream_failures_total", "arm, layer", ARM),
            "given up {{arm}}": rate("bridge_upstream_given_up_total", "arm", ARM),
        },
    ),
    Panel("Session lost to restored", "s", quantiles("bridge_upstream_outage_seconds")),
    Panel(
        "Tokens fetched",
        "reqps",
        {"{{arm}} {{result}}": rate("bridge_token_rotations_total", "arm, result", ARM)},
    ),
    Panel(
        "Error events, unknown events, events that can't be read",
        "reqps",
        {
            "{{arm}} {{code}}": rate("bridge_upstream_errors_total", "arm, code", ARM),
            "unknown {{arm}}": rate("bridge_upstream_unknown_events_total", "arm", ARM),
            "malformed {{arm}}": rate("bridge_upstream_malformed_events_total", "arm", ARM),
        },
    ),
    Panel(
        "Interruptions",
        "reqps",
        {"{{arm}} by {{by}}: {{kind}}": rate("bridge_interruptions_total", "arm, by, kind", ARM)},
    ),
    Panel(
        "How the talk goes on after the caller has interrupted",
        "reqps",
        {"{{arm}} {{result}}": rate("bridge_interruption_recoveries_total", "arm, result", ARM)},
    ),
    Panel(
        "Tokens",
        "short",
        {
            "{{arm}} {{model}} {{kind}} {{modality}}": rate(
                "bridge_upstream_tokens_total", "arm, model, kind, modality", ARM
            )
        },
    ),
    Panel(
        "Caller audio transcribed, billed by time (seconds in an hour)",
        "s",
        {
            "{{arm}} {{model}}": "sum by (arm, model)"
            f" (increase(bridge_transcribed_seconds_total{ARM}[1h]))"
        },
    ),
    Panel(
        "Cost in an hour, by arm and model",
        "currencyUSD",
        {"{{arm}} {{model}}": f"sum by (arm, model) (increase(bridge_cost_usd_total{ARM}[1h]))"},
    ),
    Panel(
        "Cost of a call (mean)",
        "currencyUSD",
        {
            "{{arm}}": f"sum by (arm) (increase(bridge_cost_usd_total{ARM}[1h]))"
            f" / sum by (arm) (increase(bridge_calls_ended_total{ARM}[1h]))"
        },
    ),
    Panel("Round trip of a ping", "s", quantiles("bridge_upstream_rtt_seconds")),
]

SIP = [
    Panel(
        "Requests that come in",
        "reqps",
        {
            "{{trunk}} {{method}}": rate(
                "bridge_sip_requests_total", "trunk, method", '{direction="in"}'
            )
        },
    ),
    Panel(
        "Our answers to INVITE",
        "reqps",
        {
            "{{trunk}} {{code}}": rate(
                "bridge_sip_responses_total", "trunk, code", '{direction="out",method="INVITE"}'
            )
        },
    ),
    Panel(
        "What we are answered",
        "reqps",
        {
            "{{trunk}} {{method}} {{code}}": rate(
                "bridge_sip_responses_total", "trunk, method, code", '{direction="in"}'
            )
        },
    ),
    Panel(
        "Requests that we send",
        "reqps",
        {
            "{{trunk}} {{method}}": rate(
                "bridge_sip_requests_total", "trunk, method", '{direction="out"}'
            ),
            "{{trunk}} probes": rate("bridge_trunk_probes_total", "trunk"),
        },
    ),
    Panel(
        "Nodes that trunks have registered; last answers to REGISTER",
        "short",
        {
            "{{trunk}} registered": "sum by (trunk) (bridge_trunk_registered)",
            "{{trunk}} {{code}}": rate("bridge_trunk_register_answers_total", "trunk, code"),
        },
    ),
    Panel(
        "Session establishment ratio (SER, RFC 6076)",
        "percentunit",
        {
            "{{trunk}}": "trunk:bridge_sip_ser:ratio_rate5m",
            "{{trunk}} a week ago": "trunk:bridge_sip_ser:ratio_rate5m offset 1w",
        },
    ),
    Panel(
        "Session establishment effectiveness (SEER, RFC 6076)",
        "percentunit",
        {
            "{{trunk}}": "trunk:bridge_sip_seer:ratio_rate5m",
            "{{trunk}} a week ago": "trunk:bridge_sip_seer:ratio_rate5m offset 1w",
        },
    ),
    Panel(
        "Ineffective attempts (ISA, RFC 6076)",
        "percentunit",
        {
            "{{trunk}}": "trunk:bridge_sip_isa:ratio_rate5m",
            "{{trunk}} a week ago": "trunk:bridge_sip_isa:ratio_rate5m offset 1w",
        },
        limit=0.05,
    ),
    Panel(
        "Answered of offered (ASR)",
        "percentunit",
        {"{{arm}}": share("bridge_calls_answered_total", "bridge_calls_offered_total")},
    ),
]

MEDIA = [
    Panel(
        "MOS, estimated: the worst tenth and the middle",
        "none",
        {
            f"p{round(q * 100)} {{{{direction}}}}": (
                f"histogram_quantile({q}, "
                f"sum by (direction, le) (rate(bridge_call_mos_bucket{WINDOW})))"
            )
            for q in (0.1, 0.5)
        },
        "E-model for G.711 with concealment; 4 is good, below 3.5 is bad.",
    ),
    Panel(
        "Packets lost",
        "percentunit",
        {
            "{{direction}}": share(
                "bridge_rtp_lost_packets_total", "bridge_rtp_packets_total", "direction", ""
            )
        },
        limit=0.01,
    ),
    Panel("Loss of a call", "percentunit", quantiles("bridge_rtp_loss_ratio", "direction", "")),
    Panel(
        "Packets too late to be played",
        "percentunit",
        {
            "{{direction}}": share(
                "bridge_rtp_late_packets_total", "bridge_rtp_packets_total", "direction", ""
            )
        },
    ),
    Panel(
        "Jitter of a call", "s", quantiles("bridge_rtp_jitter_seconds", "direction", ""), "", 0.03
    ),
    Panel(
        "One-way and silent calls",
        "reqps",
        {
            "one way {{arm}}": rate("bridge_one_way_audio_calls_total", "arm", ARM),
            "silent for 5 s {{arm}}": rate("bridge_silent_calls_total", "arm", ARM),
        },
    ),
    Panel(
        "Gaps inside the agent's speech",
        "reqps",
        {"{{arm}}": rate("bridge_playout_underruns_total", "arm", ARM)},
    ),
    Panel(
        "Audio begun anew (re-INVITE), audio clock stood still",
        "reqps",
        {
            "re-INVITE {{instance}}": rate("bridge_media_reinvites_total", "instance"),
            "stall {{instance}}": rate("bridge_audio_thread_overruns_total", "instance"),
        },
    ),
    Panel(
        "Keys pressed",
        "reqps",
        {"{{method}} {{result}}": rate("bridge_dtmf_digits_total", "method, result")},
    ),
]

TURNS = [
    Panel(
        "Where a turn's time goes (mean)",
        "s",
        {
            "{{stage}}": rate("bridge_turn_stage_seconds_sum", "stage", ARM)
            + " / "
            + rate("bridge_turn_stage_seconds_count", "stage", ARM)
        },
        "Stacked, the stages make up the reply.",
    ),
    Panel(
        "Stages p95",
        "s",
        dict([list(quantiles("bridge_turn_stage_seconds", "stage").items())[1]]),
    ),
    Panel("Reply", "s", quantiles("bridge_turn_response_seconds"), limit=1.5),
    Panel(
        "Reply, by the age of the call",
        "s",
        quantiles("bridge_turn_response_by_age_seconds", "age"),
        "Replies that grow with the call: the context is too long.",
        1.5,
    ),
    Panel("The service's part of a reply", "s", quantiles("bridge_turn_inference_seconds")),
    Panel("Greeting", "s", quantiles("bridge_greeting_delay_seconds"), limit=1.0),
    Panel(
        "What the bridge adds, each way",
        "s",
        quantiles("bridge_added_latency_seconds", "path"),
        limit=0.06,
    ),
    Panel("Interrupted to silent", "s", quantiles("bridge_barge_in_stop_seconds"), "", 0.06),
    Panel("Dead air", "s", quantiles("bridge_dead_air_seconds"), limit=2.0),
    Panel(
        "What callers wait for in silence",
        "reqps",
        {"{{arm}} {{cause}}": rate("bridge_dead_air_events_total", "arm, cause", ARM)},
    ),
    Panel("Session ready", "s", quantiles("bridge_upstream_session_ready_seconds")),
    Panel(
        "Triggers without a row in the turn machine",
        "reqps",
        {"{{state}} {{trigger}}": rate("bridge_turn_transitions_refused_total", "state, trigger")},
    ),
]

TOOLS = [
    Panel(
        "Tools: share that gave their output, of those that somebody waited for",
        "percentunit",
        {
            "{{arm}}": 'sum by (arm) (rate(bridge_tool_calls_total{result="ok"}[5m]))'
            ' / sum by (arm) (rate(bridge_tool_calls_total{result!="cancelled"}[5m]))'
        },
    ),
    Panel(
        "Tools, by result",
        "reqps",
        {"{{tool}} {{result}}": rate("bridge_tool_calls_total", "tool, result")},
    ),
    Panel(
        "Told about the AI and the recording",
        "reqps",
        {"{{route}} {{result}}": rate("bridge_consent_prompts_total", "route, result")},
    ),
    Panel("Tools, how long", "s", quantiles("bridge_tool_duration_seconds", "tool", "")),
    Panel(
        "Calls handed over",
        "reqps",
        {"{{kind}} {{result}} {{reason}}": rate("bridge_transfers_total", "kind, result, reason")},
    ),
    Panel(
        "Handing over, how long",
        "s",
        quantiles("bridge_transfer_duration_seconds", "kind, result", ""),
    ),
]

QUEUE = [
    Panel("Waiting for a person", "short", {"{{queue}}": "sum by (queue) (bridge_queue_waiting)"}),
    Panel(
        "The first of them waits since",
        "s",
        {
            "{{queue}}": "max by (queue) ((time() - bridge_queue_oldest_timestamp_seconds)"
            " and bridge_queue_waiting > 0)"
        },
        limit=180,
    ),
    Panel("Wait", "s", quantiles("bridge_queue_wait_seconds", "queue", "")),
    Panel(
        "Service level: a person within 20 s",
        "percentunit",
        {
            "{{queue}}": rate("bridge_queue_wait_seconds_bucket", "queue", '{le="20.0"}')
            + " / "
            + rate("bridge_queue_wait_seconds_count", "queue")
        },
    ),
    Panel(
        "Contained: ended without a person",
        "percentunit",
        {
            "{{arm}}": rate("bridge_calls_ended_total", "arm", '{arm=~"$arm",outcome="completed"}')
            + " / "
            + rate("bridge_calls_ended_total", "arm", ARM)
        },
    ),
]

HOST = [
    Panel(
        "Lines of log that came too often to be written",
        "short",
        {"{{instance}} {{level}}": rate("bridge_log_lines_left_out_total", "instance, level")},
        "Of one kind 100 at once and 1 a second are written: somebody floods this node.",
    ),
    Panel("How late the tick runs", "s", quantiles("bridge_loop_lag_seconds", "", ""), "", 0.02),
    Panel("How long a tick works", "s", quantiles("bridge_tick_seconds", "", ""), "", 0.01),
    Panel(
        "Audio clock and rings",
        "reqps",
        {
            "clock stood still {{instance}}": rate(
                "bridge_audio_thread_overruns_total", "instance"
            ),
            "ticks over their period {{instance}}": rate("bridge_long_ticks_total", "instance"),
            "caller audio lost {{instance}}": rate(
                "bridge_caller_audio_overruns_total", "instance"
            ),
            "agent audio too late {{instance}}": rate(
                "bridge_playout_late_blocks_total", "instance"
            ),
            "recording missed {{instance}}": rate(
                "bridge_recorder_dropped_blocks_total", "instance"
            ),
        },
    ),
    Panel(
        "Processor",
        "percentunit",
        {"{{instance}}": f'rate(process_cpu_seconds_total{{job="bridge"}}{WINDOW})'},
    ),
    Panel("Memory", "bytes", {"{{instance}}": 'process_resident_memory_bytes{job="bridge"}'}),
    Panel(
        "File descriptors",
        "percentunit",
        {"{{instance}}": 'process_open_fds{job="bridge"} / process_max_fds{job="bridge"}'},
        limit=0.8,
    ),
    Panel(
        "Asyncio tasks",
        "short",
        {"{{instance}}": "bridge_loop_tasks"},
        "Without calls always as many: what grows from day to day is a leak.",
    ),
    Panel(
        "Redis",
        "short",
        {
            "away: {{reason}} {{instance}}": "bridge_store_away",
            "records that wait for the disk {{instance}}": "bridge_records_waiting",
            "records given up per s {{instance}}": rate("bridge_records_dropped_total", "instance"),
            "waiting writes {{instance}}": "bridge_store_pending_writes",
            "given up per s {{instance}}": rate("bridge_store_dropped_writes_total", "instance"),
            "calls of dead nodes per s {{instance}}": rate(
                "bridge_store_swept_calls_total", "instance"
            ),
        },
    ),
    Panel(
        "Recordings at rest",
        "short",
        {
            "{{state}} {{instance}}": "bridge_recordings",
            "oldest, s: {{state}} {{instance}}": "bridge_recordings_oldest_seconds",
            "failing {{instance}}": "bridge_recordings_archive_failing",
        },
        "Of finished calls, on the node's disk; plain ones should be none.",
    ),
    Panel(
        "UDP packets that the host dropped",
        "pps",
        {"{{instance}}": f"rate(node_netstat_Udp_RcvbufErrors{WINDOW})"},
        "From the node exporter: RTP that no program ever saw.",
    ),
    Panel(
        "Version, and when settings were last read",
        "dateTimeAsIso",
        {
            "settings {{instance}}": "1000 * bridge_config_last_reload_timestamp_seconds",
        },
    ),
]

DASHBOARDS: dict[str, tuple[str, list[Panel]]] = {
    "golden": ("Bridge: golden signals", GOLDEN),
    "arms": ("Bridge: arm against arm", ARMS),
    "sip": ("Bridge: SIP", SIP),
    "media": ("Bridge: media", MEDIA),
    "turns": ("Bridge: turns", TURNS),
    "tools": ("Bridge: tools and transfers", TOOLS),
    "queue": ("Bridge: people and waiting", QUEUE),
    "host": ("Bridge: host and audio clock", HOST),
}

_SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def panel_json(panel: Panel, number: int) -> Json:
    """Return a panel as Grafana reads it: two beside each other, eight units high."""
    steps: list[Json] = [{"color": "green", "value": None}]
    if panel.limit is not None:
        steps.append({"color": "red", "value": panel.limit})
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.note,
        "datasource": _SOURCE,
        "gridPos": {"x": 12 * (number % 2), "y": 8 * (number // 2), "w": 12, "h": 8},
        "fieldConfig": {
            "defaults": {
                "unit": panel.unit,
                "min": 0,
                "thresholds": {"mode": "absolute", "steps": steps},
                "custom": {"thresholdsStyle": {"mode": "off" if panel.limit is None else "line"}},
            },
            "overrides": [],
        },
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}},
        "targets": [
            {
                "refId": chr(ord("A") + place),
                "expr": expr,
                "legendFormat": legend,
                "exemplar": "_bucket" in expr,
            }
            for place, (legend, expr) in enumerate(panel.queries.items())
        ],
    }


def dashboard_json(name: str, title: str, panels: list[Panel]) -> Json:
    """Return a dashboard as Grafana imports it."""
    return {
        "uid": f"bridge-{name}",
        "title": title,
        "tags": ["bridge"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [
                {"name": "datasource", "type": "datasource", "query": "prometheus"},
                {
                    "name": "arm",
                    "type": "query",
                    "datasource": _SOURCE,
                    "query": "label_values(bridge_arm_info, arm)",
                    "refresh": 2,
                    "includeAll": True,
                    "allValue": ".*",
                    "multi": True,
                    "current": {"text": "All", "value": "$__all"},
                },
            ]
        },
        "annotations": {
            "list": [
                {
                    "name": name,
                    "datasource": _SOURCE,
                    "enable": True,
                    "iconColor": colour,
                    "expr": expr,
                    "titleFormat": name,
                    "textFormat": text,
                }
                for name, colour, expr, text in (
                    (
                        "Rollout changed",
                        "blue",
                        "changes(bridge_arm_target_ratio[1m]) > 0",
                        "{{arm}}",
                    ),
                    (
                        "Settings read",
                        "purple",
                        "changes(bridge_config_last_reload_timestamp_seconds[1m]) > 0",
                        "{{instance}}",
                    ),
                )
            ]
        },
        "panels": [panel_json(panel, number) for number, panel in enumerate(panels)],
    }


def main(arguments: list[str]) -> int:
    """Write the files, or with `--check` compare them."""
    stale = []
    for name, (title, panels) in DASHBOARDS.items():
        path = HERE / f"{name}.json"
        text = json.dumps(dashboard_json(name, title, panels), indent=1) + "\n"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(path.name)
            if "--check" not in arguments:
                path.write_text(text, encoding="utf-8")
    print(f"{'stale' if '--check' in arguments else 'written'}: {', '.join(stale) or 'none'}")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
