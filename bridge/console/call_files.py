"""Reads a call's files from this node's disk: record, markers, recording, line in the list.

Everything here blocks: in the gateway it belongs in a worker thread. Long loops let go of the
interpreter from time to time, so that the loop's thread waits for less than 2 ms.
"""

import itertools
import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from bridge.audio.markers import decode
from bridge.audio.wav import read_wav
from bridge.recordings.files import CDR_FILE, CallFiles

CALL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""No dot and no slash: an id can name no file but a call's own."""

_PAUSE_EVERY = 20
_TAIL_BYTES = 4 * 1024 * 1024

Json = dict[str, Any]  # Any: a record's JSON, shown as it is


def read_record(directory: Path, call_id: str) -> Json | None:
    """Return a call's record; None where there is none."""
    try:
        found = json.loads(CallFiles(directory, call_id).record.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def read_markers(directory: Path, call_id: str) -> list[Mapping[str, str | int]]:
    """Return the markers of a call's recording; none where there is none."""
    try:
        content = CallFiles(directory, call_id).markers.read_bytes()
    except OSError:
        return []
    return list(decode(content).markers)


def call_lines(directory: Path) -> Iterator[Json]:
    """Yield the lines of the list of calls, the latest first; only its last 4 MiB are looked at."""
    try:
        with (directory / CDR_FILE).open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(size - _TAIL_BYTES, 0))
            lines = file.read().splitlines()
    except OSError:
        return
    for count, line in enumerate(reversed(lines)):
        if count % _PAUSE_EVERY == 0:
            time.sleep(0)
        try:
            found = json.loads(line)
        except ValueError:  # torn, or the piece at which the reading began
            continue
        if isinstance(found, dict) and "deleted" not in found and "call_id" in found:
            yield found


def iso_ms(text: object) -> int | None:
    """Return ms since the Unix epoch of an ISO 8601 time."""
    return round(datetime.fromisoformat(text).timestamp() * 1000) if isinstance(text, str) else None


def says(directory: Path, call_ids: Sequence[str], words: str) -> set[str]:
    """Return those calls in whose transcript these words stand, whatever their case."""
    found = set()
    for call_id in call_ids:
        time.sleep(0)
        record = read_record(directory, call_id) or {}
        turns = record.get("turns") or []
        if any(words in str(turn.get("text", "")).lower() for turn in turns):
            found.add(call_id)
    return found


def peaks(path: Path, width: int) -> Json:
    """Return the outline of a stereo recording.

    Returns:
        ``rate_hz``, ``duration_ms``, and for ``caller`` and ``agent`` the loudest sample of each of
        ``width`` stretches, 0 to 1.

    Raises:
        AudioError: it is no WAV file.
        OSError: it can't be read.
    """
    samples, rate_hz = read_wav(path)
    frames = samples.reshape(len(samples), -1)
    edges = np.linspace(0, len(frames), width + 1).astype(int)
    lanes: Json = {}
    for lane, name in enumerate(("caller", "agent")):
        column = frames[:, min(lane, frames.shape[1] - 1)]
        found = []
        for first, last in itertools.pairwise(edges):
            part = column[first:last]
            found.append(
                round(float(np.abs(part.astype(np.int32)).max()) / 32768, 3) if len(part) else 0.0
            )
            if len(found) % _PAUSE_EVERY == 0:
                time.sleep(0)
        lanes[name] = found
    return {"rate_hz": rate_hz, "duration_ms": len(frames) * 1000 // rate_hz, **lanes}
