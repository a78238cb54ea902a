"""What is broken on a :class:`~tests.support.broken_machine.Stage`, one thing a play."""

import asyncio
import resource
import signal
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import psutil
import redis
from redis.exceptions import RedisError

from tests.support.breakages import (
    WallClock,
    fill,
    mount,
    no_new_descriptor,
    piped,
    small_disk,
    taken_cpu,
)
from tests.support.broken_machine import Stage
from tests.support.certificates import make_certificate
from tests.support.gateways import Gateway
from tests.support.processes import running

Play = Callable[[Stage], Awaitable[None]]

STOPPED_S = 5.0
"""Longer than a caller takes for a pause."""

SLOW_S = 2.5
"""Longer than `redis.connect_timeout_s`."""

HOUR_S = 3600

TAKEN_S = 15.0
GIVEN_UP_S = 60.0
"""More than a dialplan's `recovery` takes."""

BURNERS = 40


def admin(stage: Stage, password: str | None = None) -> "redis.Redis":
    """Return a client with which the Redis itself is changed."""
    return redis.Redis(port=stage.redis.port, password=password)


async def _broken_call(stage: Stage, break_: Callable[[], object], *, new: bool = True) -> None:
    """Have something break in a call, look who is told, and what a new caller gets."""
    async with stage.talk() as talk:
        break_()
        await stage.goes_on(talk)
    if new:
        await stage.new_call()
    await stage.look()


async def disk_full(stage: Stage) -> None:
    with small_disk(stage.recordings):
        stage.redis.start()
        async with stage.gateway():
            await _broken_call(stage, lambda: fill(stage.recordings))


async def disk_read_only(stage: Stage) -> None:
    with small_disk(stage.recordings):
        stage.redis.start()
        async with stage.gateway():
            _read_only(stage.recordings)  # refused while a call has a file open there
            await _broken_call(stage, lambda: None)


def _read_only(place: Path) -> None:
    assert mount("-o", "remount,ro", str(place))


async def state_dir_read_only(stage: Stage) -> None:
    stage.redis.start()
    with small_disk(stage.state):
        _read_only(stage.state)
        async with stage.gateway():
            await _broken_call(stage, lambda: None)


async def recordings_read_only_at_start(stage: Stage) -> None:
    stage.redis.start()
    with small_disk(stage.recordings):
        _read_only(stage.recordings)
        await stage.no_gateway()


async def few_descriptors_at_start(stage: Stage) -> None:
    stage.redis.start()
    async with stage.gateway(files=(100, 140)):
        await _broken_call(stage, lambda: None)


async def no_descriptor_left(stage: Stage) -> None:
    stage.redis.start()
    async with stage.gateway() as gateway:
        pid = gateway.process.pid
        async with stage.talk() as talk:
            with no_new_descriptor(pid):
                await stage.goes_on(talk)
                await stage.new_call()  # while the call has its own descriptors
                await stage.until_alerts()
        await stage.look()


def _no_more_memory(gateway: Gateway) -> None:
    """Take what a process has for all that it may ever have."""
    taken = psutil.Process(gateway.process.pid).memory_info().vms
    resource.prlimit(gateway.process.pid, resource.RLIMIT_AS, (taken, taken))


async def no_memory_left(stage: Stage) -> None:
    stage.redis.start()
    async with stage.gateway() as gateway:
        async with stage.talk() as talk:
            _no_more_memory(gateway)
            talk.breaks()
            await talk.ask()
            await talk.until_hung_up(GIVEN_UP_S)
        await stage.new_call()
        await stage.look()


async def redis_never_there(stage: Stage) -> None:
    await stage.no_gateway()


async def redis_never_there_not_required(stage: Stage) -> None:
    async with stage.gateway(redis={"required": False}, redis_runs=False):
        await _broken_call(stage, lambda: None)


async def redis_killed(stage: Stage) -> None:
    stage.redis.start()
    async with stage.gateway():
        await _broken_call(stage, stage.redis.stop)


async def redis_frozen(stage: Stage) -> None:
    stage.redis.start()
    async with stage.gateway():
        await _broken_call(stage, lambda: stage.redis.tell(signal.SIGSTOP))


async def redis_slow(stage: Stage) -> None:
    stage.redis.start()
    with piped(stage.redis.port) as pipe:
        stage.redis_url = f"redis://127.0.0.1:{pipe.port}"
        async with stage.gateway():
            await _broken_call(stage, lambda: setattr(pipe, "delay_s", SLOW_S))


async def redis_out_of_memory(stage: Stage) -> None:
    stage.redis.start("--maxmemory-policy", "noeviction")
    async with stage.gateway():
        await _broken_call(stage, lambda: admin(stage).config_set("maxmemory", 1))


async def redis_replica(stage: Stage) -> None:
    stage.redis.start()
    async with stage.gateway():
        await _broken_call(stage, lambda: admin(stage).replicaof("127.0.0.1", 9))


