"""A caller's process: places one call after the other, as its parent directs.

Orders are JSON lines on stdin (:class:`CallOrder`), each answered by one JSON line on stdout
(:class:`CallAnswer`). Speech is rendered, and the recogniser taught, here: once for each script.
"""

import ipaddress
import json
import sys
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import JsonValue, TypeAdapter

from bridge.clock import SystemClock
from bridge.errors import BridgeError
from bridge.replay.call.player import CallLine, Replay
from bridge.replay.call.preparation import PreparedScript, prepare
from bridge.replay.chat.choosing import with_stand_ins
from bridge.replay.evidence.evidence import CallerEvidence
from bridge.replay.script import CallScript, load_script
from bridge.replay.script.files import under
from bridge.replay.script.packs import PackItem
from bridge.sip.addresses import Uri

RUN_HEADER = "X-Bridge-Replay"
"""Header of the INVITE that names the run."""


@dataclass(frozen=True, slots=True)
class CallOrder:
    """An order to place a call, as the caller's process gets it.

    Attributes:
        script: the script's file.
        uri: to dial.
        headers: of the INVITE.
        recording: where the call is recorded.
        stand_ins: the script's own replies are played in the place of text models.
        item: that the script is played under; None: as it is.
    """

    script: Path
    uri: str
    headers: Mapping[str, str] = field(default_factory=dict)
    recording: Path | None = None
    stand_ins: bool = False
    item: PackItem | None = None


@dataclass(frozen=True, slots=True)
class CallAnswer:
    """A caller's answer to an order.

    Attributes:
        caller: None where the call could not be tried.
        call: :meth:`bridge.replay.results.call.CallResult.as_json`.
        error: why it could not be tried.
    """

    caller: CallerEvidence | None
    call: Mapping[str, JsonValue] = field(default_factory=dict)
    error: str | None = None


ORDERS = TypeAdapter(CallOrder)
ANSWERS = TypeAdapter(CallAnswer)


def encode_order(order: CallOrder) -> dict[str, object]:
    """Return an order as JSON values, of a pack's item what its file says and no more."""
    written: dict[str, object] = ORDERS.dump_python(order, mode="json", exclude_unset=True)
    return written


Run = Callable[[Coroutine[Any, Any, CallAnswer]], CallAnswer]  # Any: as asyncio's own


def own_address(uri: str) -> str:
    """Return the address to call a SIP URI from, of its family: loopback's for a place there."""
    host = ""
    try:
        host = Uri.parse(uri).host
        here = ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        here = host == "localhost"
    if host.startswith("["):
        return "::1" if here else "::"
    return "127.0.0.1" if here else "0.0.0.0"


def take_orders(run: Run) -> None:
    """Place the calls that stdin orders, until it ends.

    Args:
        run: runs a call in a fresh event loop.
    """
    prepared: dict[tuple[Path, PackItem | None], PreparedScript] = {}
    for line in sys.stdin:
        order = ORDERS.validate_json(line)
        wanted = order.script, order.item
        try:
            if wanted not in prepared:
                prepared[wanted] = prepare(_script_of(order), order.script.parent)
            answer = run(_place(order, prepared[wanted]))
        except BridgeError as error:
            answer = CallAnswer(None, error=str(error))
        sys.stdout.write(ANSWERS.dump_json(answer).decode() + "\n")
        sys.stdout.flush()


def _script_of(order: CallOrder) -> CallScript:
    script = load_script(order.script)
    if order.item is not None:
        script = under(script, order.item)
    return with_stand_ins(script) if order.stand_ins else script


async def _place(order: CallOrder, prepared: PreparedScript) -> CallAnswer:
    line = CallLine(order.uri, own_address(order.uri), order.recording, headers=order.headers)
    replay = Replay(prepared, line, SystemClock())
    result = await replay.run()
    return CallAnswer(replay.caller_side, json.loads(json.dumps(result.as_json())))
