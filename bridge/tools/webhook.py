"""Calls a tool's webhook: signed, bounded in time, tries and bytes, and never with an exception.

Whatever goes wrong becomes an output that the model can speak about; the operator reads the cause
in the log and the call's events.

An answer that is a JSON object may show the model a picture: ``{"image": {"media_type":
"image/png", "data": base64}, ...}``. The rest of the object is the output, with a word in the
image's place.

``X-Bridge-Signature: t=<unix seconds>,v1=<hex>`` where hex is HMAC-SHA256 over ``<t>.<body>`` with
the dialplan's secret. A receiver recomputes it, compares in constant time, and refuses times that
are more than 300 s off.
"""

import asyncio
import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import urlsplit

import aiohttp
import structlog

from bridge.clock import NS_PER_S, Clock
from bridge.descriptors import out_of_descriptors
from bridge.realtime.pictures import Picture, PictureError, read_picture_object
from bridge.routing.tools import Webhook
from bridge.tools.addresses import PublicResolver, is_private_literal

log = structlog.get_logger(__name__)

_WAITS_S = (0.2, 0.6, 1.5, 3.0, 5.0)
_RETRYABLE = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.REQUEST_TIMEOUT})


SIGNATURE_HEADER = "X-Bridge-Signature"


@dataclass(frozen=True, slots=True)
class ToolRequest:
    """What a tool is asked.

    Attributes:
        key: the same for every attempt at one call of the tool (`Idempotency-Key`).
        facts: sent to the receiver about the phone call: call_id, route, from, to,
            sip_call_id, headers, and what its INVITE says (:class:`bridge.routing.origin.Origin`).
        trace_headers: W3C `traceparent`, where the call is traced.
    """

    name: str
    arguments: Mapping[str, object]
    key: str
    facts: Mapping[str, object]
    trace_headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The result of a tool's request.

    Attributes:
        output: for the model: the endpoint's answer, or a JSON object with ``error``.
        code: ``ok``, or why not; fit for a metric label.
        picture: for the model, beside the output, which is a JSON object then.
    """

    output: str
    code: str = "ok"
    picture: Picture | None = None

    @property
    def ok(self) -> bool:
        """Whether the tool did its work."""
        return self.code == "ok"


def failed(code: str, why: str) -> ToolResult:
    """Return the result of a tool that did not work; ``why`` is said to the model."""
    return ToolResult(json.dumps({"error": why}), code)


class WebhookClient:
    """Calls webhooks; one for all calls of a gateway.

    Args:
        clock: stamps signatures.
        secrets: environment variable to its value.
        sleep: waits between attempts.
    """

    def __init__(
        self,
        clock: Clock,
        secrets: Mapping[str, str],
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._secrets = secrets
        self._sleep = sleep
        self._public: aiohttp.ClientSession | None = None
        self._any: aiohttp.ClientSession | None = None

    async def aclose(self) -> None:
        """Close every connection."""
        for session in (self._public, self._any):
            if session is not None:
                await session.close()

    async def call(
        self, webhook: Webhook, request: ToolRequest, *, deadline_s: float
    ) -> ToolResult:
        """Call a tool; its result comes within ``deadline_s``. Cancelling ends it at once."""
        host = urlsplit(webhook.url).hostname or ""
        if not webhook.allow_private and is_private_literal(host):
            log.error("tool_address_refused", tool=request.name, host=host)
            return failed("private_address", "the tool cannot be reached")
        try:
            async with asyncio.timeout(deadline_s):
                return await self._attempts(webhook, request)
        except TimeoutError:
            log.warning("tool_deadline_passed", tool=request.name, deadline_s=deadline_s)
            return failed("deadline", "the tool took too long")

    async def _attempts(self, webhook: Webhook, request: ToolRequest) -> ToolResult:
        body = _body(request)
        for attempt in range(webhook.retries + 1):
            result, again = await self._attempt(webhook, request, body)
            if not again or attempt == webhook.retries:
                break
            await self._sleep(_WAITS_S[min(attempt, len(_WAITS_S) - 1)])
        if not result.ok:
            log.warning("tool_failed", tool=request.name, code=result.code, attempts=attempt + 1)
        return result

    async def _attempt(
        self, webhook: Webhook, request: ToolRequest, body: bytes
    ) -> tuple[ToolResult, bool]:
        """Return what an attempt gave, and whether another may help."""
        timeout = aiohttp.ClientTimeout(total=webhook.timeout_s)
        try:
            async with self._session(webhook).post(
                webhook.url,
                data=body,
                headers=self._headers(webhook, request, body),
                timeout=timeout,
                allow_redirects=False,  # who points elsewhere was not checked
            ) as response:
                return await _read(response, webhook.max_response_bytes)
        except TimeoutError:
            return failed("timeout", "the tool did not answer in time"), True
        except (aiohttp.ClientError, OSError) as error:
            log.info("tool_unreachable", tool=request.name, error=type(error).__name__)
            if out_of_descriptors(error):
                return failed("no_descriptors", "the tool cannot be reached now"), True
            return failed("unreachable", "the tool cannot be reached"), True

    def _headers(self, webhook: Webhook, request: ToolRequest, body: bytes) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": request.key,
            **request.trace_headers,
        }
        secret = self._secrets.get(webhook.secret_env or "")
        if secret:
            headers[SIGNATURE_HEADER] = sign(secret, body, self._clock.wall_ns() // NS_PER_S)
        return headers

    def _session(self, webhook: Webhook) -> aiohttp.ClientSession:
        if webhook.allow_private:
            if self._any is None:
                self._any = _make_session(aiohttp.TCPConnector())
            return self._any
        if self._public is None:
            resolver = PublicResolver(aiohttp.DefaultResolver())
            self._public = _make_session(aiohttp.TCPConnector(resolver=resolver))
        return self._public


def _make_session(connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())


def _body(request: ToolRequest) -> bytes:
    content = {"tool": request.name, "arguments": request.arguments, "call": request.facts}
    return json.dumps(content, ensure_ascii=False).encode()


async def _read(response: aiohttp.ClientResponse, most_bytes: int) -> tuple[ToolResult, bool]:
    if not 200 <= response.status < 300:
        again = response.status in _RETRYABLE or response.status >= 500
        return failed(f"http_{response.status}", "the tool refused or failed"), again
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > most_bytes:
            return failed("too_large", "the tool's answer was too long"), False
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return failed("not_text", "the tool's answer could not be read"), False
    if '"image"' in text:  # it may be a megabyte of JSON and base64
        return await asyncio.to_thread(_with_picture, text), False
    return ToolResult(text or "{}"), False


def _with_picture(text: str) -> ToolResult:
    """Take the picture out of an answer; the output says why one that is no good is not shown."""
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        return ToolResult(text)
    given = answer.get("image") if isinstance(answer, dict) else None
    if not isinstance(given, dict) or not {"media_type", "data"} <= given.keys():
        return ToolResult(text)  # an answer of the operator's own that happens to have an image
    picture, said = None, "follows in the next message"
    try:
        picture = read_picture_object(given)
    except PictureError as error:
        log.warning("tool_picture_refused", why=error.why)
        said = f"not shown: {error}"
    return ToolResult(json.dumps({**answer, "image": said}, ensure_ascii=False), picture=picture)


def sign(secret: str, body: bytes, unix_s: int) -> str:
    """Return the header's value."""
    return f"t={unix_s},v1={_mac(secret, body, unix_s)}"


def _mac(secret: str, body: bytes, unix_s: int) -> str:
    return hmac.new(secret.encode(), f"{unix_s}.".encode() + body, hashlib.sha256).hexdigest()
