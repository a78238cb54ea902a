"""PJSIP's memory ports: when they are refused, how rows step, and that nothing is left behind."""

import asyncio
import ctypes
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest

from bridge.audio.rings import FRAME_SAMPLES, RESTING_ROWS, write
from bridge.config.sip import SipSettings
from bridge.errors import InfrastructureError, TelephonyError
from bridge.softphone.sip_message import audio_sdp
from bridge.telephony.endpoint import MediaPortsKind, SipEndpoint
from bridge.telephony.library import load_symbols
from bridge.telephony.memory_layout import memory_ports_problem
from bridge.telephony.memory_ports import HISTORY_MS, MemoryPorts
from bridge.telephony.ports import MediaPorts
from tests.support.sip import SipPeer
from tests.support.waiting import wait_until
from tests.telephony.rig import Rig, has_memory_ports


@pytest.fixture
def media_ports() -> MediaPortsKind:
    """The rig of this file has memory ports."""
    return "memory"


@pytest.fixture
def endpoint() -> Iterator[SipEndpoint]:
    endpoint = SipEndpoint(SipSettings(host="127.0.0.1", port=0), media_ports="memory")
    yield endpoint
    endpoint.stop()


async def until_stepped(ports: MediaPorts, rows: list[int], since: int = 0) -> None:
    """Wait until both positions of every row are past ``since``."""

    def stepped() -> bool:
        ports.refresh()
        return bool((ports.rx_positions[rows] > since).all())

    await wait_until(stepped, "the conference stands still")


# Without them


@pytest.mark.skipif(has_memory_ports(), reason="this is about the pip wheel")
def test_the_pip_wheel_has_none_and_says_what_has() -> None:
    problem = memory_ports_problem()
    assert problem is not None
    assert "pjmedia_mem_capture_create" in problem
    assert "deploy/pjsip/build" in problem


@pytest.mark.sip
def test_auto_takes_what_the_library_has() -> None:
    endpoint = SipEndpoint(SipSettings(host="127.0.0.1", port=0))
    endpoint.start()
    info = endpoint.info
    endpoint.stop()
    assert info.media_ports == ("memory" if has_memory_ports() else "callback")
    assert bool(info.no_memory_ports) is not has_memory_ports()


@pytest.mark.sip
@pytest.mark.skipif(has_memory_ports(), reason="this is about the pip wheel")
def test_asking_for_them_on_the_pip_wheel_is_an_error_at_start(endpoint: SipEndpoint) -> None:
    with pytest.raises(InfrastructureError, match="pjmedia_mem_capture_create") as caught:
        endpoint.start()
    assert "deploy/pjsip/build" in caught.value.remedy
    assert "BRIDGE_MEDIA_PORTS=auto" in caught.value.remedy
    again = SipEndpoint(SipSettings(host="127.0.0.1", port=0))  # PJSIP was taken down
    again.start()
    again.stop()


# With them


@pytest.mark.capacity
def test_they_cannot_be_tried_while_pjsip_is_down() -> None:
    with pytest.raises(TelephonyError, match="PJSIP is down"):
        memory_ports_problem()


@pytest.mark.capacity
@pytest.mark.sip
@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("pjmedia_port_put_frame", "memory capture"),
        ("pjmedia_port_get_frame", "memory player"),
    ],
)
def test_ports_that_do_not_move_as_they_should_are_refused(
    endpoint: SipEndpoint, monkeypatch: pytest.MonkeyPatch, function: str, said: str
) -> None:
    """As if another PJSIP kept its state elsewhere."""
    endpoint.start()
    symbols = load_symbols()
    real = getattr(symbols, function)
    real.argtypes = [ctypes.c_void_p, ctypes.c_void_p]

    def twice(port: object, frame: object) -> int:
        real(port, frame)
        return int(real(port, frame))

    setattr(symbols, function, twice)
    monkeypatch.setattr("bridge.telephony.memory_layout.load_symbols", lambda: symbols)
    monkeypatch.setattr("bridge.telephony.linked_ports.load_symbols", lambda: symbols)
    problem = memory_ports_problem()
    assert problem is not None
    assert said in problem
    with pytest.raises(TelephonyError, match=said):
        MemoryPorts(1)


