"""The end of an arm's model, as its service says it, comes to /metrics."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime

import pytest
from structlog.testing import capture_logs

from bridge.app.dialplans.arms import make_arms
from bridge.app.dialplans.plans import Dialplans
from bridge.app.gateway import Gateway
from bridge.app.watches.ends import Sunsets
from bridge.clock import NS_PER_S, ManualClock, SystemClock
from bridge.config.models import load_models
from bridge.config.settings import MediaSettings, Settings
from bridge.session.access_reader import read_access
from bridge.simulator.scenario import Models
from bridge.simulator.server import SimulatorServer
from bridge.store.local import start_local_redis
from bridge.telemetry.metrics import Metrics
from bridge.telemetry.scrape import Scrape
from tests.simulator.conftest import paced
from tests.support.waiting import wait_until

pytestmark = pytest.mark.speech

NOW_S = datetime(2026, 11, 21, tzinfo=UTC).timestamp()
NAME = "bridge_arm_shutdown_timestamp_seconds"


@asynccontextmanager
async def service(**dates: date | None) -> AsyncIterator[str]:
    """Give the URL of a simulator whose models end so."""
    listed = {name.replace("_", "-").replace("-2-1", "-2.1"): day for name, day in dates.items()}
    scenario = paced().model_copy(update={"models": Models(shutdown_dates=listed)})
    server = SimulatorServer(scenario)
    try:
        yield await server.start()
    finally:
        await server.aclose()


def settings_of(url: str, **arm: object) -> Settings:
    return Settings.model_validate(
        {
            "arms": {"local": {"url": url, "api_key_env": "KEY", **arm}},
            "sip": {"host": "127.0.0.1", "port": 0},
            "http": {"port": 0},
        }
    )


def ends(metrics: Metrics, model: str) -> float:
    return Scrape.parse(metrics.render()[0].decode()).value(NAME, arm="local", model=model)


async def test_the_service_stands_above_the_table_and_a_near_end_is_said_once_more() -> None:
    metrics, clock = Metrics("test"), ManualClock(wall_ns=round(NOW_S) * NS_PER_S)
    table = load_models()
    async with service(gpt_realtime_2_1=date(2027, 1, 2), gpt_realtime=None) as url:
        settings = settings_of(url, legacy_model="gpt-realtime").realtime_arms
        access = read_access(settings, {"KEY": "sk-sim-1"})
        arms = make_arms(settings, access, table, clock, lambda *told: None)
        asking = Sunsets(arms, settings, access, table, clock, metrics.set_shutdown)
        metrics.set_shutdown("local", "gpt-realtime", date(2027, 1, 20))  # by the table
        with capture_logs() as logs:
            await asking._ask("local")
    midnight = datetime(2027, 1, 2, tzinfo=UTC).timestamp()
    assert ends(metrics, "gpt-realtime-2.1") == midnight
    assert ends(metrics, "gpt-realtime") == datetime(2027, 1, 20, tzinfo=UTC).timestamp()
    assert [(line["event"], line["model"]) for line in logs] == [
        ("arm.model_ends", "gpt-realtime-2.1")
    ]


@pytest.mark.sip
@pytest.mark.redis
async def test_a_gateway_asks_at_its_start_and_again_later(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.app.watches.ends.MODELS_EVERY_S", 0.05)
    with start_local_redis(tmp_path_factory.mktemp("r")) as redis:
        async with service(gpt_realtime_2_1=date(2030, 5, 1)) as url:
            recordings = MediaSettings(recordings_dir=tmp_path_factory.mktemp("recordings"))
            settings = settings_of(url).model_copy(update={"media": recordings})
            gateway = Gateway(
                settings,
                Dialplans((), {}),
                read_access(settings.realtime_arms, {"KEY": "sk-sim-1"}),
                redis.url,
                SystemClock(),
                version="test",
            )
            try:
                await gateway.start(preflight=False)
                day = datetime(2030, 5, 1, tzinfo=UTC).timestamp()

                def is_known() -> bool:
                    return ends(gateway.metrics, "gpt-realtime-2.1") == day

                await wait_until(is_known, "the service was not asked")
                gateway.metrics.set_shutdown("local", "gpt-realtime-2.1", date(2031, 1, 1))
                await wait_until(is_known, "the service was asked only once")
            finally:
                await gateway.stop()
