"""Calls on an arm that is reached as Azure or a gateway before it wants it: header, query, mTLS.

The service is `bridge simulate` behind TLS, which wants a client's certificate, the key in a header
and what else a door may demand; between it and the gateway stands a proxy that wants credentials.
Afterwards everything that was written is searched for each secret.
"""

import asyncio
import json
import ssl
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bridge.audio.resample import downsample_whole
from bridge.simulator.scenario import default_scenario
from bridge.speech.synthesis import Synthesizer
from bridge.store.local import LocalRedis
from tests.app.test_secrets_stay_secret import everything_in, files_in, found_in
from tests.session.test_access_reader import put_unnoticed
from tests.support.certificates import Authority
from tests.support.gateways import PLAIN_AGENT, CallsInRedis, Gateway, serving, write_dialplan
from tests.support.http_proxy import http_proxy
from tests.support.processes import Running, running
from tests.support.rtp_caller import RtpCaller

pytestmark = [pytest.mark.sip, pytest.mark.redis, pytest.mark.speech, pytest.mark.timeout(120)]

FIRST_KEY, NEXT_KEY = "Zebra0451-Quagga7788", "Okapi2029-Lemur6502"
GATEWAY_KEY = "Gnu5150/Tapir3141"
SIGNATURE = "Dugong8086+Civet6809"
PROXY_CREDENTIALS = "gateway:Serval4004"
SECRETS = {FIRST_KEY, NEXT_KEY, GATEWAY_KEY, SIGNATURE, PROXY_CREDENTIALS}
ADMIN_SECRET = "Axolotl6581"
ENVIRON = {"GATEWAY_KEY": GATEWAY_KEY, "SIGNATURE": SIGNATURE, "PROXY": PROXY_CREDENTIALS}
DOOR = {
    "path": "/openai/realtime",
    "auth": "header",
    "headers": {"X-Gateway-Key": GATEWAY_KEY, "OpenAI-Project": "proj-*"},
    "query": {"api-version": "2025-04-01-preview", "sig": SIGNATURE},
    "model_parameter": "deployment",
    "refuses_at_upgrade": True,
}
QUESTION = "Where is my order?"


@dataclass(frozen=True)
class Azure:
    """The service, and what a client of it needs.

    Attributes:
        key_file: holds the key that the service takes.
    """

    process: Running
    authority: Authority
    client: tuple[Path, Path]
    directory: Path

    @property
    def url(self) -> str:
        return self.process.ready["url"]

    @property
    def key_file(self) -> Path:
        return self.directory / "key"

    def arm(self, **fields: object) -> dict[str, object]:
        """Return the settings of an arm that may come in."""
        return {
            "url": self.url,
            "api_key_env": None,
            "api_key_file": str(self.key_file),
            "auth": "header",
            "headers": {"X-Gateway-Key": {"env": "GATEWAY_KEY"}, "OpenAI-Project": "proj-1"},
            "query": {"api-version": "2025-04-01-preview", "sig": {"env": "SIGNATURE"}},
            "model_parameter": "deployment",
            "ca_file": str(self.authority.cert_file),
            "client_cert_file": str(self.client[0]),
            "client_key_file": str(self.client[1]),
            **fields,
        }

    async def take_keys(self, *keys: str) -> None:
        """Have the service take these keys from the next client on."""
        await self._admin("PUT", "scenario", scenario(*keys))

    async def drop_next_audio(self) -> None:
        """Have the service break the connection at its next piece of audio."""
        await self._admin("POST", "faults", {"at": "audio", "kind": "drop"})

    async def _admin(self, method: str, what: str, body: object) -> None:
        url = self.url.replace("wss://", "https://").removesuffix("/openai/realtime")
        asked = urllib.request.Request(
            f"{url}/admin/{what}",
            json.dumps(body).encode(),
            {"X-Simulator-Admin": ADMIN_SECRET, "Content-Type": "application/json"},
            method=method,
        )
        tls = ssl.create_default_context(cafile=self.authority.cert_file)
        tls.load_cert_chain(*self.client)

        def ask() -> int:
            with urllib.request.urlopen(asked, context=tls, timeout=30.0) as answer:
                return int(answer.status)

        assert await asyncio.to_thread(ask) in (200, 201)


def scenario(*keys: str) -> dict[str, Any]:
    made = default_scenario().model_dump(mode="json", by_alias=True)
    return {**made, "keys": list(keys), "door": DOOR}


@pytest.fixture
def azure(tmp_path: Path) -> Iterator[Azure]:
    """A service with its own authority, that knows the first key alone."""
    place = tmp_path / "azure"
    authority = Authority(place)
    cert, key = authority.sign("server")
    both = place / "both.pem"
    both.write_bytes(cert.read_bytes() + key.read_bytes())
    (place / "scenario.json").write_text(json.dumps(scenario(FIRST_KEY)))
    (place / "key").write_text(f"{FIRST_KEY}\n")
    with running(
        *("simulate", "--json", "--scenario", str(place / "scenario.json")),
        *("--cert", str(both), "--client-ca", str(authority.cert_file)),
        directory=place,
        SIMULATOR_ADMIN_SECRET=ADMIN_SECRET,
    ) as process:
        yield Azure(process, authority, authority.sign("bridge"), place)


def gateway_on(
    azure: Azure, redis: LocalRedis, directory: Path, stack: ExitStack, **arm: object
) -> Gateway:
    """Run a gateway whose one arm is the service."""
    return stack.enter_context(
        serving(
            directory,
            azure.url,
            write_dialplan(directory / "dialplans", {**PLAIN_AGENT, "greeting": "Hello there."}),
            redis_url=redis.url,
            environ=ENVIRON,
            arms={"local": azure.arm(**arm)},
            telemetry={"log_level": "debug", "reveal_pii": True},
            session={"wire_log_dir": str(directory / "wire")},
        )
    )


