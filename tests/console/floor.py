"""A busy floor, as gateways write it: live calls in every state, calls that are over, alerts,
a rollout with its history, results of a replay.
"""

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bridge.audio.markers import encode_header, encode_marker
from bridge.audio.wav import write_wav
from bridge.clock import NS_PER_MS, SystemClock
from bridge.config.rollouts import RolloutSettings
from bridge.config.settings import RedisSettings
from bridge.console.services import Sources
from bridge.engine.news import Speaker
from bridge.live.records.summary import CallSummary, HandedOver, ToolRun, Turn, record_files
from bridge.recordings.files import CallFiles
from bridge.routing.models import Dialplan
from bridge.routing.rollout import changes
from bridge.sip.trace import CallTrace, TracedMessage, encode_trace
from bridge.store.calls import CallStore
from bridge.store.client import RedisLink
from bridge.store.rollouts import RolloutStore, Signature
from bridge.telemetry.turn_latency import TurnLatency
from tests.support.waiting import wait_until

EVIL = '<img src=x onerror=alert(1)> "quoted" & <script>alert(2)</script>'
"""A caller's name and words that a careless page would run."""

_LIVE: tuple[Mapping[str, Any], ...] = (
    {"state": "speaking", "health": 100, "arm": "ga", "dialplan": "support"},
    {
        "state": "thinking",
        "health": 35,
        "health_reasons": "2 long silences; asked for a person, nobody to be had",
        "arm": "ga-next",
        "dialplan": "support",
        "last_turn_ms": 3120,
        "watchers": 2,
        "watched_by": '{"ann": "listens", "sam": "whispers"}',
        "interruptions_caller": 4,
        "interruptions_agent": 2,
    },
    {
        "state": "transferring",
        "health": 65,
        "health_reasons": "a tool failed; caller asked for a person",
        "arm": "ga",
        "dialplan": "billing",
        "handoff_target": "billing",
        "handoff_summary": "Charged twice for invoice 4711. Wants the second payment back today.",
        "handoff_result": "waiting",
        "waiting_ms": 24_000,
        "tool_failures": 1,
    },
    {
        "state": "human",
        "health": 90,
        "health_reasons": "caller asked for a person",
        "arm": "ga",
        "dialplan": "billing",
        "held_by": "sam",
        "watchers": 1,
        "watched_by": '{"sam": "listens"}',
    },
    {"state": "listening", "health": 100, "arm": "ga-next", "dialplan": "vip", "last_turn_ms": 640},
    {"state": "tool", "health": 88, "health_reasons": "a tool failed", "arm": "ga", "flagged": "1"},
    {"state": "greeting", "health": 100, "arm": "ga", "dialplan": "support"},
)


