"""A gateway with too few file descriptors: it promises what it can hold, and takes the blame."""

import resource
from pathlib import Path

import psutil
import pytest

from bridge.store.local import LocalRedis
from tests.support.gateways import Gateway, serving, write_dialplan

pytestmark = [pytest.mark.sip, pytest.mark.redis]

OF_THE_WHEEL = 4
"""Calls that the pip wheel of PJSIP holds."""


def limit_of(gateway: Gateway) -> tuple[int, int]:
    process = psutil.Process(gateway.process.pid)
    return process.rlimit(resource.RLIMIT_NOFILE)


def test_a_low_soft_limit_is_raised(simulator: str, redis: LocalRedis, tmp_path: Path) -> None:
    dialplans = write_dialplan(tmp_path / "dialplans")
    with serving(tmp_path, simulator, dialplans, redis_url=redis.url, files=(100, 4000)) as gateway:
        assert int(gateway.process.ready["max_calls"]) == OF_THE_WHEEL
        soft, hard = limit_of(gateway)
        assert 200 < soft <= hard == 4000
        told = [each["event"] for each in gateway.process.logged]
        assert "calls_limited_by_descriptors" not in told


def test_calls_without_descriptors_are_not_promised(
    simulator: str, redis: LocalRedis, tmp_path: Path
) -> None:
    dialplans = write_dialplan(tmp_path / "dialplans")
    with serving(tmp_path, simulator, dialplans, redis_url=redis.url, files=(100, 140)) as gateway:
        promised = int(gateway.process.ready["max_calls"])
        (told,) = (
            each
            for each in gateway.process.logged
            if each["event"] == "calls_limited_by_descriptors"
        )
    assert 1 <= promised < OF_THE_WHEEL
    assert (told["calls"], told["promised"], told["limit"]) == (promised, OF_THE_WHEEL, 140)
    assert int(str(told["needed"])) > 140
    assert f"ulimit -n) to {told['needed']}, or set sip.max_calls to {promised}" in str(
        told["remedy"]
    )
