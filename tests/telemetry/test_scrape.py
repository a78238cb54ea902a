"""Reading back what the bridge itself publishes."""

import math

from bridge.clock import NS_PER_MS
from bridge.telemetry.labels import Path
from bridge.telemetry.metrics import Metrics
from bridge.telemetry.scrape import Scrape

ADDED = "bridge_added_latency_seconds"


def scrape(metrics: Metrics) -> Scrape:
    return Scrape.parse(metrics.render()[0].decode())


def add(metrics: Metrics, path: Path, *delays_ms: int, arm: str = "local") -> None:
    for ms in delays_ms:
        metrics.media.added_latency(arm, path, ms * NS_PER_MS)


def test_quantile_is_the_bound_of_its_bucket() -> None:
    metrics = Metrics("0")
    add(metrics, Path.UPLINK, *[4] * 94, *[45] * 6)
    add(metrics, Path.DOWNLINK, 35)

    seen = scrape(metrics)

    assert seen.quantile_s(ADDED, 0.5, path="uplink") == 0.005
    assert seen.quantile_s(ADDED, 0.95, path="uplink") == 0.05
    assert seen.quantile_s(ADDED, 0.95, path="downlink") == 0.04


def test_quantile_takes_all_series_that_have_the_labels() -> None:
    metrics = Metrics("0")
    add(metrics, Path.UPLINK, 4, 4, 4, arm="one")
    add(metrics, Path.UPLINK, 45, arm="two")

    assert scrape(metrics).quantile_s(ADDED, 0.75, path="uplink") == 0.005
    assert scrape(metrics).quantile_s(ADDED, 1.0, path="uplink") == 0.05


def test_beyond_the_last_bound_is_infinite() -> None:
    metrics = Metrics("0")
    metrics.loop_lag(3600 * 1000 * NS_PER_MS)

    assert scrape(metrics).quantile_s("bridge_loop_lag_seconds", 0.99) == math.inf


def test_without_samples_there_is_no_quantile() -> None:
    seen = scrape(Metrics("0"))

    assert math.isnan(seen.quantile_s("bridge_loop_lag_seconds", 0.99))
    assert math.isnan(seen.quantile_s("no_such_histogram", 0.99))
    assert seen.value("no_such_counter") == 0


def test_between_two_scrapes_only_what_came_later_counts() -> None:
    metrics = Metrics("0")
    add(metrics, Path.UPLINK, *[180] * 50)
    before = scrape(metrics)
    add(metrics, Path.UPLINK, *[4] * 10)

    between = scrape(metrics).since(before)

    assert between.value(f"{ADDED}_count", path="uplink") == 10
    assert between.quantile_s(ADDED, 1.0, path="uplink") == 0.005
