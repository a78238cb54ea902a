"""`/api/v1/replays`: results of `bridge replay --report`, read from their directories."""

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException

from bridge.console.access.door import Allowed
from bridge.console.access.principal import Principal
from bridge.console.access.roles import Permission
from bridge.console.services import Using

router = APIRouter(prefix="/replays", tags=["replays"])

Json = dict[str, Any]  # Any: results as their writer made them
Viewer = Annotated[Principal, Depends(Allowed(Permission.REPLAYS_VIEW))]


_MOST = 100


@router.get("")
async def get_replays(_: Viewer, services: Using) -> Json:
    """Return what each run of the command found, the latest first."""
    return {"replays": await asyncio.to_thread(list_replays, services.sources.replays_dir)}


@router.get("/{name}")
async def get_replay(name: str, _: Viewer, services: Using) -> Json:
    """Return one run of the command: its table, and what its failed runs broke."""
    found = await asyncio.to_thread(read_replay, services.sources.replays_dir, name)
    if found is None:
        raise HTTPException(404, "no such results")
    return found


def list_replays(directory: Path) -> list[Json]:
    """Return the results of each run of the command, the latest first. Blocks."""
    found = [each for path in _folders(directory) if (each := _read(path)) is not None]
    found.sort(key=lambda each: str(each.get("started_at", "")), reverse=True)
    return [_summary(each) for each in found[:_MOST]]


def read_replay(directory: Path, name: str) -> Json | None:
    """Return one run of the command with its table and its failed runs; None if there is none.

    Blocks.
    """
    path = next((each for each in _folders(directory) if each.name == name), None)
    found = None if path is None else _read(path)
    if path is None or found is None:
        return None
    runs = found.get("runs") or []
    for run in runs:
        if run.get("verdict") != "pass":
            run["broken"] = _broken(path, str(run.get("folder", "")))
    return {**_summary(found), "scripts": found.get("scripts", []), "runs": runs}


def _folders(directory: Path) -> list[Path]:
    if not directory.is_dir():
        return []
    return [each for each in [directory, *directory.iterdir()] if (each / "results.json").is_file()]


def _read(path: Path) -> Json | None:
    try:
        found = json.loads((path / "results.json").read_bytes())
    except (OSError, ValueError):
        return None
    return {**found, "name": path.name} if isinstance(found, dict) else None


def _summary(found: Json) -> Json:
    table = found.get("table") or []
    counts = {
        kind: sum(row.get("verdict") == kind for row in table)
        for kind in ("pass", "fail", "inconclusive", "infrastructure")
    }
    kept = ("name", "started_at", "seconds", "commit", "version", "arms", "cost")
    return {**{key: found.get(key) for key in kept}, "counts": counts, "table": table}


def _broken(path: Path, folder: str) -> list[Json]:
    """Return the checks that a run did not pass; its folder must lie in the results'."""
    place = (path / folder).resolve()
    if not place.is_relative_to(path.resolve()):
        return []
    try:
        found = json.loads((place / "result.json").read_bytes())
    except (OSError, ValueError):
        return []
    return [each for each in found.get("checks", []) if each.get("status") != "pass"]
