"""A gateway that registers with a trunk is ready with it, and gone from it in a drain."""

import signal
from pathlib import Path

import pytest

from bridge.store.local import LocalRedis
from tests.support.digest import read
from tests.support.gateways import serving, write_dialplan
from tests.telephony.trunk_far_end import SECRET, TrunkFarEnd, challenge, credentials_of, judge

pytestmark = [pytest.mark.sip, pytest.mark.redis]

TRUNK = "127.0.0.2"


async def test_a_node_is_ready_while_it_is_registered_and_unregisters_in_a_drain(
    simulator: str, redis: LocalRedis, tmp_path: Path
) -> None:
    async with TrunkFarEnd(0, TRUNK) as far:
        trunk = {
            "addresses": [TRUNK],
            "credentials": {"username": "acme", "secret_env": "CARRIER_SECRET"},
            "registration": {"registrar": f"sip:{TRUNK}:{far.port}", "needed_for_ready": True},
        }
        with serving(
            *(tmp_path, simulator, write_dialplan(tmp_path / "dialplans")),
            redis_url=redis.url,
            environ={"CARRIER_SECRET": SECRET},
            sip={"trunks": {"carrier": trunk}, "log_level": 6},
            telemetry={"log_level": "debug"},
        ) as gateway:
            far.server_port = gateway.sip_port
            bare = await far.request("REGISTER")
            await gateway.until_ready(503, "not registered with carrier")
            far.answer(bare, "401 Prove It", (f"WWW-Authenticate: {challenge()}",))
            signed = await far.request("REGISTER", 1)
            assert judge(signed) == "SHA-256"
            far.answer(signed, "200 OK", (f"Contact: {signed.header('Contact')};expires=600",))
            await gateway.until_ready(200)
            metrics = await gateway.metrics()
            assert metrics.value("bridge_trunk_registered", trunk="carrier") == 1
            answers = {"trunk": "carrier", "code": "200"}
            assert metrics.value("bridge_trunk_register_answers_total", **answers) == 1

            gateway.process.tell(signal.SIGTERM)
            gone = await far.request("REGISTER", 2)
            assert gone.header("Expires") == "0"
            far.answer(gone, "200 OK")
            assert await gateway.process.ended() == 0
    response = read(credentials_of(signed))["response"]
    written = "\n".join(everything_in(tmp_path))
    assert "trunk_registered" in written
    assert SECRET not in written
    assert response not in written


def everything_in(directory: Path) -> list[str]:
    return [path.read_text("latin-1") for path in directory.rglob("*") if path.is_file()]
