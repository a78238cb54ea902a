"""The client of text models, against servers that keep to the protocol and such as don't."""

import json
from pathlib import Path

import pytest

from bridge.errors import ConfigError
from bridge.replay.chat.client import ChatAnswer, ChatError, ChatMessage, ChatModel, read_key
from bridge.replay.script import TextModel
from tests.support.text_model import Wire, completion, text_model

KEY = "sk-test-4711"
ASKS = [ChatMessage("system", "You call."), ChatMessage("user", "The agent said: Hello.")]


async def ask(url: str, **settings: object) -> ChatAnswer:
    model = TextModel.model_validate({"url": url, "model": "small", "timeout_s": 2, **settings})
    async with ChatModel(model, KEY) as chat:
        return await chat.ask(ASKS)


async def test_it_asks_as_openai_has_it_and_reads_words_and_tokens() -> None:
    async with text_model([completion("Where is my order?")]) as server:
        answer = await ask(server.url)

    assert (answer.text, answer.input_tokens, answer.output_tokens) == (
        "Where is my order?",
        100,
        20,
    )
    assert server.heads[0].startswith("POST /v1/chat/completions HTTP/1.1\r\n")
    assert f"Authorization: Bearer {KEY}" in server.heads[0]
    assert server.bodies[0]["model"] == "small"
    assert server.bodies[0]["messages"][1] == {"role": "user", "content": "The agent said: Hello."}


async def test_prices_make_a_cost() -> None:
    prices = {"input": 2.0, "output": 10.0}
    model = TextModel.model_validate(
        {"url": "http://h/v1", "model": "m", "usd_per_million": prices}
    )
    assert ChatAnswer("x", 1_000_000, 100_000).cost_usd(model) == pytest.approx(3.0)


@pytest.mark.parametrize("first", [Wire(b"", 500), Wire(b"busy", 429), Wire(b"", 0)])
async def test_a_server_that_is_busy_or_broken_is_asked_once_more(first: Wire) -> None:
    async with text_model([first, completion("Hello.")]) as server:
        assert (await ask(server.url)).text == "Hello."
    assert len(server.bodies) == 2


LEAK = json.dumps({"error": {"code": "invalid_api_key", "message": f"Incorrect key: {KEY}"}})


@pytest.mark.parametrize(
    ("wires", "told", "asked"),
    [
        ([Wire(b"<html>nonsense")], "answered no chat completion", 1),
        ([Wire(b"[" * 100_000)], "answered no chat completion", 1),
        ([Wire(b"")], "answered no chat completion", 1),
        ([Wire(b"{}")], "answered no chat completion", 1),
        ([Wire(b'{"choices": {}}')], "answered no chat completion", 1),
        ([Wire(b'{"choices": [null]}')], "answered no chat completion", 1),
        ([completion(["Hello"])], "answered no chat completion", 1),
        ([completion(17)], "answered no chat completion", 1),
        ([completion("")], "answered nothing", 1),
        ([completion(None, refusal="I can't help with that.")], "answered nothing", 1),
        ([Wire(b"x" * 300_000)], "answered more than 256 KiB", 1),
        ([Wire(LEAK.encode(), 401)], "answered 401 (invalid_api_key)", 1),
        ([Wire(b"", 302)], "answered 302", 1),
        ([Wire(b"", 503)], "answered 503", 2),
        ([Wire(b"", 0)], "can't be reached", 2),
    ],
)
async def test_what_is_no_answer_is_an_error_that_names_the_model(
    wires: list[Wire], told: str, asked: int
) -> None:
    async with text_model(wires) as server:
        with pytest.raises(ChatError) as caught:
            await ask(server.url)
    assert told in str(caught.value)
    assert str(caught.value).startswith("the text model small at 127.0.0.1:")
    assert KEY not in str(caught.value), "a server's words may repeat the key"
    assert len(server.bodies) == asked


async def test_a_slow_server_is_given_up_in_time() -> None:
    async with text_model([Wire(b"{}", waits_s=60)]) as server:
        with pytest.raises(ChatError, match=r"gave no answer within 0.2 s"):
            await ask(server.url, timeout_s=0.2)


async def test_nobody_there_is_told_with_a_remedy() -> None:
    with pytest.raises(ChatError, match=r"can't be reached \(ConnectError\); check its url"):
        await ask("http://127.0.0.1:1/v1")


def test_a_key_comes_from_its_variable_or_file(tmp_path: Path) -> None:
    named = TextModel(url="https://h.example/v1", model="m", api_key_env="MY_KEY")
    assert read_key(named, {"MY_KEY": f" {KEY}\n"}) == KEY
    with pytest.raises(ConfigError, match=r"MY_KEY is not set; export MY_KEY with the key of h.e"):
        read_key(named, {})
    assert read_key(TextModel(url="https://h/v1", model="m"), {}) is None
    path = tmp_path / "key"
    filed = TextModel(url="https://h.example/v1", model="m", api_key_file=path)
    with pytest.raises(ConfigError, match=r"key: the key can't be read: FileNotFoundError"):
        read_key(filed, {})
    path.write_text(f"{KEY}\n")
    assert read_key(filed, {}) == KEY
