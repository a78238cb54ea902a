"""What a node notices about the machine under it, and what it says of it."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bridge.app.watches import probes
from bridge.app.watches.clocks import WallClockWatch
from bridge.app.watches.ends import ConsoleCertificate
from bridge.app.watches.probes import Directories
from bridge.app.watches.troubles import Troubles
from bridge.clock import NS_PER_S, ManualClock, SystemClock
from bridge.telemetry.metrics import Metrics
from bridge.telemetry.scrape import Scrape
from tests.support.breakages import fill, small_disk
from tests.support.certificates import make_certificate
from tests.support.waiting import wait_until


class SetClock(ManualClock):
    """A clock whose wall time somebody sets."""

    set_by_ns = 0

    def wall_ns(self) -> int:
        return super().wall_ns() + self.set_by_ns


def scraped(metrics: Metrics) -> Scrape:
    return Scrape.parse(metrics.render()[0].decode())


@pytest.mark.parametrize("by_s", [3600, -3600, 1])
def test_a_clock_that_is_set_is_logged_once(by_s: int) -> None:
    clock = SetClock()
    watch = WallClockWatch(clock)
    with capture_logs() as logged:
        clock.advance_ms(1000)
        assert watch.look() == 0
        clock.set_by_ns += by_s * NS_PER_S
        assert watch.look() == by_s * 1000
        clock.advance_ms(1000)
        assert watch.look() == 0
    assert [(each["event"], each["by_ms"]) for each in logged] == [("clock_set", by_s * 1000)]


def test_a_clock_that_is_slewed_is_no_news() -> None:
    clock = SetClock()
    watch = WallClockWatch(clock)
    with capture_logs() as logged:
        for _ in range(4000):  # 2 s in all
            clock.advance_ms(1000)
            clock.set_by_ns += NS_PER_S // 2000
            assert watch.look() == 0
    assert logged == []


@asynccontextmanager
async def looking(path: Path, troubles: Troubles, metrics: Metrics) -> AsyncIterator[None]:
    watch = Directories({"state": path}, metrics.node, troubles)
    task = asyncio.create_task(watch.keep_looking())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_full_disk_is_a_trouble_until_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probes, "_DIRECTORIES_EVERY_S", 0.05)
    troubles, metrics = Troubles(), Metrics("0")
    with small_disk(tmp_path / "state", "64k") as place, capture_logs() as logged:
        async with looking(place, troubles, metrics):
            await wait_until(
                lambda: scraped(metrics).value("bridge_directory_refused", directory="state") == 0
            )
            fill(place)
            words = f"{place} (state) takes no files: No space left on device"
            await wait_until(lambda: troubles.words == [words])
            assert scraped(metrics).value("bridge_directory_refused", directory="state") == 1
            (place / "filler").unlink()
            await wait_until(lambda: troubles.words == [])
    assert scraped(metrics).value("bridge_directory_refused", directory="state") == 0
    assert [each["event"] for each in logged] == ["directory_refuses"]


async def test_a_place_that_is_no_directory_is_a_trouble(tmp_path: Path) -> None:
    troubles = Troubles()
    (tmp_path / "state").write_text("a file")
    async with looking(tmp_path / "state", troubles, Metrics("0")):
        await wait_until(lambda: troubles.words)
    assert list(troubles.words) == [f"{tmp_path / 'state'} (state) takes no files: Not a directory"]


async def test_a_directory_that_is_not_there_yet_is_no_trouble_and_is_not_made(
    tmp_path: Path,
) -> None:
    metrics = Metrics("0")
    async with looking(tmp_path / "not" / "yet", Troubles(), metrics):
        await wait_until(
            lambda: scraped(metrics).value("bridge_directory_refused", directory="state") == 0
        )
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("days_left", "says"), [(-1, "has ended on"), (13, "ends on"), (15, None)])
async def test_a_certificate_that_ends_is_a_trouble(
    days_left: int, says: str | None, tmp_path: Path
) -> None:
    path, _ = make_certificate(tmp_path, days_left=days_left)
    troubles, metrics, clock = Troubles(), Metrics("0"), SystemClock()
    certificate = ConsoleCertificate(path, clock, metrics.node, troubles)
    ends_s = scraped(metrics).value("bridge_certificate_expiry_timestamp_seconds", of="console")
    assert ends_s - clock.wall_ns() / NS_PER_S == pytest.approx(days_left * 86_400, abs=60)
    looking = asyncio.create_task(certificate.keep_looking())
    await asyncio.sleep(0)
    looking.cancel()
    assert [f"certificate {says} " in each for each in troubles.words] == ([True] if says else [])


async def test_a_port_without_tls_has_no_certificate_to_look_after() -> None:
    metrics = Metrics("0")
    await ConsoleCertificate(None, SystemClock(), metrics.node, Troubles()).keep_looking()
    body, _ = metrics.render()
    assert b"bridge_certificate_expiry_timestamp_seconds{" not in body