class Floor:
    """What is written, and where the console is to look for it.

    Attributes:
        live: ids of live calls, as in the table above; over: of a call that is over.
        now_ms: when all of it was written.
    """

    def __init__(self, directory: Path, redis_url: str) -> None:
        self.directory = directory
        self.redis_url = redis_url
        self.live: list[str] = []
        self.over = "c_over0"
        self.evil = "c_evil"
        self.store = CallStore(RedisSettings(flush_ms=10), redis_url, "node-a", clock=SystemClock())
        self.now_ms = SystemClock().wall_ns() // NS_PER_MS

    @property
    def sources(self) -> Sources:
        plan = RolloutSettings(control="ga", treatment="ga-next")
        return Sources(
            recordings_dir=self.directory / "recordings",
            replays_dir=self.directory / "replays",
            rollouts={"new-model": plan},
            dialplans=lambda: (_dialplan(),),
        )

    async def open(self) -> None:
        """Write it all."""
        await self.store.open()
        for number, about in enumerate(_LIVE):
            self._begin(number, about)
        self._talk(self.live[1])
        self._end()
        self._write_files()
        self.store.alert(self.live[1], "emergency_heard", {"route": "support", "phrase": "fire"})
        self.store.alert(self.over, "emergency_heard", {"route": "billing", "phrase": "ambulance"})
        await self._roll_out()
        _write_replay(self.directory / "replays")
        await self.settle()

    async def settle(self) -> None:
        """Wait until Redis has all."""
        await wait_until(lambda: self.store.stats.pending == 0, message="writes are pending")

    async def aclose(self) -> None:
        await self.store.aclose()

    def begin(self, call_id: str, **fields: Any) -> None:
        """Begin a call."""
        self.store.begin(
            call_id,
            {
                "dialplan": "support",
                "arm": "ga",
                "phase": "listening",
                "state": "listening",
                "health": 100,
                "from": "sip:+15550199@carrier.example",
                "to": "sip:+15550100@bridge.example",
                **fields,
            },
        )

    def _begin(self, number: int, about: Mapping[str, Any]) -> None:
        call_id = f"c_live{number}"
        since = self.now_ms - 40_000 * (number + 1)
        fields = {name: each for name, each in about.items() if name != "waiting_ms"}
        if "waiting_ms" in about:
            fields["waiting_since_at"] = self.now_ms - about["waiting_ms"]
        self.begin(
            call_id,
            **{
                "dialplan": "support",
                "dialect": "ga",
                "model": "gpt-realtime",
                "started_at": since,
                "answered_at": since + 900,
                "state_since_at": self.now_ms - 3_000 * (number + 1),
                "last_turn_ms": 820,
                "from": f"sip:+1555019{number}@carrier.example",
                **fields,
            },
        )
        self.live.append(call_id)

    def _talk(self, call_id: str) -> None:
        tell = self.store.event
        tell(
            call_id,
            "turn",
            {
                "speaker": "agent",
                "item_id": "i1",
                "text": "Northwind support, how can I help you?",
                "heard_ms": 2100,
            },
        )
        tell(call_id, "turn", {"speaker": "caller", "item_id": "i2", "text": EVIL})
        tell(
            call_id,
            "measured",
            {
                "capture_ms": "30.0",
                "uplink_ms": "4",
                "endpoint_ms": "510",
                "model_ms": "180",
                "first_delta_ms": "240",
                "downlink_ms": "12",
                "playback_ms": "20",
                "response_ms": "996",
            },
        )
        tell(call_id, "tool_called", {"tool": "lookup_invoice"})
        tell(call_id, "tool_ended", {"tool": "lookup_invoice", "result": "ok", "took_ms": 340})
        tell(
            call_id,
            "turn",
            {
                "speaker": "agent",
                "item_id": "i3",
                "text": "I see two payments for that invoice, both of the third of",
                "latency_ms": 996,
                "heard_ms": 1900,
                "interrupted": 1,
            },
        )
        tell(call_id, "interrupted", {"played_ms": 1900})
        tell(
            call_id,
            "supervisor_acted",
            {
                "by": "sam",
                "action": "whisper",
                "when": "now",
                "text": "Offer the refund, it is approved.",
            },
        )
        tell(
            call_id,
            "turn",
            {"speaker": "caller", "item_id": "i5", "text": "Then pay one of them back, please."},
        )
        tell(call_id, "dead_air", {"cause": "model", "silence_ms": 3120})
        tell(
            call_id,
            "measured",
            {
                "capture_ms": "30.0",
                "uplink_ms": "4",
                "endpoint_ms": "520",
                "model_ms": "190",
                "tool_ms": "1700",
                "first_delta_ms": "260",
                "downlink_ms": "12",
                "playback_ms": "20",
                "response_ms": "2736",
            },
        )
        tell(call_id, "human_asked", {"by": "words", "granted": 0})

    def _end(self) -> None:
        for number in range(6):
            call_id = f"c_over{number}"
            since = self.now_ms - 600_000 * (number + 1) + 500_000
            handed = (
                {
                    "handoff_target": "billing",
                    "handoff_result": "accepted",
                    "handoff_wait_ms": 9_000,
                }
                if number == 1
                else {}
            )
            self.begin(
                call_id,
                started_at=since,
                answered_at=since + 800,
                **{"from": "sip:+15550111@x", "asserted": "<sip:+15550222@x>"},
                **handed,
            )
            self.store.event(
                call_id,
                "turn",
                {"speaker": "caller", "item_id": "i1", "text": "Where is my parcel?"},
            )
            self.store.event(
                call_id,
                "ended",
                {
                    "outcome": "completed",
                    "reason": "caller_hung_up",
                    "turns": 6,
                    "interruptions": 1,
                    "average_response_ms": 790,
                    "response_p95_ms": 1400 + 500 * number,
                    "longest_silence_ms": 1800,
                },
            )
            outcome, fault = ("session_lost", "provider") if number == 3 else ("completed", "none")
            self.store.end(
                call_id, {"outcome": outcome, "fault": fault, "ended_at": since + 95_000}
            )

    def _write_sip(self, directory: Path, began_ms: int) -> None:
        texts = [
            (0, False, "INVITE sip:+15550100@x SIP/2.0\r\nCSeq: 1 INVITE\r\n\r\n"),
            (2, True, "SIP/2.0 200 OK\r\nCSeq: 1 INVITE\r\n\r\n"),
            (502, True, "SIP/2.0 200 OK\r\nCSeq: 1 INVITE\r\n\r\n"),
            (9_000, False, f"REFER sip:x SIP/2.0\r\nCSeq: 2 REFER\r\nReason: {EVIL}\r\n\r\n"),
            (9_001, True, "SIP/2.0 603 Decline\r\nCSeq: 2 REFER\r\n\r\n"),
            (
                95_000,
                False,
                "BYE sip:x SIP/2.0\r\nCSeq: 3 BYE\r\nReason: a;text=+15550123456\r\n\r\n",
            ),
        ]
        ends = ("10.0.0.1:5060", "192.0.2.7:5060")
        messages = tuple(
            TracedMessage((began_ms + at) * 10**6, sent, "caller", *ends, "UDP", text, at == 502)
            for at, sent, text in texts
        )
        trace = CallTrace({"call_id": self.over}, messages)
        CallFiles(directory, self.over).sip.write_bytes(encode_trace(trace))

    def _write_files(self) -> None:
        directory = self.directory / "recordings"
        (directory / "metrics").mkdir(parents=True)
        began = self.now_ms - 100_000
        summary = CallSummary(
            self.over,
            "support",
            "ga",
            "ga",
            "+15550100",
            model="gpt-realtime",
            caller="sip:+15550111@x",
            codec="PCMU",
            outcome="completed",
            fault="none",
            reason="caller_hung_up",
            started_at_ms=began,
            answered_at_ms=began + 800,
            ended_at_ms=began + 95_000,
            duration_ms=95_000,
            interruptions=1,
            longest_silence_ms=1800,
            longest_silence_cause="model",
            mos={"in": 4.2, "out": 4.1},
            cost_usd=0.0421,
        )
        summary.turns = [
            Turn(Speaker.AGENT, "Northwind support, how can I help you?"),
            Turn(Speaker.CALLER, "Where is my parcel? " + EVIL),
            Turn(
                Speaker.AGENT,
                "It is on its way and comes tomorrow.",
                latency_ms=790,
                interrupted=True,
            ),
            Turn(Speaker.CALLER, "Thank you."),
        ]
        self._write_sip(directory, began)
        summary.tools = [
            ToolRun("track_parcel", ok=True, took_ms=420),
            ToolRun("notify", ok=False, took_ms=3000),
        ]
        summary.handoffs = [HandedOver(60_000, "sip:+15550177@x", "billing", "warm", "no_answer")]
        summary.latency = [
            TurnLatency(
                12_000 * n,
                700.0 + 90 * n,
                {
                    "capture": 30.0,
                    "uplink": 5.0,
                    "endpoint": 400.0 + 50 * n,
                    "model": 120.0,
                    "first_delta": 110.0 + 40 * n,
                    "downlink": 15.0,
                    "playback": 20.0,
                },
            )
            for n in range(1, 6)
        ]
        record_files(summary).write(directory)
        files = CallFiles(directory, self.over)
        time = np.arange(8_000 * 20) / 8_000
        speech = np.abs(np.sin(time * 1.3)) * np.sin(2 * np.pi * 220 * time)
        lanes = np.stack(
            [np.where(np.sin(time) > 0, speech, 0), np.where(np.sin(time) < 0, speech, 0)], 1
        )
        write_wav(files.audio, (9_000 * lanes).astype(np.int16), 8_000)
        lines = [
            encode_header(
                {
                    "call_id": self.over,
                    "route": "support",
                    "caller": "x",
                    "called": "y",
                    "started_at_ms": began,
                }
            )
        ]
        lines += [
            encode_marker(at, kind, fields)
            for at, kind, fields in (
                (3_000, "tool_called", {"tool": "track_parcel"}),
                (3_400, "tool_ended", {"tool": "track_parcel"}),
                (9_000, "interrupted", {"played_ms": 800}),
                (15_000, "ended", {}),
            )
        ]
        files.markers.write_bytes(b"".join(lines))

    async def _roll_out(self) -> None:
        link = RedisLink(self.redis_url, timeout_s=2)
        store = RolloutStore(link, RedisSettings())
        now_ms = self.now_ms
        for percent, reason in ((1, "first callers"), (5, "healthy for a day")):
            change = functools.partial(changes.set_share, percent=percent, now_ms=now_ms)
            await store.change("new-model", change, Signature("ada", reason), now_ms)
        await store.put_verdict(
            "new-model",
            {
                "verdict": "inconclusive",
                "why": ["41 of 50 calls seen"],
                "e_value": 0.42,
                "p95_difference_ms": 120,
                "p95_interval_ms": [-40, 260],
                "reasons": [{"arm": "ga-next", "code": "slow_turn", "calls": 2}],
                "rescued": 1,
                "treatment": {"calls": 41, "bad": 2},
                "control": {"calls": 780, "bad": 9},
            },
        )
        await link.aclose()