async def redis_password_changed(stage: Stage) -> None:
    stage.redis.start()

    def change() -> None:
        client = admin(stage)
        client.config_set("requirepass", "another")  # it had none
        with suppress(RedisError):
            client.client_kill_filter(_type="normal", skipme=True)

    async with stage.gateway():
        await _broken_call(stage, change)


async def redis_emptied(stage: Stage) -> None:
    stage.redis.start()
    async with stage.gateway():
        await _broken_call(stage, lambda: admin(stage).flushall())


async def redis_certificate_ended(stage: Stage) -> None:
    good = make_certificate(stage.directory / "good")
    ended = make_certificate(stage.directory / "ended", days_left=-1)
    stage.redis.start(tls=good)
    stage.redis_url = f"rediss://127.0.0.1:{stage.redis.port}?ssl_ca_certs={good[0]}"

    def renew_badly() -> None:
        stage.redis.stop()
        stage.redis.start(tls=ended)

    async with stage.gateway():
        await _broken_call(stage, renew_badly)


async def _clock_set(stage: Stage, by_s: int) -> None:
    clock = WallClock(stage.directory)
    stage.redis.start()
    async with stage.gateway(environ=clock.environ):
        await _broken_call(stage, lambda: clock.set_by(by_s))


async def clock_forward(stage: Stage) -> None:
    await _clock_set(stage, HOUR_S)


async def clock_back(stage: Stage) -> None:
    await _clock_set(stage, -HOUR_S)


async def stopped(stage: Stage) -> None:
    stage.redis.start()
    async with stage.gateway() as gateway:
        async with stage.talk() as talk:
            await talk.ask()
            await talk.until_speaking()
            talk.breaks()
            gateway.process.tell(signal.SIGSTOP)
            try:
                await asyncio.sleep(STOPPED_S)  # what is tried is time itself
            finally:
                gateway.process.tell(signal.SIGCONT)
            await talk.until_answered()
        await stage.new_call()
        await stage.look()


async def _killed(stage: Stage, others: int) -> None:
    stage.redis.start()
    async with stage.gateway(others=others) as gateway:
        async with stage.talk() as talk:
            await talk.ask()
            await talk.until_speaking()
            talk.breaks()
            gateway.process.tell(signal.SIGKILL)
            await talk.until_hung_up()
        await stage.new_call(node=others)
        await stage.look()


async def killed_alone(stage: Stage) -> None:
    await _killed(stage, 0)


async def killed_beside_another(stage: Stage) -> None:
    await _killed(stage, 1)


async def console_certificate_ended(stage: Stage) -> None:
    certificate, key = make_certificate(stage.directory / "console", days_left=-1)
    stage.redis.start()
    async with stage.gateway(
        console={"tls_cert_file": str(certificate), "tls_key_file": str(key)},
        http={"probes_port": 0},
    ):
        await _broken_call(stage, lambda: None)


async def console_key_missing(stage: Stage) -> None:
    certificate, key = make_certificate(stage.directory / "console")
    key.unlink()
    stage.redis.start()
    await stage.no_gateway(
        console={"tls_cert_file": str(certificate), "tls_key_file": str(key)},
    )


async def _service_certificate(stage: Stage, *, days_left: float, known: bool) -> None:
    """Have the service's certificate replaced while a call goes on."""
    good = make_certificate(stage.directory / "good")
    other = make_certificate(stage.directory / "other", days_left=days_left)
    trusted = stage.directory / "trusted.pem"
    trusted.write_bytes(good[0].read_bytes() + (other[0].read_bytes() if known else b""))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*good)
    stage.redis.start()
    with piped(stage.service_port, context) as pipe:
        stage.url = f"wss://127.0.0.1:{pipe.port}/v1/realtime"
        async with stage.gateway(environ={"SSL_CERT_FILE": str(trusted)}):
            await _broken_call(stage, lambda: context.load_cert_chain(*other))


async def service_certificate_ended(stage: Stage) -> None:
    await _service_certificate(stage, days_left=-1, known=True)


async def service_authority_unknown(stage: Stage) -> None:
    await _service_certificate(stage, days_left=1, known=False)


async def service_unreachable(stage: Stage) -> None:
    stage.redis.start()
    with running(
        *("simulate", "--json", "--scenario", str(stage.scenario)),
        directory=stage.directory,
    ) as simulator:
        stage.url = simulator.ready["url"]
        async with stage.gateway():
            async with stage.talk() as talk:
                simulator.tell(signal.SIGKILL)
                talk.breaks()
                await talk.ask()
                await talk.until_hung_up(GIVEN_UP_S)
            await stage.new_call()
            await stage.look()


async def cpu_taken(stage: Stage) -> None:
    stage.redis.start()
    async with stage.gateway() as gateway:
        async with stage.talk() as talk:
            with taken_cpu(gateway.process.pid, BURNERS):
                await stage.goes_on(talk)
                await asyncio.sleep(TAKEN_S)  # what is tried is time itself
        await stage.look()
