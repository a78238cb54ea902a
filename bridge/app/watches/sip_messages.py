"""Writes the SIP messages of calls that are over beside their records.

In worker threads: taking secrets out of hundreds of messages takes time that calls must not feel. A
disk that refuses ends what is kept of the call's SIP, never the call.
"""

import asyncio
from pathlib import Path

import structlog

from bridge.recordings.files import CallFiles
from bridge.recordings.writing import replace
from bridge.sip.trace import encode_trace
from bridge.telephony.sip_traces import EndedTrace, SipTraces

log = structlog.get_logger(__name__)

_EVERY_S = 1.0
_WITHIN_S = 10.0
"""A disk that hangs must not keep the gateway."""


async def keep_writing_sip(traces: SipTraces, directory: Path) -> None:
    """Write what calls leave, for ever; cancel to end.

    Args:
        traces: of the endpoint.
        directory: of the calls' files.
    """
    while True:
        await asyncio.sleep(_EVERY_S)
        await write_sip(traces.take_ended(), directory)


async def write_sip(ended: list[EndedTrace], directory: Path) -> None:
    """Write the messages of calls that are over; never fails."""
    for each in ended:
        call_id = str(each.trace.about["call_id"])
        try:
            async with asyncio.timeout(_WITHIN_S):
                await asyncio.to_thread(_write, each, CallFiles(directory, call_id))
        except (OSError, MemoryError, RuntimeError) as error:  # RuntimeError: no thread to be had
            log.warning("sip_messages_not_written", call_id=call_id, error=str(error))


def _write(ended: EndedTrace, files: CallFiles) -> None:
    if ended.trace.messages:
        replace(files.sip, encode_trace(ended.cleaned()))