def _dialplan() -> Dialplan:
    return Dialplan.model_validate(
        {
            "schema": "dialplan/v1",
            "name": "support",
            "match": [{"called": "+1 555 0100"}],
            "arm": "ga",
            "agent": {"instructions": "Help.", "language": "en", "greeting": "Northwind support."},
            "consent": {"disclosure": "An AI answers, and the call is recorded."},
            "hours": {
                "time_zone": "Europe/Berlin",
                "open": [
                    {"days": "mon-fri", "from": "08:00", "to": "18:30"},
                    {"days": "sat", "from": "22:00", "to": "02:00"},
                ],
                "holidays": {"dates": ["12-24", "12-31", "03-01", "06-01", "09-01"]},
                "closed": {"then": "hang_up", "say": "We are closed."},
            },
            "handoff": {"targets": {"billing": {"to": "sip:billing@desk.example", "mode": "warm"}}},
            "fallback": {"say": "Please call later.", "then": "transfer", "to": "sip:desk@x"},
        }
    )


def _write_replay(directory: Path) -> None:
    for number, verdict in enumerate(("pass", "fail")):
        folder = directory / f"run-{number}"
        run = folder / "runs" / "billing" / "ga" / "1"
        run.mkdir(parents=True)
        checks = [
            {
                "step": 2,
                "kind": "within_ms",
                "expected": 3500,
                "found": 4120,
                "status": "fail",
                "at_ms": 9000,
                "owner": None,
            }
        ]
        (run / "result.json").write_text(json.dumps({"checks": checks}))
        row = {
            "script": "billing",
            "arm": "ga",
            "passes": int(verdict == "pass"),
            "fails": int(verdict == "fail"),
            "inconclusive": 0,
            "infrastructure": 0,
            "verdict": verdict,
        }
        results = {
            "schema": "replayresults/v1",
            "started_at": f"2026-11-2{number}T10:00:00+00:00",
            "seconds": 12,
            "commit": "0123abcd",
            "version": "0.1.0",
            "command": "bridge replay",
            "arms": [
                {
                    "name": "ga",
                    "dialect": "ga",
                    "url": "x",
                    "model": "m",
                    "voice": None,
                    "kind": "emulated",
                }
            ],
            "scripts": [],
            "runs": [
                {
                    "script": "billing",
                    "arm": "ga",
                    "number": 1,
                    "verdict": verdict,
                    "reason": "answer too late",
                    "at_ms": 9000,
                    "folder": "runs/billing/ga/1",
                    "seconds": 12,
                }
            ],
            "table": [row],
            "cost": None,
        }
        (folder / "results.json").write_text(json.dumps(results))
