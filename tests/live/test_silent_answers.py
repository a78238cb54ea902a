"""Answers without a sound, and audio that a proxy has cut anew: what the caller hears of them."""

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np
import pytest

from bridge.app.gateway import Gateway
from bridge.live.records.summary import CallSummary
from tests.live.conftest import StartGateway
from tests.live.ear import rendered, share_heard
from tests.live.odd_service import DIALECTS, Answer, OddService, deltas, odd_service, tone
from tests.support.rtp_caller import RtpCaller

pytestmark = [pytest.mark.sip, pytest.mark.redis]

CALL_OUT = {
    "type": "function_call",
    "id": "item_call",
    "call_id": "call_1",
    "name": "lookup",
    "arguments": "{}",
    "status": "completed",
}
SORRY = "We are sorry, the assistant can not speak at the moment."


def incomplete(reason: str) -> Answer:
    return Answer([], "incomplete", {"type": "incomplete", "reason": reason})


def heard_ms(caller: RtpCaller) -> int:
    return 20 * sum(each.loud for each in caller.heard)


def purity(caller: RtpCaller, hz: float = 1_000) -> float:
    """Return the share of what was heard that is the tone, 0 to 1."""
    sound = np.concatenate([each.samples for each in caller.heard if each.loud]).astype(np.float64)
    power = np.abs(np.fft.rfft(sound)) ** 2
    pitch = np.fft.rfftfreq(len(sound), 1 / 8_000)
    return float(power[np.abs(pitch - hz) < 60].sum() / power.sum())


async def _greet(
    start_gateway: StartGateway,
    service: OddService,
    until: Callable[[RtpCaller], Awaitable[None]],
    **dialplan: object,
) -> tuple[Gateway, RtpCaller, CallSummary]:
    gateway, port = await start_gateway(
        service.url, dialect=service.dialect, dialplan=dialplan or None
    )
    async with RtpCaller(port) as caller:
        assert await caller.call() == 200
        (runner,) = gateway.calls
        await until(caller)
        if not caller.ended.is_set():
            await caller.hang_up()
        await asyncio.gather(*gateway.calls.values())
    return gateway, caller, runner.record.summary


async def _heard(caller: RtpCaller) -> None:
    await caller.until(lambda: heard_ms(caller) >= 500)
    await caller.until(lambda: not any(each.loud for each in caller.heard[-5:]))


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("silent", "code"),
    [
        (Answer([]), "no_audio"),
        (incomplete("max_output_tokens"), "incomplete_max_output_tokens"),
        (incomplete("content_filter"), "incomplete_content_filter"),
        (incomplete("a_reason_of_tomorrow"), "incomplete"),
        (Answer([], "cancelled", {"reason": "client_cancelled"}), "cancelled_by_service"),
        (Answer([], "a_status_of_tomorrow"), "no_audio"),
        (Answer(["A===", "!!!!", "AAAAA"]), "undecodable_audio"),
    ],
)
async def test_answer_without_a_sound_is_asked_for_again(
    start_gateway: StartGateway, dialect: str, silent: Answer, code: str
) -> None:
    async with odd_service(dialect) as service:
        service.answers.append(silent)
        gateway, _, summary = await _greet(start_gateway, service, _heard)
    assert service.requests == 2
    assert code in {each.code for each in summary.failures}
    assert {each.fault for each in summary.failures} == {"provider"}
    text = gateway.metrics.render()[0].decode()
    assert f'bridge_upstream_errors_total{{arm="peer",code="{code}"}} 1.0' in text


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_greeting_is_asked_for_again_with_its_words(
    start_gateway: StartGateway, dialect: str
) -> None:
    async with odd_service(dialect) as service:
        service.answers.append(Answer([]))
        await _greet(start_gateway, service, _heard)
    first, second = service.asked
    assert "Hello." in first["instructions"]
    assert second == first


async def test_service_that_stays_mute_is_spoken_about(start_gateway: StartGateway) -> None:
    async def told(caller: RtpCaller) -> None:
        await caller.until(caller.ended.is_set)

    async with odd_service("ga") as service:
        service.answers.extend([Answer([])] * 20)
        gateway, caller, summary = await _greet(
            start_gateway, service, told, fallback={"say": SORRY}
        )
    assert share_heard(caller, rendered(gateway, SORRY)) > 0.6
    assert (summary.outcome, summary.fault, summary.reason) == (
        "session_lost",
        "provider",
        "no_audio",
    )


async def test_status_of_tomorrow_with_audio_is_an_answer(start_gateway: StartGateway) -> None:
    async with odd_service("ga") as service:
        service.answers.append(Answer(status="a_status_of_tomorrow"))
        gateway, _, summary = await _greet(start_gateway, service, _heard)
    assert service.requests == 1
    assert summary.failures == []
    text = gateway.metrics.render()[0].decode()
    assert 'bridge_upstream_malformed_events_total{arm="peer"} 0.0' in text


async def test_answer_that_calls_a_tool_needs_no_sound(start_gateway: StartGateway) -> None:
    async with odd_service("ga") as service:
        service.answers.append(Answer([], output=[CALL_OUT]))
        _, _, summary = await _greet(start_gateway, service, _heard)
    assert summary.failures == []
    assert service.requests == 2  # the tool's output was answered


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("size", "spell"),
    [
        (4_801, lambda text: text),
        (333, lambda text: text),
        (77, lambda text: text),
        (4_801, lambda text: text.rstrip("=")),
        (4_799, lambda text: text.replace("+", "-").replace("/", "_")),
        (4_801, lambda text: text.replace("+", "-").replace("/", "_").rstrip("=")),
        (4_800, lambda text: "\r\n".join(text[at : at + 76] for at in range(0, len(text), 76))),
    ],
    ids=["odd", "short_odd", "tiny", "unpadded", "url_safe", "url_safe_unpadded", "lines"],
)
async def test_audio_cut_or_spelled_otherwise_sounds_the_same(
    start_gateway: StartGateway, dialect: str, size: int, spell: Callable[[str], str]
) -> None:
    audio = tone(700)
    pieces = [spell(piece) for piece in deltas(audio, size)]
    async with odd_service(dialect) as service:
        service.answers.append(Answer(pieces))
        _, caller, summary = await _greet(start_gateway, service, _heard)
    assert summary.failures == []
    assert heard_ms(caller) >= 640
    assert purity(caller) > 0.98