@pytest.mark.capacity
@pytest.mark.sip
def test_an_older_pjsip_is_refused(endpoint: SipEndpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint.start()
    symbols = load_symbols()
    setattr(symbols, "pj_get_version", lambda: b"2.15.1")  # noqa: B010  CDLL has no attributes
    monkeypatch.setattr("bridge.telephony.memory_layout.load_symbols", lambda: symbols)
    assert memory_ports_problem() == "memory ports need PJSIP 2.17 or later, and 2.15.1 is loaded"


@pytest.mark.capacity
@pytest.mark.sip
async def test_all_rows_step_together(endpoint: SipEndpoint) -> None:
    endpoint.start()
    ports = endpoint.ports
    rows = [ports.open_row() for _ in range(60)]  # more operations than PJSIP does in one tick
    await until_stepped(ports, rows)
    before = ports.tx_positions[rows].copy()
    behind: Counter[int] = Counter()
    moved_back = 0
    while (ports.tx_positions[rows] - before).min() < 30 * FRAME_SAMPLES:
        last = ports.rx_positions.copy(), ports.tx_positions.copy()
        ports.refresh()
        moved_back += int(
            (ports.rx_positions < last[0]).sum() + (ports.tx_positions < last[1]).sum()
        )
        behind.update((ports.tx_positions[rows] - ports.rx_positions[rows]).tolist())
        await asyncio.sleep(0.001)
    assert set(behind) <= {0, FRAME_SAMPLES}
    assert moved_back == 0
    steps = ports.tx_positions[rows] - before
    assert steps.max() - steps.min() <= FRAME_SAMPLES


@pytest.mark.capacity
@pytest.mark.sip
async def test_what_was_played_is_erased_without_the_loop(endpoint: SipEndpoint) -> None:
    """The whole ring is loud, nobody refreshes, and PJSIP itself leaves silence behind."""
    endpoint.start()
    ports = endpoint.ports
    row = ports.open_row()
    await until_stepped(ports, [row])
    start = int(ports.tx_positions[row]) + 2 * FRAME_SAMPLES
    history = HISTORY_MS * ports.arena.rate_hz // 1000
    loud = np.full(ports.arena.length_samples - history - 8 * FRAME_SAMPLES, 999, np.int16)
    write(ports.arena.tx, row, start, loud)
    erased_by = start + len(loud) + history + 4 * FRAME_SAMPLES

    def heard() -> int:
        ports.refresh()
        position = int(ports.tx_positions[row])
        rows, starts = np.array([row]), np.array([position - 3200])
        if start + 3200 < position < start + len(loud):
            assert (ports.heard(rows, starts, 3200) == 999).all()
        return position

    await wait_until(lambda: heard() >= erased_by, "the clock stands still")
    assert not ports.arena.tx[row].any()


@pytest.mark.capacity
@pytest.mark.sip
async def test_a_row_opened_again_is_silent_and_goes_on(endpoint: SipEndpoint) -> None:
    endpoint.start()
    ports = endpoint.ports
    rows = [ports.open_row() for _ in range(10)]
    await until_stepped(ports, rows)
    before = int(ports.tx_positions[rows[0]])
    ports.arena.tx[rows[0]] = 999
    for row in rows:
        ports.close_row(row)
    again = ports.open_row()
    assert again == rows[0]
    assert not ports.arena.tx[again].any()
    assert ports.tx_positions[again] >= before
    now = int(ports.tx_positions[again])
    await until_stepped(ports, [again], now)


@pytest.mark.capacity
@pytest.mark.sip
async def test_fifty_calls_over_and_over_leave_nothing(rig: Rig, peer: SipPeer) -> None:
    """Under the running clock; what the first rounds took serves all the others."""
    symbols = load_symbols()

    async def round_of_calls() -> None:
        first = len(rig.calls)
        dialogs = [peer.call("support", audio_sdp(40_000)) for _ in range(50)]
        for dialog in dialogs:
            assert (await dialog.final()).status == 200
        await rig.call_in(first + 49)
        calls = rig.calls[first:]
        await wait_until(lambda: all(call.pieces for call in calls), "a call has no audio")
        for number, call in enumerate(calls):
            call.play_tone(500.0, 100)
            if number % 3 == 0:
                held = audio_sdp(40_000, direction="sendonly", version=2)
                await dialogs[number].reinvite(held)
        for dialog in dialogs:
            await dialog.bye()
        await wait_until(lambda: all(call.ended for call in calls), "a call didn't end")
        del rig.calls[first:]

    for _ in range(6):
        await round_of_calls()
    assert rig.free_rows == rig.endpoint.ports.arena.rows
    # A player, a capture and an eraser for each row that was ever used, and the null device.
    expected = 3 * (50 + RESTING_ROWS) + 1
    await wait_until(
        lambda: symbols.pjsua_conf_get_active_ports() == expected, "media ports were left"
    )
