"""`/api/v1/calls/{call_id}/picture`: shows a picture to the agent of a live call.

The picture goes to the node that has the call straight, by HTTP where that is another one; the
order to show it goes the way of all orders (:mod:`bridge.console.api.actions`) and names it by its
digest. So neither Redis nor the audit ever holds a picture.
"""

import asyncio
import json
from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import Response

from bridge.console.access.principal import Principal
from bridge.console.access.tokens import CallTokenKind
from bridge.console.api.actions import ActionResult, IdempotencyKey, act, door_of
from bridge.console.api.visible import CallId
from bridge.console.services import Using
from bridge.realtime.pictures import (
    MAX_PICTURE_BASE64,
    MAX_PICTURE_BYTES,
    Picture,
    PictureError,
    read_picture,
    read_picture_object,
)
from bridge.routing.supervisor_verbs import VERBS, Note, ShowOrder

router = APIRouter(prefix="/calls/{call_id}", tags=["actions"])
relay_router = APIRouter(prefix="/relay/calls/{call_id}", include_in_schema=False)

_SHOW = VERBS["show"]
_MAX_BODY_BYTES = MAX_PICTURE_BASE64 + 32 * 1024
"""The note has room beside it, of which JSON may write a character in twelve bytes."""


class PictureFile(BaseModel):
    """A picture: its type, and its bytes in base64 (RFC 4648 section 4)."""

    model_config = ConfigDict(extra="forbid")

    media_type: str = Field(examples=["image/png", "image/jpeg"])
    data: str = Field(repr=False)


class PictureWish(BaseModel):
    """A picture for the agent, a note on it, and when it is to speak of it: as of a whisper."""

    model_config = ConfigDict(extra="forbid")

    image: PictureFile
    note: Note = ""
    when: str = ShowOrder.model_fields["when"].default


_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": PictureWish.model_json_schema()}},
    }
}


@router.post(
    "/picture", operation_id="act_show", max_body_size=_MAX_BODY_BYTES, openapi_extra=_BODY
)
async def show_picture(
    call_id: CallId,
    request: Request,
    principal: Annotated[Principal, Depends(door_of(_SHOW))],
    services: Using,
    idempotency_key: IdempotencyKey = None,
) -> ActionResult:
    """Have the agent see a PNG or a JPEG, and speak of it now, or from its next turn on.

    413: more than a picture may have; 422: it is no picture that can be shown, and why.
    """
    # Not by FastAPI: it would read the body of somebody who may not, and in the loop's thread.
    body = await request.body()
    picture, order = await asyncio.to_thread(_read, body)

    async def bring(call: Mapping[str, str]) -> None:
        if not services.local.bring(call_id, picture):
            await services.nodes.bring(call.get("node", ""), call_id, principal.user, picture)

    return await act(services, principal, call_id, order, idempotency_key, first=bring)


@relay_router.post("/picture", max_body_size=MAX_PICTURE_BYTES)
async def take_relayed_picture(
    call_id: CallId, request: Request, services: Using, token: str = ""
) -> Response:
    """Take a picture from another node, which has checked who shows it, and audits it."""
    # A token that is not good is refused by :mod:`bridge.console.faults`.
    await services.tokens.redeem(token, call_id, CallTokenKind.RELAY_PICTURE)
    body = await request.body()
    try:
        picture = await asyncio.to_thread(read_picture, body)
    except PictureError as error:
        raise HTTPException(422, str(error)) from None
    if not services.local.bring(call_id, picture):
        raise HTTPException(404, "there is no such call here")
    return Response(status_code=204)


def _read(body: bytes) -> tuple[Picture, ShowOrder]:
    try:
        wish = PictureWish.model_validate(json.loads(body))
        picture = read_picture_object(wish.image.model_dump())
        facts = {**picture.facts, "note": wish.note, "when": wish.when}
        return picture, ShowOrder.model_validate(facts)
    except PictureError as error:
        raise HTTPException(422, str(error)) from None
    except ValidationError as error:
        wrong = [".".join(map(str, each["loc"])) for each in error.errors()]
        raise HTTPException(422, f"not of the documented form: {', '.join(wrong)}") from None
    except (ValueError, RecursionError):
        raise HTTPException(422, "the body is not JSON") from None
