"""Returns how many calls one process holds here, by its core (`sip.max_calls: auto`) and its files.

The loop is one thread, so a core is what there is. Measured is what the audio of a call costs
there: the pump both ways with its resamplers, an append encoded for each piece up, a delta decoded
for each piece down. A batch of calls runs it over rings that nothing else touches; CPU time is
taken, not wall time, and the best of a few rounds, so that a busy machine is not taken for a slow
one. What a call costs besides (WebSocket, PJSIP, engine, store) is a multiple of it.

A call that gets no file descriptor for its session or its RTP is lost after it was taken, so fewer
are promised where the limit is low.
"""

import base64
import json
import time

import numpy as np
import structlog

from bridge.audio.ledger import PlayoutDrained, PlayoutStarted
from bridge.audio.resample import PHONE_HZ, REALTIME_HZ
from bridge.audio.rings import FRAME_MS, RingArena, gather
from bridge.clock import NS_PER_MS, NS_PER_S, SystemClock
from bridge.config.settings import MediaSettings
from bridge.console.patience import MOST_CONNECTIONS
from bridge.descriptors import open_now, raise_limit
from bridge.errors import InfrastructureError
from bridge.realtime.dialect import Dialect
from bridge.realtime.events import AudioDelta
from bridge.realtime.ga import GaDialect
from bridge.realtime.wire_frames import AppendFrames
from bridge.telephony.ports import ConferencePort, Positions, Samples
from bridge.telephony.pump import Pump

log = structlog.get_logger(__name__)

WHOLE_OVER_AUDIO = 4.0
"""CPU of a whole call over that of its audio as measured here: 3.35 ms a second (`PJSIP.md`, 200
calls at 67% of a core) over 0.85 ms on the same kind of machine, one BLAS thread."""

SHARE_OF_CORE = 0.7
"""What calls may take of a core; the rest is for set-ups, the tick's jitter and Redis."""

_CALLS = 50
_ROUND_FRAMES = 10
_ROUNDS = 4
_DELTA_MS = 100


A_CALL = 8
"""RTP, RTCP, session, recording and markers; while a session is renewed or a tool asked, or a
person called, up to three more."""
THE_REST = 100
"""Redis, DNS, files, children, probes and a few people at the console."""
_REMEDY = "raise the limit of open files (systemd: LimitNOFILE, shell: ulimit -n)"


def measure_max_calls(media: MediaSettings, rate_hz: int = PHONE_HZ) -> int:
    """Return the calls that one process can hold on this machine; takes about 0.2 s of CPU.

    Args:
        rate_hz: of the calls' audio.
    """
    return calls_within(measure_audio_ns(media, rate_hz))


def calls_within(audio_ns: int) -> int:
    """Return the calls that a core holds, at least 1.

    Args:
        audio_ns: CPU time that the audio of one call takes in a second.
    """
    return max(1, int(SHARE_OF_CORE * NS_PER_S / (WHOLE_OVER_AUDIO * audio_ns)))


def measure_audio_ns(media: MediaSettings, rate_hz: int = PHONE_HZ) -> int:
    """Return the CPU time, ns, that one second of audio both ways of one call takes."""
    bench = _Bench(media, rate_hz)
    bench.run(_ROUND_FRAMES)  # matrices are made, and memory is touched
    best_ns = min(bench.run(_ROUND_FRAMES) for _ in range(_ROUNDS))
    audio_ms = _ROUND_FRAMES * FRAME_MS * _CALLS
    return best_ns * NS_PER_S // (audio_ms * NS_PER_MS)


