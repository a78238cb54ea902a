"""Asks nodes for SIP messages, by commands through Redis: of calls, of INVITEs that became none.

The node takes credentials and keys out first. For a minute Redis has the answer, in which there are
numbers that it has of the call anyway.
"""

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bridge.errors import InfrastructureError
from bridge.sip.trace import CallTrace, decode_trace
from bridge.store.control import ANSWER_WITHIN_MS, ControlSender
from bridge.store.reader import CallReader

SIP, REFUSED = "sip", "refused"
"""The commands for a call's messages and for those of INVITEs that became none; neither is an order
of a supervisor's, so :data:`bridge.routing.supervisor_verbs.VERBS` knows them not."""

_REFUSED = {
    "unknown_call": "keeps no SIP messages of {call}",
    "disk": "can't read its file of the SIP messages of {call}",
}


Json = dict[str, Any]  # Any: JSON of a node's answer


class NoSipMessagesError(InfrastructureError):
    """The SIP messages of a call are not to be had now."""


async def ask_call_sip(
    control: ControlSender, calls: CallReader, node: str, call_id: str, by: str
) -> CallTrace:
    """Return a call's SIP messages as its node has them now.

    Args:
        control, calls: of the Redis that the node shares.
        node: that has the call, or took it.
        call_id: the call.
        by: the asker's name.

    Raises:
        NoSipMessagesError: the node is gone, keeps none, or does not answer.
        RedisUnavailableError: Redis is away.
    """
    place = f"{call_id}.sip.jsonl in its media.recordings_dir"
    if not node or await calls.node(node) is None:
        raise NoSipMessagesError(
            f"node {node or 'unknown'}, which took {call_id}, is gone",
            remedy=f"if the call ended before that, they are in {place}",
        )
    answer = await control.send(node, call_id, SIP, {}, by=by, command_id=secrets.token_hex(16))
    if answer is None:
        raise NoSipMessagesError(
            f"node {node}, which took {call_id}, gave no answer in {ANSWER_WITHIN_MS / 1000:g} s",
            remedy="ask again; its log and heartbeat say how it is (`bridge calls list`)",
        )
    if not answer.accepted:
        why = _REFUSED.get(str(answer.reason), "refused ({reason})")
        raise NoSipMessagesError(
            f"node {node} {why.format(call=call_id, reason=answer.reason)}",
            remedy=f"where sip.messages.keep is on they are in {place} until recording.keep_days",
        )
    try:
        return decode_trace(str(answer.result["trace"]).encode())
    except (KeyError, ValueError) as error:
        raise NoSipMessagesError(f"node {node} answered with no SIP messages: {error}") from error


@dataclass(frozen=True, slots=True)
class RefusedOfNode:
    """The INVITEs that a node refused within the last 24 hours.

    Attributes:
        groups: as :class:`bridge.telephony.refused_invites.RefusedGroup` has them.
        traces: what was said in the latest, with ``trunk`` and ``answer`` in what they are about.
    """

    node: str
    groups: list[Json]
    traces: list[CallTrace]


async def ask_refused(
    control: ControlSender, calls: CallReader, by: str, wanted: Mapping[str, object]
) -> tuple[list[RefusedOfNode], list[str]]:
    """Ask all nodes at once; return what they have, and the names of those without an answer.

    Args:
        control, calls: of the Redis that the nodes share.
        by: the asker's name.
        wanted: see :func:`bridge.app.watches.sip_messages.give_refused`.

    Raises:
        RedisUnavailableError: Redis is away.
    """
    nodes = sorted(await calls.nodes())
    answers = await asyncio.gather(
        *(
            control.send(node, "", REFUSED, wanted, by=by, command_id=secrets.token_hex(16))
            for node in nodes
        )
    )
    found, mute = [], []
    for node, answer in zip(nodes, answers, strict=True):
        if answer is None or not answer.accepted:
            mute.append(node)
            continue
        result: Json = dict(answer.result)
        traces = [decode_trace(each.encode()) for each in result["traces"]]
        found.append(RefusedOfNode(node, result["groups"], traces))
    return found, mute
