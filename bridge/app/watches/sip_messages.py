"""Writes the SIP messages of calls that are over; gives those of live calls and refused INVITEs.

In worker threads: taking secrets out of hundreds of messages takes time that calls must not feel. A
disk that refuses ends what is kept of the call's SIP, never the call.
"""

import asyncio
import dataclasses
from collections.abc import Mapping
from pathlib import Path

import structlog

from bridge.console.call_files import CALL_ID
from bridge.recordings.files import CallFiles
from bridge.recordings.writing import replace
from bridge.sip.trace import encode_trace
from bridge.store.control import Answer
from bridge.telephony.sip_traces import KeptTrace, SipTraces

log = structlog.get_logger(__name__)

_EVERY_S = 1.0
_MOST_GIVEN = 50
"""Refused INVITEs in one answer: it goes through Redis, and cleaning them takes time."""

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


async def write_sip(ended: list[KeptTrace], directory: Path) -> None:
    """Write the messages of calls that are over; never fails."""
    for each in ended:
        call_id = str(each.trace.about["call_id"])
        try:
            async with asyncio.timeout(_WITHIN_S):
                await asyncio.to_thread(_write, each, CallFiles(directory, call_id))
        except (OSError, MemoryError, RuntimeError) as error:  # RuntimeError: no thread to be had
            log.warning("sip_messages_not_written", call_id=call_id, error=str(error))


async def give_sip(traces: SipTraces, directory: Path, call_id: str) -> Answer:
    """Return the messages of a call that goes on here, or was here, as ``trace`` of the result.

    Args:
        traces: of the endpoint.
        directory: of the calls' files.
        call_id: as it came through Redis, so it names a file only if it is one of ours.
    """
    kept = traces.so_far(call_id)
    if kept is not None:
        content = await asyncio.to_thread(lambda: encode_trace(kept.cleaned()))
    elif CALL_ID.fullmatch(call_id):
        try:
            content = await asyncio.to_thread(CallFiles(directory, call_id).sip.read_bytes)
        except FileNotFoundError:
            return Answer.refused("unknown_call")
        except OSError as error:
            log.warning("sip_messages_not_read", call_id=call_id, error=str(error))
            return Answer.refused("disk")
    else:
        return Answer.refused("unknown_call")
    return Answer(True, result={"trace": content.decode()})


async def give_refused(traces: SipTraces, wanted: Mapping[str, object]) -> Answer:
    """Return the INVITEs that became no call: ``groups``, and ``traces`` of the latest ones.

    Args:
        traces: of the endpoint.
        wanted: ``trunk`` and the beginning of the ``answer``, where these alone are wanted;
            ``most``: traces of each group.
    """
    trunk, answer, most = wanted.get("trunk"), str(wanted.get("answer", "")), wanted.get("most")
    groups = [
        group
        for group in traces.refused
        if trunk in {None, group.trunk} and group.answer.startswith(answer)
    ]
    kept: list[KeptTrace] = []
    if isinstance(most, int) and groups:
        each = max(1, min(most, _MOST_GIVEN // len(groups))) if most > 0 else 0
        for group in groups:
            kept += traces.of_refused(group.trunk, group.answer, each)
    cleaned = await asyncio.to_thread(
        lambda: [encode_trace(trace.cleaned()).decode() for trace in kept[:_MOST_GIVEN]]
    )
    found = [dataclasses.asdict(group) for group in groups]
    return Answer(True, result={"groups": found, "traces": cleaned})


def _write(ended: KeptTrace, files: CallFiles) -> None:
    if ended.trace.messages:
        replace(files.sip, encode_trace(ended.cleaned()))
