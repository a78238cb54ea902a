import asyncio
import json
import logging

import pytest
import structlog

from bridge.config.settings import TelemetrySettings
from bridge.telemetry.log_limits import LogLimits
from bridge.telemetry.logs import (
    bind_call,
    call_context,
    configure,
    lines_left_out,
)

Capture = pytest.CaptureFixture[str]


def lines(capsys: Capture) -> list[dict[str, object]]:
    out, err = capsys.readouterr()
    assert out == ""
    return [json.loads(line) for line in err.splitlines()]


def configure_json(**settings: object) -> structlog.typing.FilteringBoundLogger:
    configure(TelemetrySettings.model_validate({"log_format": "json", **settings}))
    log: structlog.typing.FilteringBoundLogger = structlog.get_logger("bridge.test")
    return log


def test_line_is_json_on_stderr(capsys: Capture) -> None:
    configure_json().info("call answered", arm="local", took_ms=12)
    (line,) = lines(capsys)
    assert str(line.pop("timestamp")).endswith("Z")
    assert line == {
        "event": "call answered",
        "level": "info",
        "logger": "bridge.test",
        "arm": "local",
        "took_ms": 12,
    }


def test_libraries_pass_the_same_processors(capsys: Capture) -> None:
    configure_json()
    bind_call("c1")
    logging.getLogger("websockets.client").info("connection %s", "open")
    (line,) = lines(capsys)
    assert (line["event"], line["logger"], line["call_id"]) == (
        "connection open",
        "websockets.client",
        "c1",
    )


def test_frames_and_scrapes_are_never_logged(capsys: Capture) -> None:
    configure_json(log_level="debug")
    logging.getLogger("websockets.client").debug("< TEXT the caller's words")
    logging.getLogger("aiohttp.access").info("GET /metrics")
    assert lines(capsys) == []


def test_levels_below_the_chosen_one_are_dropped(capsys: Capture) -> None:
    log = configure_json(log_level="warning")
    log.info("no")
    logging.getLogger("any").info("no")
    log.warning("yes")
    assert [line["event"] for line in lines(capsys)] == ["yes"]


def test_configuring_again_does_not_double_lines(capsys: Capture) -> None:
    configure_json()
    configure_json().info("once")
    assert len(lines(capsys)) == 1


async def test_calls_in_their_own_tasks_keep_their_own_ids(capsys: Capture) -> None:
    log = configure_json()
    both_bound = asyncio.Barrier(2)

    async def call(call_id: str) -> None:
        bind_call(call_id, arm="local")
        await both_bound.wait()
        log.info("said")

    async with asyncio.TaskGroup() as group:
        group.create_task(call("c1"), name="c1")
        group.create_task(call("c2"), name="c2")
    log.info("outside")
    first, second, outside = lines(capsys)
    assert {first["call_id"], second["call_id"]} == {"c1", "c2"}
    assert "call_id" not in outside


def test_context_ends_with_its_block(capsys: Capture) -> None:
    log = configure_json()
    bind_call("outer")
    with call_context("inner"):
        log.info("a")
    log.info("b")
    assert [line.get("call_id") for line in lines(capsys)] == ["inner", "outer"]


def test_personal_fields_are_redacted(capsys: Capture) -> None:
    log = configure_json()
    log.info("turn", **{"pii.text": "my card is"}, pii={"digits": "42"}, deep={"pii.name": "Ann"})
    (line,) = lines(capsys)
    assert line["pii.text"] == "[redacted]"
    assert line["pii"] == {"digits": "[redacted]"}
    assert line["deep"] == {"pii.name": "[redacted]"}


def test_numbers_are_masked_in_messages_and_tracebacks(capsys: Capture) -> None:
    log = configure_json()
    logging.getLogger("lib").warning("INVITE from %s", "sip:+15550100199@gw")
    try:
        raise RuntimeError("no route to +44 20 7946 0958")
    except RuntimeError:
        log.exception("call failed")
    first, second = lines(capsys)
    assert first["event"] == "INVITE from sip:***99@gw"
    assert "RuntimeError: no route to ***58" in str(second["exception"])


def test_revealing_shows_everything(capsys: Capture) -> None:
    log = configure_json(reveal_pii=True)
    log.info("turn +15550100199", **{"pii.text": "hello"})
    (line,) = lines(capsys)
    assert (line["event"], line["pii.text"]) == ("turn +15550100199", "hello")


