"""`/api/openapi.json`: the API's own description, for signed-in users."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse

from bridge.console.access.door import Allowed
from bridge.console.access.principal import Principal

router = APIRouter(include_in_schema=False)


@router.get("/api/openapi.json")
async def get_openapi(
    request: Request, _: Annotated[Principal, Depends(Allowed(None))]
) -> JSONResponse:
    """Return OpenAPI 3.1."""
    return JSONResponse(request.app.openapi())
