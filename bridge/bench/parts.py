"""The benchmark's processes: each a `bridge` command, started tied to this one.

They are stopped by the stack that they are put on, in the reverse order.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bridge.config.models import load_models
from bridge.errors import InfrastructureError
from bridge.processes.child import Child
from bridge.processes.http import get
from bridge.processes.load import load_dialplan
from bridge.processes.simulator import place_of, with_backend
from bridge.processes.starter import Starter, write_yaml
from bridge.processes.usage import ProcessUsage, usage_of
from bridge.simulator.light import STATS_PATH
from bridge.telemetry.scrape import Scrape

KEY = "sk-sim-bench"
CALLED = "bench"
_ARM = "light"
KEY_VARIABLE = "BENCH_REALTIME_KEY"
_WITHOUT_END = 1_000_000
_ANSWER_WITHIN_S = 60.0
"""Beyond the time that an order itself takes: an INVITE is given up after 32 s."""

_ANSWERS_WITHIN_S = 15.0
"""A process at the end of its strength is slow to answer with its figures."""


@dataclass(frozen=True, slots=True)
class Peer:
    """The light Realtime server."""

    child: Child
    url: str

    async def heard_ms(self) -> float:
        """Return how much caller audio it has got, of all calls."""
        parts = urlsplit(self.url)
        try:
            stats = json.loads(await get(f"http://{parts.netloc}{STATS_PATH}", _ANSWERS_WITHIN_S))
        except (OSError, TimeoutError, ValueError) as error:
            raise InfrastructureError("the light Realtime server tells no figures") from error
        return float(stats["audio_ms"])


@dataclass(frozen=True, slots=True)
class BenchTarget:
    """The process that takes the calls.

    Attributes:
        server: host and port of its SIP socket.
        max_calls: that its PJSIP holds.
        http: where its metrics are; None: it has none.
        tls_server: host and port of its TLS socket; "" where it has none.
    """

    name: str
    child: Child
    server: str
    max_calls: int
    pjsip: str = ""
    ports: str = ""
    http: str | None = None
    tls_server: str = ""

    def usage(self) -> ProcessUsage:
        """Return what it has used up to now."""
        return usage_of(self.child.pid)

    async def scrape(self) -> Scrape | None:
        """Return what it says of itself; None if it has no metrics.

        Raises:
            InfrastructureError: it should answer, and doesn't.
        """
        if self.http is None:
            return None
        try:
            return Scrape.parse(await get(f"{self.http}/metrics", _ANSWERS_WITHIN_S))
        except (OSError, TimeoutError) as error:
            raise InfrastructureError(f"{self.child.name} gives no metrics: {error!r}") from error


class CallersProcess:
    """The load; see :mod:`bridge.bench.callers` for the orders."""

    def __init__(self, child: Child) -> None:
        self._child = child

    async def hold(self, calls: int, rate: float) -> Mapping[str, object]:
        """Ramp up to so many calls."""
        return await self._do(calls / rate, do="hold", calls=calls, rate=rate)

    async def measure(self, seconds: float) -> Mapping[str, object]:
        """Listen."""
        return await self._do(seconds, do="measure", s=seconds)

    async def churn(
        self, calls: int, rate: float, each_s: float, most: int
    ) -> Mapping[str, object]:
        """Place short calls, ``most`` at once."""
        takes_s = max(calls / rate, calls / most * each_s) + each_s
        return await self._do(
            2 * takes_s, do="churn", calls=calls, rate=rate, each_s=each_s, most=most
        )

    async def begin_churn(self, rate: float, each_s: float, most: int) -> None:
        """Place short calls until :meth:`end`."""
        order = {"do": "churn", "calls": _WITHOUT_END, "rate": rate, "each_s": each_s}
        await self._child.send_order({**order, "most": most})

    async def end(self) -> Mapping[str, object]:
        """Hang up, all of them; return what became of the calls since the last ``hold`` or churn.

        A churn that goes on is over.
        """
        return await self._do(0.0, do="end")

    async def _do(self, takes_s: float, **order: object) -> Mapping[str, object]:
        await self._child.send_order(order)
        return await self._child.report(takes_s + _ANSWER_WITHIN_S)


class BenchParts(Starter):
    """Starts the processes of a benchmark."""

    async def floor(self) -> BenchTarget:
        """Start the floor."""
        child = await self.start("the floor", "bench", "floor")
        return _target("floor", child, await self.ready(child))

    async def plain(self, peer: Peer, dialect: str) -> BenchTarget:
        """Start the plain way."""
        child = await self.start(
            "the plain way", "bench", "plain", "--url", peer.url, "--dialect", dialect
        )
        return _target("plain", child, await self.ready(child))

    async def peer(self) -> Peer:
        """Start the light Realtime server."""
        child = await self.start("the light Realtime server", "bench", "peer")
        return Peer(child, str((await self.ready(child))["url"]))

    async def bridge(
        self,
        peer: Peer,
        dialect: str,
        *,
        name: str = "bridge",
        secure: bool = False,
        audio: str = "",
        traces: str = "",
    ) -> BenchTarget:
        """Start the gateway, with a Redis of its own and a dialplan that records nothing.

        Args:
            peer: its Realtime server, in `dialect`.
            name: of the target.
            secure: it is called over TLS, and takes nothing but SRTP.
            audio: of its arm; "" for the default.
            traces: URL of a collector that all calls are traced to; "" for none.
        """
        arm: dict[str, object] = {
            **with_backend(dialect),
            "dialect": dialect,
            "url": place_of(peer.url, dialect),
            "model": load_models().newest(dialect),
            "api_key_env": KEY_VARIABLE,
        }
        if audio:
            arm["audio"] = audio
        dialplan = load_dialplan("bench", called="*", arm=_ARM)
        place = self.directory("bridge-bench-")
        settings = {"TRACING_ENDPOINT": traces} if traces else {}
        if secure:
            cert_file, key_file = _make_certificate(place)
            tls = {"port": 0, "cert_file": str(cert_file), "key_file": str(key_file)}
            trunk = {"addresses": "127.0.0.1", "transport": "tls", "srtp": "required"}
            settings |= {"SIP_TLS": json.dumps(tls), "SIP_TRUNKS": json.dumps({CALLED: trunk})}
        target = await self.target(place, [dialplan], {_ARM: arm}, settings)
        return replace(target, name=name)

    async def target(
        self,
        place: Path,
        dialplans: Sequence[Mapping[str, object]],
        arms: Mapping[str, object],
        settings: Mapping[str, str] | None = None,
        *,
        log_path: Path | None = None,
    ) -> BenchTarget:
        """Start the gateway; its records go to ``place/recordings``.

        Args:
            place: a directory of its own.
            dialplans: as their files would have them.
            arms: as the settings would; their key is in ``KEY_VARIABLE``.
            settings: more of them, without ``BRIDGE_``.
            log_path: where its log is kept.
        """
        for dialplan in dialplans:
            write_yaml(place / "dialplans" / f"{dialplan['name']}.yaml", dialplan)
        chosen = {
            "DIALPLANS_DIR": str(place / "dialplans"),
            "ARMS": json.dumps(arms),
            "SIP_HOST": "127.0.0.1",
            "SIP_PORT": "0",
            "SIP_MAX_CALLS": "1024",
            "HTTP_PORT": "0",
            "MEDIA_RECORDINGS_DIR": str(place / "recordings"),
            "TELEMETRY_LOG_FORMAT": "json",
            **(settings or {}),
        }
        child, ready = await self.gateway(chosen, variables={KEY_VARIABLE: KEY}, log_path=log_path)
        return _target("bridge", child, ready)

    async def callers(self, target: BenchTarget, *, secure: bool = False) -> CallersProcess:
        """Start callers for one target; ``secure`` ones call over TLS, with SRTP."""
        server, options = (target.tls_server, ["--secure"]) if secure else (target.server, [])
        child = await self.start(
            *("the callers", "bench", "callers", server, *options), takes_orders=True
        )
        return CallersProcess(child)


def _target(name: str, child: Child, ready: Mapping[str, object]) -> BenchTarget:
    http, tls = ready.get("http"), ready.get("sip_tls")
    return BenchTarget(
        name=name,
        child=child,
        server=str(ready["sip"]).removeprefix("sip:"),
        max_calls=int(str(ready["max_calls"])),
        pjsip=str(ready.get("pjsip", "")),
        ports=str(ready.get("ports", "")),
        http=None if http is None else str(http),
        tls_server="" if tls is None else str(tls).removeprefix("sip:").partition(";")[0],
    )


def _make_certificate(directory: Path) -> tuple[Path, Path]:
    """Write a certificate for 127.0.0.1 that ends tomorrow, and its key; return their paths."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = directory / "cert.pem", directory / "key.pem"
    cert_file.write_bytes(certificate.public_bytes(Encoding.PEM))
    encoded = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    key_file.write_bytes(encoded)
    return cert_file, key_file
