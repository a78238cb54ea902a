"""A real Prometheus with the rules of deploy/, on gateways of a test."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import yaml

from tests.deploy.rules import RULE_FILES
from tests.support.ports import free_port
from tests.support.processes import write_yaml
from tests.support.programs import need_program

Json = Any  # what Prometheus answers

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Prometheus:
    """A Prometheus of the test's own."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    async def get(self, path: str, **query: str) -> Json:
        """Return `data` of an answer; None while there is none."""
        return await asyncio.to_thread(_get, f"{self._url}/api/v1/{path}?{urlencode(query)}")

    async def value(self, query: str) -> float | None:
        """Return the first value of an instant query."""
        found = await self.get("query", query=query)
        return float(found["result"][0]["value"][1]) if found and found["result"] else None

    async def firing(self) -> Mapping[str, str]:
        """Return the alerts that fire now, by their summaries."""
        found = await self.get("alerts")
        alerts = [] if found is None else found["alerts"]
        return {
            each["annotations"]["summary"]: each["labels"]["alertname"]
            for each in alerts
            if each["state"] == "firing"
        }


def _get(url: str) -> Json:
    try:
        with urlopen(url, timeout=5.0) as response:
            return json.load(response)["data"]
    except (URLError, ConnectionError, TimeoutError):
        return None


def hurried_rules(directory: Path, most_s: int) -> Path:
    """Write the rules with no ``for:`` longer than told; return a pattern of their files."""
    for path in RULE_FILES:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        for group in content["groups"]:
            for rule in group["rules"]:
                if "for" in rule:
                    rule["for"] = f"{min(_seconds(rule['for']), most_s)}s"
        write_yaml(directory / "rules" / path.name, content)
    return directory / "rules" / "*.yaml"


def _seconds(duration: str) -> int:
    parts = re.findall(r"(\d+)([smhd])", duration)
    assert parts, duration
    return sum(int(number) * _SECONDS[unit] for number, unit in parts)


@asynccontextmanager
async def prometheus(
    directory: Path, targets: Sequence[str], rules: Path | None = None
) -> AsyncIterator[Prometheus]:
    """Run Prometheus on gateways' HTTP ports.

    Args:
        directory: of its files.
        targets: ``http://host:port`` of each gateway, all with one scheme; certificates are not
            looked at.
        rules: pattern of the files; None for those of deploy/ as they are.
    """
    program, port = need_program("prometheus", "prometheus"), free_port()
    scheme = targets[0].partition("://")[0]
    config = write_yaml(
        directory / "prometheus.yaml",
        {
            "global": {"scrape_interval": "500ms", "evaluation_interval": "1s"},
            "rule_files": [str(rules or RULE_FILES[0].parent / "*.yaml")],
            "scrape_configs": [
                {
                    "job_name": "bridge",
                    "scheme": scheme,
                    "tls_config": {"insecure_skip_verify": True},
                    "static_configs": [{"targets": [each.partition("://")[2] for each in targets]}],
                }
            ],
        },
    )
    with (directory / "prometheus.log").open("w", encoding="utf-8") as log:
        process = await asyncio.create_subprocess_exec(
            program,
            f"--config.file={config}",
            f"--storage.tsdb.path={directory / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--enable-feature=exemplar-storage",
            stdout=log,
            stderr=log,
            cwd=directory,
        )
        try:
            yield Prometheus(port)
        finally:
            process.terminate()
            await process.wait()