class _Ports:
    """Rings without PJSIP behind them: the measurement is the audio clock."""

    def __init__(self, rows: int, rate_hz: int) -> None:
        self.arena = RingArena(rows, rate_hz=rate_hz)
        self.arena.rx[:] = np.random.default_rng(0).integers(-8000, 8000, self.arena.rx.shape)
        self.rx_positions: Positions = np.zeros(rows, dtype=np.int64)
        self.tx_positions: Positions = np.zeros(rows, dtype=np.int64)
        self.stamps_ns: Positions = np.zeros(rows, dtype=np.int64)

    def step(self) -> None:
        self.rx_positions += self.arena.frame_samples
        self.tx_positions += self.arena.frame_samples

    def refresh(self) -> None: ...

    def open_row(self) -> int:
        return self.arena.acquire()

    def connect(self, row: int, audio: ConferencePort) -> None: ...

    def disconnect(self, row: int) -> None: ...

    def close_row(self, row: int) -> None:
        self.arena.release(row)

    def heard(self, rows: Positions, starts: Positions, count: int) -> Samples:
        return gather(self.arena.tx, rows, starts, count)

    def said_by_guests(self, rows: Positions, starts: Positions, count: int) -> Samples | None:
        return None


class _Encoder:
    """Does with caller audio what a session does before the socket."""

    def __init__(self, dialect: Dialect) -> None:
        self._frames = AppendFrames(dialect.encode)

    def on_caller_audio(self, audio: bytes, captured_ns: int) -> None:
        self._frames.encode(audio, "cmd_1")

    def on_playout(self, event: PlayoutStarted | PlayoutDrained) -> None: ...


class _Bench:
    def __init__(self, media: MediaSettings, rate_hz: int) -> None:
        self._dialect: Dialect = GaDialect()
        self._ports = _Ports(_CALLS, rate_hz)
        self._pump = Pump(
            self._ports,
            SystemClock(),
            append_ms=media.append_ms_for(_CALLS),
            ahead_ms=media.ahead_ms,
        )
        self._rows = [self._ports.open_row() for _ in range(_CALLS)]
        for row in self._rows:
            self._pump.add(row, _Encoder(self._dialect))
        self._delta = _delta()
        self._frames = 0

    def run(self, frames: int) -> int:
        """Move so many frames of all calls; return the CPU time of it, ns."""
        begun_ns = time.process_time_ns()
        for _ in range(frames):
            self._step()
        return time.process_time_ns() - begun_ns

    def _step(self) -> None:
        self._ports.step()
        self._frames += 1
        deltas_a_frame = _DELTA_MS // FRAME_MS
        for row in self._rows[self._frames % deltas_a_frame :: deltas_a_frame]:
            event = self._dialect.decode(self._delta)
            assert isinstance(event, AudioDelta)
            self._pump.downlink.play(row, event.item_id, event.content_index, event.audio)
        self._pump.tick()


def _delta() -> str:
    """Return an event with agent audio as it comes from the socket."""
    samples = np.random.default_rng(1).integers(-8000, 8000, REALTIME_HZ * _DELTA_MS // 1000)
    return json.dumps(
        {
            "type": "response.output_audio.delta",
            "event_id": "event_0",
            "response_id": "resp_0",
            "item_id": "item_0",
            "output_index": 0,
            "content_index": 0,
            "delta": base64.b64encode(samples.astype("<i2").tobytes()).decode(),
        }
    )


def calls_within_limit(promised: int) -> int:
    """Raise the limit of descriptors as far as is wanted and allowed; return the calls it holds.

    Args:
        promised: calls at once that are to be held.

    Raises:
        InfrastructureError: it does not suffice for one.
    """
    rest = open_now() + THE_REST
    needed = rest + A_CALL * promised
    limit = raise_limit(needed + MOST_CONNECTIONS)
    fitting = (limit - rest) // A_CALL
    if fitting < 1:
        raise InfrastructureError(
            f"this process may open {limit} files, and one call needs {rest + A_CALL}",
            remedy=_REMEDY,
        )
    if fitting < promised:
        log.warning(
            "calls_limited_by_descriptors",
            calls=fitting,
            promised=promised,
            limit=limit,
            needed=needed,
            remedy=f"{_REMEDY} to {needed}, or set sip.max_calls to {fitting}",
        )
    return min(promised, fitting)
