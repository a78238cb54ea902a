"""The results of a `bridge replay` run on disk, schema ``replayresults/v1``.

    DIR/results.json                  everything in short
    DIR/runs/<script>/<arm>/<n>/      one call: result.json, call.wav, markers.json, wire.jsonl,
                                      record.json

Files are written whole or not at all. Everything here that touches the disk blocks.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from pydantic import JsonValue, TypeAdapter, ValidationError

from bridge.errors import ConfigError
from bridge.recordings.writing import replace, write_json
from bridge.replay.evidence.evidence import WireEvent
from bridge.replay.results.detail import Marker, RunDetail, RunFiles
from bridge.replay.results.run import Results

RESULTS_FILE = "results.json"
REPORT_FILE = "index.html"
WIRE_FILE = "wire.jsonl"

T = TypeVar("T")


# Made once: each costs ms, and a report reads hundreds of files.
_RESULTS = TypeAdapter(Results)
_DETAIL = TypeAdapter(RunDetail)
_MARKERS = TypeAdapter(tuple[Marker, ...])
_RECORD = TypeAdapter(dict[str, JsonValue])
_WIRE_EVENT = TypeAdapter(WireEvent)


def folder_of(script: str, arm: str, number: int) -> str:
    """Return where a run's files go, relative to the results."""
    return f"runs/{script}/{arm}/{number}"


def write_results(directory: Path, results: Results) -> None:
    """Write ``results.json``.

    Raises:
        OSError: the disk refused.
    """
    write_json(directory / RESULTS_FILE, asdict(results))


def read_results(directory: Path) -> Results:
    """Read ``results.json``.

    Raises:
        ConfigError: it is not there, or none of this schema.
    """
    return _read(directory / RESULTS_FILE, _RESULTS)


def write_run(folder: Path, files: RunFiles) -> None:
    """Write one call's files, but for the audio, which lies there already.

    Raises:
        OSError: the disk refused.
    """
    write_json(folder / "result.json", asdict(files.detail))
    write_json(folder / "markers.json", [asdict(marker) for marker in files.markers])
    if files.wire is not None:
        lines = (json.dumps(asdict(event), ensure_ascii=False) + "\n" for event in files.wire)
        replace(folder / WIRE_FILE, "".join(lines).encode())
    if files.record is not None:
        write_json(folder / "record.json", files.record)


def read_run(folder: Path) -> RunFiles:
    """Read one call's files.

    Raises:
        ConfigError: ``result.json`` or ``markers.json`` is missing, or a file is damaged.
    """
    wire, record, audio = folder / WIRE_FILE, folder / "record.json", folder / "call.wav"
    return RunFiles(
        detail=_read(folder / "result.json", _DETAIL),
        markers=_read(folder / "markers.json", _MARKERS),
        wire=_read_lines(wire) if wire.exists() else None,
        record=_read(record, _RECORD) if record.exists() else None,
        audio=audio if audio.exists() else None,
    )


def _read(path: Path, adapter: TypeAdapter[T]) -> T:
    try:
        return adapter.validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"can't be read: {error.strerror}", path=str(path)) from error
    except ValidationError as error:
        raise _damaged(path, error) from None


def _read_lines(path: Path) -> tuple[WireEvent, ...]:
    try:
        return tuple(_WIRE_EVENT.validate_json(line) for line in path.read_bytes().splitlines())
    except ValidationError as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: ValidationError) -> ConfigError:
    # Its own text repeats what was said.
    first = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return ConfigError(
        f"is no part of results that this version reads: {place}: {first['msg']}",
        path=str(path),
        remedy="run bridge replay again",
    )