def test_console_lines_are_redacted_too_and_show_no_local_variables(capsys: Capture) -> None:
    configure(TelemetrySettings(log_format="console"))
    secret_local = "hunter2"
    try:
        raise RuntimeError("call +15550100199")
    except RuntimeError:
        structlog.get_logger("bridge.test").exception("failed", **{"pii.text": secret_local})
    err = capsys.readouterr().err
    assert "failed" in err
    assert "RuntimeError: call ***99" in err
    assert "[redacted]" in err
    assert "hunter2" not in err
    assert "\x1b" not in err


KEY = "sk-proj-Zebra0451_Quagga7788"


@pytest.mark.parametrize("log_format", ["json", "console"])
@pytest.mark.parametrize("reveal_pii", [False, True])
def test_a_key_in_an_exception_and_in_its_context_is_masked(
    capsys: Capture, log_format: str, reveal_pii: bool
) -> None:
    log = configure_json(log_format=log_format, reveal_pii=reveal_pii, log_level="debug")
    headers = {"Authorization": f"Bearer {KEY}"}
    try:
        try:
            raise OSError(f"no route for {headers}")
        except OSError as error:
            raise RuntimeError(f"could not connect with {KEY}") from error
    except RuntimeError as error:
        log.exception("broken", headers=headers)
        log.error("broken", error=error)
        logging.getLogger("a.library").exception("failed with %s", headers)
    written = capsys.readouterr().err
    assert "could not connect" in written
    assert "no route" in written
    assert "Zebra0451" not in written
    assert "Quagga7788" not in written


def test_lines_of_one_kind_are_bounded_and_the_rest_counted(capsys: Capture) -> None:
    now_s = 0.0
    limits = LogLimits(lambda: now_s)
    written = [limits.take("refused", logging.WARNING) for _ in range(1_000)]
    assert written == [0] * 100 + [None] * 900
    assert limits.take("other", logging.ERROR) == 0
    now_s = 1.0
    assert [limits.take("refused", logging.WARNING) for _ in range(3)] == [900, None, None]
    assert limits.left_out == {"warning": 902}
    assert limits.take("refused", logging.DEBUG) == 0


def test_a_calls_lines_leave_those_of_others_alone() -> None:
    limits = LogLimits(lambda: 0.0)
    noisy = [limits.take("info_failed", logging.INFO, "c0") for _ in range(500)]
    assert noisy.count(None) == 400
    assert all(
        limits.take("info_failed", logging.INFO, f"c{n}") is not None for n in range(1, 4_900)
    )
    assert None in [limits.take("info_failed", logging.INFO, f"d{n}") for n in range(500)]


def test_a_flood_of_kinds_takes_no_memory() -> None:
    limits = LogLimits(lambda: 0.0)
    for number in range(20_000):
        limits.take("call", logging.INFO, f"c{number}")
    assert len(limits._buckets) <= 4_096


def test_left_out_lines_are_named_by_the_next_of_their_kind(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 0.0
    monkeypatch.setattr("bridge.telemetry.logs._LIMITS", LogLimits(lambda: now_s))
    log = configure_json()
    for number in range(150):
        log.warning("refused", number=number)
        logging.getLogger("a.library").warning("invalid request %d", number)
    assert len(lines(capsys)) == 200
    assert lines_left_out() == {"warning": 100}
    now_s = 1.0
    log.warning("refused")
    logging.getLogger("a.library").warning("of another place in the code")
    first, second = lines(capsys)
    assert first["left_out"] == 50
    assert "left_out" not in second


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_line_is_never_as_long_as_a_stranger_likes(capsys: Capture, log_format: str) -> None:
    log = configure_json(log_format=log_format)
    long = "<" + "x" * 50_000 + ">"
    log.warning("bad", data=long, parts=[long] * 5, names={long: long}, number=10**80)
    logging.getLogger("a.library").warning("bad %s", long)
    try:
        raise RuntimeError(long)
    except RuntimeError:
        log.exception("broken")
    written = capsys.readouterr().err
    assert len(written) < 3 * 2_100 + 2_100 + 16_100 + 1_000
    assert "characters left out" in written
    assert f"{long[-100:]}" in written
