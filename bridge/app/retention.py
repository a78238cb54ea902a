"""Retention: a sweep of the calls' files at the start and every hour, in a process of its own.

Reading thousands of records takes seconds of Python, which calls must not feel.
"""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

import structlog

from bridge.errors import BridgeError
from bridge.processes.child import start_child

log = structlog.get_logger(__name__)

EVERY_S = 3600.0


async def keep_sweeping(directory: Path, redis_url: str, redis_prefix: str) -> None:
    """Sweep for ever; cancel to end.

    Args:
        directory: of the calls' files.
        redis_url: where the state of these calls is; ``redis_prefix``: of its keys.
    """
    environ = {
        **os.environ,
        "BRIDGE_REDIS_URL": redis_url,
        "BRIDGE_REDIS_PREFIX": redis_prefix,
        "BRIDGE_CONFIG": "",
    }
    while True:
        if await asyncio.to_thread(_has_calls, directory):
            await _sweep(directory, environ)
        await asyncio.sleep(EVERY_S)


async def _sweep(directory: Path, environ: Mapping[str, str]) -> None:
    arguments = ("recordings", "sweep", "--json", "--directory", str(directory))
    try:
        async with await start_child("the sweep", arguments, environ) as child:
            found = await child.report(timeout_s=EVERY_S)
    except BridgeError as error:
        log.error("recordings_not_swept", error=str(error))
        return
    log.info("recordings_swept", counts=found["counts"])


def _has_calls(directory: Path) -> bool:
    return any(directory.glob("c_*"))
