"""Asks a text model over OpenAI's chat completions (`POST /v1/chat/completions`).

The far end is not trusted: an answer has a largest size and a longest time, its types are checked,
and nothing of it, of the prompts or of the key gets into an error's text or a log.
"""

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self
from urllib.parse import urlsplit

import httpx2
import structlog

from bridge.errors import ConfigError, InfrastructureError
from bridge.replay.json_fields import part_of
from bridge.replay.script import TextModel
from bridge.replay.script.text_model import LOOPBACK

_log = structlog.get_logger(__name__)

_MOST_BYTES = 256 * 1024
_ATTEMPTS = 2
_PAUSE_S = 0.5
_LETTERS_A_TOKEN = 4
"""English, roughly; for servers that don't count."""
_CODE = re.compile(r"[a-z0-9_.-]{1,60}", re.IGNORECASE)


class ChatError(InfrastructureError):
    """A text model gave no answer that can be used."""


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """A message of the conversation with the model."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class ChatAnswer:
    """The model's answer, with the tokens that it took.

    Attributes:
        input_tokens, output_tokens: as the server counts them; estimated where it doesn't.
    """

    text: str
    input_tokens: int
    output_tokens: int

    @property
    def tokens(self) -> int:
        """All of them."""
        return self.input_tokens + self.output_tokens

    def cost_usd(self, model: TextModel | None) -> float:
        """Return what it cost; 0 without prices."""
        prices = None if model is None else model.usd_per_million
        if prices is None:
            return 0.0
        return (self.input_tokens * prices.input + self.output_tokens * prices.output) / 1e6


def read_key(model: TextModel, environ: Mapping[str, str]) -> str | None:
    """Read a model's key from where it is said to be; None where it needs none.

    Raises:
        ConfigError: the variable or the file is missing, or empty.
    """
    host = urlsplit(model.url).hostname
    if model.api_key_env is not None:
        key = environ.get(model.api_key_env, "").strip()
        if not key:
            raise ConfigError(
                f"the environment variable {model.api_key_env} is not set",
                remedy=f"export {model.api_key_env} with the key of {host}",
            )
        return key
    if model.api_key_file is None:
        return None
    remedy = f"api_key_file names a file with the key of {host}, and nothing else"
    try:
        key = model.api_key_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        # Not chained: the decoder's error carries the file's bytes.
        raise ConfigError(
            f"the key can't be read: {type(error).__name__}",
            path=str(model.api_key_file),
            remedy=remedy,
        ) from None
    if not key:
        raise ConfigError("the key's file is empty", path=str(model.api_key_file), remedy=remedy)
    return key


class ChatModel:
    """A text model behind a URL. Use ``async with``, then :meth:`ask`.

    Args:
        model: where it is, and how long it may take.
        key: sent as a bearer token; None for none.
    """

    def __init__(self, model: TextModel, key: str | None) -> None:
        self._model = model
        base = model.url.rstrip("/").removesuffix("/chat/completions")
        self._url = f"{base}/chat/completions"
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._client = httpx2.AsyncClient(
            headers=headers,
            timeout=model.timeout_s,
            # What runs on this machine is no business of a proxy.
            trust_env=urlsplit(model.url).hostname not in LOOPBACK,
        )

    @property
    def name(self) -> str:
        """The model and its host, for people; no query, which may hold a key."""
        return f"{self._model.model} at {urlsplit(self._model.url).netloc}"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.aclose()

    async def ask(self, messages: Sequence[ChatMessage]) -> ChatAnswer:
        """Return the model's answer; a server that is busy or broken is asked once more.

        Raises:
            ChatError: there is none, or none that can be read.
        """
        body = {
            "model": self._model.model,
            "messages": [{"role": each.role, "content": each.content} for each in messages],
            "max_tokens": self._model.max_tokens,
            "temperature": 0,
        }
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                async with asyncio.timeout(self._model.timeout_s):
                    return self._read(*await self._post(body), messages)
            except (TimeoutError, httpx2.HTTPError) as error:
                problem = self._unreachable(error)
            except ChatError as error:
                problem = error
            if not problem.retryable or attempt == _ATTEMPTS:
                raise problem
            _log.info("text_model_asked_again", model=self._model.model, reason=problem.what)
            await asyncio.sleep(_PAUSE_S)
        raise AssertionError("the last attempt returns or raises")

    async def _post(self, body: Mapping[str, object]) -> tuple[int, bytes]:
        async with self._client.stream("POST", self._url, json=body) as answer:
            content = bytearray()
            async for piece in answer.aiter_bytes():
                content += piece
                if len(content) > _MOST_BYTES:
                    raise self._error(f"answered more than {_MOST_BYTES // 1024} KiB")
            return answer.status_code, bytes(content)

    def _read(self, status: int, body: bytes, messages: Sequence[ChatMessage]) -> ChatAnswer:
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError):
            answer = None
        if status != httpx2.codes.OK:
            busy = status == httpx2.codes.TOO_MANY_REQUESTS or status >= 500
            raise self._error(f"answered {status}{_code_of(answer)}", retryable=busy)
        text = _content_of(answer)
        if text is None:
            raise self._error("answered no chat completion: choices[0].message.content is no text")
        if not text.strip():
            raise self._error("answered nothing: it refused, or its max_tokens are too few")
        asked = sum(len(each.content) for each in messages)
        return ChatAnswer(
            text.strip(),
            _count(answer, "prompt_tokens", asked // _LETTERS_A_TOKEN + 1),
            _count(answer, "completion_tokens", len(text) // _LETTERS_A_TOKEN + 1),
        )

    def _unreachable(self, error: Exception) -> ChatError:
        if isinstance(error, TimeoutError | httpx2.TimeoutException):
            return self._error(f"gave no answer within {self._model.timeout_s:g} s", retryable=True)
        return self._error(f"can't be reached ({type(error).__name__})", retryable=True)

    def _error(self, what: str, *, retryable: bool = False) -> ChatError:
        return ChatError(
            f"the text model {self.name} {what}",
            remedy="check its url, model and key, and that it speaks OpenAI's chat completions",
            retryable=retryable,
        )


def _first_message(answer: object) -> object:
    choices = answer.get("choices") if isinstance(answer, dict) else None
    first = choices[0] if isinstance(choices, list) and choices else None
    return first.get("message") if isinstance(first, dict) else None


def _content_of(answer: object) -> str | None:
    """Return the answer's text, "" of a refusal, None where there is no answer of that form."""
    message = _first_message(answer)
    if not isinstance(message, dict):
        return None
    content = message.get("content")
    if content is None or message.get("refusal"):
        return ""
    return content if isinstance(content, str) else None


def _count(answer: object, name: str, estimate: int) -> int:
    count = part_of(answer, "usage").get(name)
    if isinstance(count, int) and not isinstance(count, bool) and count >= 0:
        return count
    return estimate


def _code_of(answer: object) -> str:
    """Return the code of an error, if it is one; never its message, which may repeat the key."""
    error = part_of(answer, "error")
    code = error.get("code") or error.get("type")
    return f" ({code})" if isinstance(code, str) and _CODE.fullmatch(code) else ""
