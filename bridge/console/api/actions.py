"""`/api/v1/calls/{call_id}/actions/{action}`: carries out supervisors' actions on live calls.

An action goes to the node that has the call, and is carried out or refused there: the answer says
which, and why. It is written into the audit before it is asked for, and again with its outcome.
"""

import hashlib
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Header, HTTPException
from pydantic import BaseModel, ConfigDict

from bridge.console.access.door import Allowed, AllowedOrHolding, require_private
from bridge.console.access.phone_tickets import Ticket
from bridge.console.access.principal import Principal
from bridge.console.access.roles import Permission
from bridge.console.api.visible import CallId, find_live_call
from bridge.console.services import ConsoleServices, Using
from bridge.routing.supervisor_verbs import VERBS, ListenOrder, Order, Verb, verb_of
from bridge.store.control import Answer

router = APIRouter(tags=["actions"])

IdempotencyKey = Annotated[
    str | None,
    Header(
        max_length=128,
        description="The same key within a minute is the same action: it is carried out once.",
    ),
]


class ActionResult(BaseModel):
    """The node's answer to an action.

    Attributes:
        reason: why it was refused, as a code: ``held_by``, ``already``, ``agent_away``...
        result: more about that; ``held_by`` names who holds the call.
    """

    accepted: bool
    reason: str | None = None
    result: dict[str, Any] = {}  # Any: JSON


async def act(
    services: ConsoleServices,
    principal: Principal,
    call_id: str,
    order: Order,
    key: str | None,
    *,
    first: Callable[[Mapping[str, str]], Awaitable[None]] | None = None,
) -> ActionResult:
    """Have an action carried out by the node that has the call, audited.

    Args:
        key: the same one is carried out once (:func:`_command_id`).
        first: done before the order is sent, once it is in the audit; is given the call's fields.

    Raises:
        HTTPException: 403: to listen privately is not for them; 404, 409: the call; 504: its node
            did not answer.
    """
    if isinstance(order, ListenOrder):
        require_private(principal, wanted=order.private)
        # Who may not take over here may not by phone, either.
        barges = order.may_take_over and principal.may(Permission.BARGE)
        order = order.model_copy(update={"may_take_over": barges})
    call = await find_live_call(services, principal, call_id)
    verb = verb_of(order)
    command_id = _command_id(principal, call_id, verb, key)
    params = order.model_dump(mode="json")

    async def send() -> Answer | None:
        if first is not None:
            await first(call)
        return await services.control.send(
            call.get("node", ""),
            call_id,
            verb.name,
            params,
            by=principal.user,
            command_id=command_id,
        )

    answer = await services.auditor.act(
        principal,
        verb.name,
        send,
        result_of=_outcome,
        fail_open=verb.lets_go,
        call_id=call_id,
        params=params,
    )
    if answer is None:
        raise HTTPException(504, "the node that has the call did not answer; it may still act")
    return ActionResult(accepted=answer.accepted, reason=answer.reason, result=dict(answer.result))


def _outcome(answer: Answer | None) -> str:
    if answer is None:
        return "no answer"
    return "done" if answer.accepted else f"refused: {answer.reason}"


def _command_id(principal: Principal, call_id: str, verb: Verb, key: str | None) -> str:
    """Return the command's id: of a given key it is the same each time, for this session alone."""
    if key is None:
        return secrets.token_hex(16)
    words = "\0".join((principal.session_id, call_id, verb.name, key))
    return hashlib.sha256(words.encode()).hexdigest()[:32]


def door_of(verb: Verb) -> Allowed:
    """Return who may ask for a verb."""
    return AllowedOrHolding(verb.permission) if verb.of_the_holder else Allowed(verb.permission)


def _route_for(verb: Verb) -> Callable[..., Awaitable[ActionResult]]:
    async def answer(
        call_id: CallId,
        principal: Annotated[Principal, Depends(door_of(verb))],
        services: Using,
        order: Annotated[Any, Body()],  # Any: of the verb's kind, which is set below
        idempotency_key: IdempotencyKey = None,
    ) -> ActionResult:
        return await act(services, principal, call_id, order, idempotency_key)

    answer.__annotations__["order"] = verb.order
    answer.__doc__ = verb.order.__doc__
    return answer


for _verb in VERBS.values():
    if not _verb.own_path:
        router.add_api_route(
            _verb.path,
            _route_for(_verb),
            methods=["POST"],
            name=_verb.name,
            operation_id=f"act_{_verb.name}",
            summary=_verb.name.replace("_", " ").capitalize(),
            response_model=ActionResult,
        )


class PhoneWish(BaseModel):
    """The rights that a supervisor wants for a phone.

    Attributes:
        may_take_over: with the permission ``barge`` alone.
        private: no other supervisor sees it; with the permission ``monitor.private`` alone.
    """

    model_config = ConfigDict(extra="forbid")

    may_take_over: bool = False
    private: bool = False


class PhoneNumber(BaseModel):
    """The address that the phone has to dial, once; ``expires_at`` in ms since the Unix epoch."""

    uri: str
    expires_at: int


@router.post("/calls/{call_id}/phone-ticket")
async def make_phone_ticket(
    call_id: CallId,
    principal: Annotated[Principal, Depends(Allowed(Permission.MONITOR))],
    services: Using,
    wish: PhoneWish | None = None,
) -> PhoneNumber:
    """Return the address that a desk phone calls to hear a call: good once, for 60 s.

    The call goes to the node that has the caller. The audit has it when the phone is there.
    """
    wish = wish or PhoneWish()
    require_private(principal, wanted=wish.private)
    call = await find_live_call(services, principal, call_id)
    node = await services.calls.node(call.get("node", "")) or {}
    if not node.get("sip"):
        name = call.get("node", "")
        raise HTTPException(
            409, f"node {name} does not say where SIP reaches it: set sip.public_address there"
        )
    barges = wish.may_take_over and principal.may(Permission.BARGE)
    ticket = Ticket(principal.user, call_id, barges, wish.private)
    secret, expires_ms = await services.phone_tickets.issue(ticket)
    return PhoneNumber(uri=f"sip:listen-{call_id}-{secret}@{node['sip']}", expires_at=expires_ms)
