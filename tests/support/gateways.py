"""`bridge serve` under test: its settings and dialplan, its records, its metrics."""

import asyncio
import json
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

from bridge.config.settings import RedisSettings
from bridge.store.reader import CallReader
from bridge.telemetry.scrape import Scrape
from tests.support.processes import Running, running, write_yaml
from tests.support.waiting import PATIENCE_S, wait_until

Overrides = Mapping[str, object]
Record = dict[str, Any]  # Any: what tests look at in the call's JSON

ARM = "local"

AUDIO = os.environ.get("TEST_AUDIO", "")
"""The audio of all arms that name none, as in `TEST_AUDIO=pcmu pytest tests/calls`; else theirs."""

PLAIN_AGENT: Overrides = {
    "instructions": "Be brief.",
    "language": "en",
    "turn_detection": {"type": "server_vad", "silence_duration_ms": 500},
    "transcription": {"model": "gpt-transcribe"},
}
"""Waits for the caller; add a greeting or tools."""


def write_dialplan(
    directory: Path,
    agent: Overrides = PLAIN_AGENT,
    *,
    name: str = "test",
    called: str = "*",
    **parts: object,
) -> Path:
    """Write a dialplan, which takes every call unless told otherwise; return the directory."""
    dialplan = {
        "schema": "dialplan/v1",
        "name": name,
        "match": [{"called": called}],
        "arm": ARM,
        "agent": dict(agent),
        **parts,
    }
    write_yaml(directory / f"{name}.yaml", dialplan)
    return directory


def write_settings(
    directory: Path, url: str, dialplans: Path, *, drain_s: float = 60.0, **sections: Overrides
) -> Path:
    """Write settings: loopback, free ports, one arm, no console; ``sections`` laid over."""
    settings: dict[str, dict[str, object]] = {
        "arms": {ARM: {"url": url, "api_key_env": "SIM_KEY"}},
        "sip": {"host": "127.0.0.1", "port": 0},
        "http": {"port": 0},
        "console": {"enabled": False},
        "media": {"recordings_dir": str(directory / "recordings")},
        "telemetry": {"log_format": "json"},
    }
    for name, section in sections.items():
        settings[name] = {**settings.get(name, {}), **section}
    settings["arms"] = {name: with_test_audio(arm) for name, arm in settings["arms"].items()}
    return write_yaml(
        directory / "bridge.yaml", {"dialplans_dir": str(dialplans), "drain_s": drain_s, **settings}
    )


def with_test_audio(arm: object) -> object:
    """Return an arm with the audio of :data:`AUDIO`, unless it names its own, or its server does.

    Its server does by a flavour, and where the arm is a SIP URI.
    """
    if not AUDIO or not isinstance(arm, Mapping) or arm.keys() & {"flavour", "sip"}:
        return arm
    return {"audio": AUDIO, **arm}


class Gateway:
    """A gateway that takes calls."""

    def __init__(self, process: Running, recordings: Path) -> None:
        self.process = process
        self.recordings = recordings
        self.http = process.ready["http"]
        self.probes = process.ready["probes"]
        self.node = process.ready["node"]
        self.sip_port = int(process.ready["sip"].rsplit(":", 1)[1])

    async def get(self, path: str) -> tuple[int, str]:
        """Return status and body of an HTTP GET."""
        return await asyncio.to_thread(_get, self.http + path)

    async def probe(self, path: str) -> tuple[int, str]:
        """Return status and body of a probe, where probes have a port of their own, too."""
        return await asyncio.to_thread(_get, self.probes + path)

    async def until_ready(self, status: int, reason: str = "") -> None:
        """Wait until `/readyz` says so."""

        async def told() -> bool:
            got, body = await self.get("/readyz")
            return got == status and reason in body

        await wait_until(told, f"/readyz did not become {status} {reason}")

    async def until_away(self, reason: str) -> None:
        """Wait until the metrics say why Redis is away."""

        async def told() -> bool:
            return (await self.metrics()).value("bridge_store_away", reason=reason) == 1

        await wait_until(told, f"nobody was told that Redis is away: {reason}")

    async def until_back(self) -> None:
        """Wait until the metrics say that Redis is there, and that nothing waits for it."""

        async def told() -> bool:
            metrics = await self.metrics()
            names = ("bridge_store_away", "bridge_store_pending_writes")
            return [metrics.value(name) for name in names] == [0, 0]

        await wait_until(told, "Redis did not come back")

    async def metrics(self) -> Scrape:
        """Scrape `/metrics`."""
        _, text = await self.probe("/metrics")
        return Scrape.parse(text)

    async def until_active(self, calls: int) -> None:
        """Wait until so many calls are active."""

        async def reached() -> bool:
            return (await self.metrics()).value("bridge_calls_active") == calls

        await wait_until(reached, f"{calls} active calls")

    async def records(self, count: int) -> list[Record]:
        """Wait for the JSON records of ``count`` ended calls; return them."""
        await wait_until(
            lambda: len(self._written()) >= count, f"{count} call records were not written"
        )
        return self._written()

    async def record_of(self, call_id: str) -> Record:
        """Wait for one call's record."""
        path = self.recordings / f"{call_id}.json"
        await wait_until(lambda: _read(path), "the call's record was not written")
        return _read(path) or {}

    def _written(self) -> list[Record]:
        records = (_read(path) for path in sorted(self.recordings.glob("*.json")))
        return [record for record in records if record is not None]


