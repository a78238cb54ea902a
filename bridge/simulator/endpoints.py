"""The HTTP endpoints beside the WebSocket: tokens of both generations, and the admin's."""

import hmac
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web
from pydantic import TypeAdapter, ValidationError

from bridge.errors import ConfigError
from bridge.realtime.session_config import SessionKind
from bridge.simulator import beta_shapes as beta
from bridge.simulator import ga_shapes as ga
from bridge.simulator.dialect_wire import Wire
from bridge.simulator.door import Doorkeeper, beta_is_gone, http_error, meet
from bridge.simulator.fault_board import FaultBoard
from bridge.simulator.faults import FaultSpec, Moment
from bridge.simulator.refusal import EventRefused, refuse
from bridge.simulator.scenario import Scenario
from bridge.simulator.shapes import refusal_of
from bridge.simulator.tokens import Token, TokenDesk
from bridge.simulator.wire import DialectName, SessionIdentity, WireObject

ADMIN_HEADER = "X-Simulator-Admin"

# `PROTOCOL.md` section 1.
_GA_LIFETIME_S = 600
_BETA_LIFETIME_S = 60
_GA_MODEL = "gpt-realtime"
_BETA_MODEL = "gpt-4o-realtime-preview"

_SPECS: TypeAdapter[list[FaultSpec]] = TypeAdapter(list[FaultSpec])


class ModelList:
    """``GET /v1/models`` (developers.openai.com, "List models"): what there is, when it ends.

    Args:
        path: of the WebSocket, beside which the list is.
    """

    def __init__(self, doorkeeper: Doorkeeper, path: str) -> None:
        self._doorkeeper = doorkeeper
        self._path = path.removesuffix("/realtime") + "/models"

    def routes(self) -> list[web.RouteDef]:
        """Return what to add to the application."""
        return [web.get(self._path, self._list)]

    async def _list(self, request: web.Request) -> web.Response:
        key = self._doorkeeper.stop(request, takes_tokens=False)
        if isinstance(key, web.Response):
            return key
        listed = [
            {
                "id": name,
                "object": "model",
                "created": 0,
                "owned_by": "system",
                "shutdown_date": None if day is None else day.isoformat(),
            }
            for name, day in self._doorkeeper.models.shutdown_dates.items()
        ]
        return web.json_response({"object": "list", "data": listed})