async def ask(caller: RtpCaller) -> None:
    speech = await asyncio.to_thread(Synthesizer("en-us", 150).say, QUESTION)
    caller.speak(downsample_whole(speech))


async def search(gateway: Gateway, redis: LocalRedis, directory: Path) -> None:
    """Hold everything that the gateway wrote against the secrets."""
    written = {
        "logs": gateway.process.stderr,
        "metrics": (await gateway.get("/metrics"))[1],
        "health": (await gateway.get("/readyz"))[1],
        "redis": await everything_in(redis),
        **files_in(gateway.recordings),
        **files_in(directory / "wire"),
    }
    assert any(name.endswith(".jsonl") for name in written)
    assert "phase_changed" in written["logs"]
    assert found_in(written, SECRETS) == []


@pytest.mark.parametrize("credentials", ["direct", "token"])
async def test_a_call_on_an_arm_like_azures_through_a_proxy(
    azure: Azure, redis: LocalRedis, tmp_path: Path, credentials: str
) -> None:
    async with http_proxy() as proxy, CallsInRedis(redis.url) as calls:
        proxy.credentials = PROXY_CREDENTIALS
        way = {"proxy": proxy.url, "proxy_credentials": {"env": "PROXY"}}
        with ExitStack() as stack:
            gateway = await asyncio.to_thread(
                lambda: gateway_on(azure, redis, tmp_path, stack, credentials=credentials, **way)
            )
            async with RtpCaller(gateway.sip_port) as caller:
                assert await caller.call() == 200
                call_id = await calls.until_active(gateway.node)
                assert await calls.until_spoken(call_id, "agent") == "Hello there."
                await ask(caller)
                assert "order" in await calls.until_spoken(call_id, "caller")
                await calls.until_spoken(call_id, "agent", 2)
                await caller.hang_up()
                await calls.until_ended(call_id)
            record = await gateway.record_of(call_id)
            await search(gateway, redis, tmp_path)
    assert record["outcome"] == "completed"
    # The session, tokens and the list of models: all of it, in tunnels.
    assert len(proxy.asked) >= (3 if credentials == "direct" else 4)
    assert all(head.startswith("CONNECT 127.0.0.1:") for head in proxy.asked)
    assert found_in({"proxy": "".join(proxy.asked)}, SECRETS - {PROXY_CREDENTIALS}) == []


@pytest.mark.parametrize("noticed", [True, False])
async def test_a_key_is_rotated_while_a_call_goes_on(
    azure: Azure, redis: LocalRedis, tmp_path: Path, noticed: bool
) -> None:
    """The old key is refused from the reconnection on; the file has the new one.

    Where its change can't be noticed by the file's stamp, the refusal has it read anew.
    """
    async with CallsInRedis(redis.url) as calls:
        with ExitStack() as stack:
            gateway = await asyncio.to_thread(lambda: gateway_on(azure, redis, tmp_path, stack))
            async with RtpCaller(gateway.sip_port) as caller:
                assert await caller.call() == 200
                call_id = await calls.until_active(gateway.node)
                await calls.until_spoken(call_id, "agent")
                await azure.take_keys(NEXT_KEY)
                await azure.drop_next_audio()
                if noticed:
                    await asyncio.to_thread(azure.key_file.write_text, f"{NEXT_KEY}\n")
                else:
                    key = NEXT_KEY.ljust(len(FIRST_KEY)) + "\n"
                    await asyncio.to_thread(put_unnoticed, azure.key_file, key)
                await ask(caller)
                await calls.until_told(call_id, "session_restored")
                await calls.until_spoken(call_id, "agent", 2)
                await caller.hang_up()
                await calls.until_ended(call_id)
            record = await gateway.record_of(call_id)
            await search(gateway, redis, tmp_path)
            log = gateway.process.stderr
    assert record["outcome"] == "completed"
    assert ("http_401" in log) is not noticed
    assert "arm.access_renewed" in log


@pytest.mark.parametrize(
    ("arm", "code", "setting"),
    [
        ({"headers": {}}, "http_401", "arms.local.headers"),
        ({"query": {"api-version": "2024-10-01"}}, "http_401", "arms.local.headers"),
        ({"ca_file": None}, "tls", "arms.local.ca_file"),
        ({"proxy": "http://127.0.0.1:9"}, "proxy_unreachable", "arms.local.proxy"),
    ],
)
async def test_a_way_that_is_closed_is_a_connection_that_failed(
    azure: Azure,
    redis: LocalRedis,
    tmp_path: Path,
    arm: dict[str, object],
    code: str,
    setting: str,
) -> None:
    async with CallsInRedis(redis.url):
        dialplans = write_dialplan(tmp_path / "dialplans", {**PLAIN_AGENT, "greeting": "Hello."})
        with serving(
            tmp_path,
            azure.url,
            dialplans,
            preflight=False,
            redis_url=redis.url,
            environ=ENVIRON,
            arms={"local": azure.arm(**arm)},
            telemetry={"log_level": "debug", "reveal_pii": True},
        ) as gateway:
            async with RtpCaller(gateway.sip_port) as caller:
                assert await caller.call("support", 30.0) == 503
            (record,) = await gateway.records(1)
            log = gateway.process.stderr
            metrics = (await gateway.get("/metrics"))[1]
    assert record["outcome"] == "session_unavailable"
    assert code in log
    assert setting in log
    assert f'code="{code}"' in metrics or f'reason="{code}"' in metrics
    written = {"logs": log, "metrics": metrics, "record": json.dumps(record)}
    assert found_in(written, SECRETS) == []