def _read(path: Path) -> Record | None:
    try:
        record: Record = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):  # not there, or half written
        return None
    return record


def _get(url: str) -> tuple[int, str]:
    try:
        with urlopen(url, timeout=PATIENCE_S) as response:
            return response.status, response.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


@contextmanager
def serving(
    directory: Path,
    url: str,
    dialplans: Path,
    *,
    preflight: bool = True,
    redis_url: str | None = None,
    environ: Mapping[str, str] | None = None,
    drain_s: float = 60.0,
    files: tuple[int, int] | None = None,
    **sections: Overrides,
) -> Iterator[Gateway]:
    """Run `bridge serve`; see :func:`write_settings`."""
    settings = write_settings(directory, url, dialplans, drain_s=drain_s, **sections)
    chosen = () if preflight else ("--no-preflight",)
    redis = {} if redis_url is None else {"BRIDGE_REDIS_URL": redis_url}
    variables = {**redis, **(environ or {})}
    with running(
        *("serve", "--config", str(settings), "--json", *chosen),
        directory=directory,
        files=files,
        **variables,
    ) as process:
        yield Gateway(process, directory / "recordings")


class CallsInRedis:
    """What a gateway writes about its calls, read from outside."""

    def __init__(self, url: str) -> None:
        self.reader = CallReader(RedisSettings(), url)

    async def __aenter__(self) -> "CallsInRedis":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.reader.aclose()

    async def until_active(self, node: str) -> str:
        """Wait for a node's one active call; return its id."""
        found: list[str] = []

        async def begun() -> bool:
            for call_id in await self.reader.active():
                state = await self.reader.call(call_id) or {}
                if state.get("node") == node:
                    found.append(call_id)
            return bool(found)

        await wait_until(begun, "no call became active")
        return found[0]

    async def until_idle(self, node: str) -> None:
        """Wait until a node has no call: it tells Redis of their ends a little later."""

        async def idle() -> bool:
            calls = [await self.reader.call(each) or {} for each in await self.reader.active()]
            return all(each.get("node") != node for each in calls)

        await wait_until(idle, "a call was left in Redis")

    async def until_another(self, known: Collection[str]) -> str:
        """Wait for a call that is active and not among the known ones; return its id."""
        found: set[str] = set()

        async def begun() -> bool:
            found.update(set(await self.reader.active()) - set(known))
            return bool(found)

        await wait_until(begun, "no other call became active")
        return found.pop()

    async def until_ended(self, call_id: str) -> dict[str, str]:
        """Wait until a call has ended; return its hash."""
        state: dict[str, str] = {}

        async def ended() -> bool:
            state.update(await self.reader.call(call_id) or {})
            return "ended_at" in state

        await wait_until(ended, "the call did not end in Redis")
        return state

    async def until_told(self, call_id: str, kind: str, times: int = 1) -> list[dict[str, str]]:
        """Wait for so many events of a kind in a call's stream; return all that there are."""
        found: list[dict[str, str]] = []

        async def there() -> bool:
            events = await self.reader.events(call_id)
            found[:] = [fields for _, fields in events if fields["kind"] == kind]
            return len(found) >= times

        await wait_until(there, f"{kind} was not told")
        return found

    async def until_spoken(self, call_id: str, speaker: str, nth: int = 1) -> str:
        """Wait until somebody's turn is over, the agent's as the caller heard it; return its text.

        Args:
            call_id: the call.
            speaker: `caller`, `agent` or `bridge`.
            nth: which of his turns.

        Raises:
            TimeoutError: nobody said anything for 30 s.
        """
        seen, turns = "0", 0
        async with asyncio.timeout(30.0):
            while True:
                for event_id, fields in await self.reader.events(call_id, seen, block_ms=1000):
                    seen = event_id
                    whole = speaker != "agent" or "heard_ms" in fields
                    turns += fields["kind"] == "turn" and fields["speaker"] == speaker and whole
                    if turns == nth:
                        return fields["text"]