class TokenEndpoints:
    """``/v1/realtime/client_secrets`` (GA) and ``/v1/realtime/sessions`` (beta).

    Args:
        path: of the WebSocket, beneath which they are.
        faults: that strike at ``token``.
        lifetime_s: of every token; None: as it is asked for.
    """

    def __init__(
        self,
        doorkeeper: Doorkeeper,
        desk: TokenDesk,
        faults: FaultBoard,
        path: str,
        lifetime_s: Callable[[], int | None] = lambda: None,
    ) -> None:
        self._path = path
        self._doorkeeper = doorkeeper
        self._desk = desk
        self._faults = faults
        self._lifetime_s = lifetime_s

    def routes(self) -> list[web.RouteDef]:
        """Return what to add to the application."""
        return [
            web.post(f"{self._path}/client_secrets", self._guarded(self._issue_ga)),
            web.post(f"{self._path}/sessions", self._guarded(self._issue_beta)),
        ]

    def _guarded(
        self, issue: Callable[[WireObject], WireObject]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(request: web.Request) -> web.Response:
            struck = await meet(self._faults.at_the_door(Moment.TOKEN), request)
            if struck is not None:
                return struck
            key = self._doorkeeper.stop(request, takes_tokens=False)
            if isinstance(key, web.Response):
                return key
            body: WireObject = {}
            try:
                body = await _json_object(request)
                return web.json_response(issue(body))
            except EventRefused as refused:
                return http_error(400, refused.error)
            except ValidationError as error:
                return http_error(400, refusal_of(error, body).error)

        return answer

    def _issue_ga(self, body: WireObject) -> WireObject:
        asked = ga.ClientSecretShape.model_validate(body)
        model = _GA_MODEL
        if isinstance(asked.session, ga.SessionShape):
            model = asked.session.model or model
        settings = asked.session.model_dump(exclude_unset=True)
        kind = SessionKind(asked.session.type)
        lifetime_s = asked.expires_after.seconds or _GA_LIFETIME_S
        token = self._issue(DialectName.GA, kind, model, settings, lifetime_s)
        session = _session_of(token)
        return {"value": token.value, "expires_at": token.expires_at_s, "session": session}

    def _issue_beta(self, body: WireObject) -> WireObject:
        if self._doorkeeper.beta == "disabled":
            raise EventRefused(beta_is_gone())
        asked = beta.ClientSecretShape.model_validate(body)
        settings = asked.model_dump(exclude_unset=True, exclude={"client_secret"})
        lifetime_s = asked.client_secret.expires_after.seconds or _BETA_LIFETIME_S
        model = asked.model or _BETA_MODEL
        kind = SessionKind.REALTIME
        token = self._issue(DialectName.BETA, kind, model, settings, lifetime_s)
        secret = {"value": token.value, "expires_at": token.expires_at_s}
        return {**_session_of(token), "client_secret": secret}

    def _issue(
        self,
        dialect: DialectName,
        kind: SessionKind,
        model: str,
        settings: WireObject,
        lifetime_s: int,
    ) -> Token:
        if kind is SessionKind.REALTIME and not self._doorkeeper.has_model(dialect, model):
            what = f"The model '{model}' does not exist or you do not have access to it."
            raise refuse("invalid_model", what, "session.model")
        return self._desk.issue(dialect, kind, model, settings, self._lifetime_s() or lifetime_s)


def _session_of(token: Token) -> WireObject:
    """Return the session object that a client of this token begins with.

    There is no session yet, so it expires at 0.
    """
    return Wire(token.dialect, SessionIdentity(token.model, 0, token.kind), token.settings).session


@dataclass(frozen=True, slots=True)
class AdminEndpoint:
    """Takes an admin's scenario and faults.

    ``/admin/faults``: POST sets one fault or a list, GET shows them all, DELETE clears them.
    ``/admin/scenario``: PUT has another scenario played, with its faults and no others.

    Attributes:
        secret: what requests bring as ``X-Simulator-Admin``; without one there is no endpoint.
        strike_now: does a fault to every open connection.
        play: puts a scenario in force; it raises ConfigError.
    """

    secret: str
    faults: FaultBoard
    strike_now: Callable[[FaultSpec], None]
    play: Callable[[Scenario], Awaitable[None]]

    def routes(self) -> list[web.RouteDef]:
        """Return what to add to the application."""
        return [
            web.get("/admin/faults", self._guarded(self._show)),
            web.post("/admin/faults", self._guarded(self._add)),
            web.delete("/admin/faults", self._guarded(self._clear)),
            web.put("/admin/scenario", self._guarded(self._take_scenario)),
        ]

    def _guarded(
        self, answer: Callable[[web.Request], Awaitable[web.Response]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def guarded(request: web.Request) -> web.Response:
            given = request.headers.get(ADMIN_HEADER, "")
            if not hmac.compare_digest(given.encode(), self.secret.encode()):
                what = f"Wrong or missing {ADMIN_HEADER} header."
                return http_error(401, refuse("invalid_api_key", what).error)
            return await answer(request)

        return guarded

    async def _show(self, _: web.Request) -> web.Response:
        return web.json_response({"faults": self.faults.report()})

    async def _clear(self, _: web.Request) -> web.Response:
        self.faults.clear()
        return web.json_response({"faults": []})

    async def _take_scenario(self, request: web.Request) -> web.Response:
        try:
            scenario = Scenario.model_validate(await _json_object(request))
            await self.play(scenario)
        except EventRefused as refused:
            return http_error(400, refused.error)
        except (ValidationError, ConfigError) as error:
            return http_error(400, refuse("invalid_value", str(error)).error)
        return web.json_response({"scenario": scenario.name})

    async def _add(self, request: web.Request) -> web.Response:
        try:
            body = await request.json()
            specs = _SPECS.validate_python(body if isinstance(body, list) else [body])
        except (ValueError, ValidationError) as error:
            return http_error(400, refuse("invalid_value", str(error)).error)
        added = []
        for spec in specs:
            if spec.at is Moment.NOW:
                self.strike_now(spec)
            else:
                added.append(self.faults.add(spec).report())
        return web.json_response({"faults": added}, status=201)


async def _json_object(request: web.Request) -> WireObject:
    """Return the body; none at all is an empty object."""
    text = await request.text()
    try:
        body = json.loads(text) if text else {}
    except ValueError:
        raise refuse("invalid_json", "We could not parse the JSON body.") from None
    if not isinstance(body, dict):
        raise refuse("invalid_json", "The body must be a JSON object.")
    return body
