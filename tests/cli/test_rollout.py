"""`bridge rollout set`: caps and overrides at run time, against a real Redis."""

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bridge.cli.rollout import rollout
from bridge.config.settings import RedisSettings
from bridge.store.client import RedisLink
from bridge.store.local import LocalRedis
from bridge.store.rollouts import RolloutStore
from tests.support.processes import write_yaml

pytestmark = pytest.mark.redis


class Site:
    """Settings with one flag, one trunk and one dialplan, and the command line beside them."""

    def __init__(self, directory: Path, url: str) -> None:
        self._url = url
        self._config = write_yaml(
            directory / "bridge.yaml",
            {
                "dialplans_dir": str(directory / "dialplans"),
                "arms": {"old": {"url": "ws://a"}, "new": {"url": "ws://b"}},
                "rollouts": {"f": {"control": "old", "treatment": "new", "caps": {"new": 9}}},
                "sip": {"trunks": {"north": ["192.0.2.1"]}},
            },
        )
        (directory / "dialplans").mkdir()
        write_yaml(
            directory / "dialplans" / "support.yaml",
            {
                "schema": "dialplan/v1",
                "name": "support",
                "match": [{"called": "*"}],
                "rollout": "f",
                "agent": {"instructions": "Be brief."},
            },
        )

    def set(self, *words: str) -> Result:
        return self.run("set", "f", "--author", "me", "--reason", "a test", *words)

    def run(self, *words: str) -> Result:
        command = [*words, "--config", str(self._config), "--redis", self._url, "--json"]
        return CliRunner().invoke(rollout, command, env={"ROLLOUT_KEY": "a secret for tests"})

    def audited(self) -> dict[str, str]:
        async def newest() -> dict[str, str]:
            link = RedisLink(self._url, timeout_s=2)
            [(_, fields)] = await RolloutStore(link, RedisSettings()).audit(1)
            await link.aclose()
            return fields

        return asyncio.run(newest())


@pytest.fixture
def site(tmp_path: Path, redis: LocalRedis) -> Site:
    return Site(tmp_path, redis.url)


def test_caps_and_overrides_are_in_force_and_audited_with_a_version(site: Site) -> None:
    before = json.loads(site.set("--arm", "new=on").stdout)["version"]
    done = site.set(
        "--cap", "new=20", "--override", "route:support=new", "--override", "trunk:n*=old"
    )
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["version"], told["caps"]) == (before + 1, {"new": 20})
    assert told["overrides"] == {"trunk:n*": "old", "route:support": "new"}
    audited = site.audited()
    assert (audited["actor"], audited["target"]) == ("me", "f")
    assert set(json.loads(audited["detail"])["diff"]) >= {"caps", "overrides", "version"}
    [flag] = json.loads(site.run("status").stdout)
    assert flag["arms"]["new"]["cap"] == 20
    assert {"calls": "route:support", "arm": "new"} in flag["overrides"]
    explained = json.loads(site.run("explain", "f", "--route", "support").stdout)
    assert (explained["arm"], explained["reason"]) == ("new", "TARGETING_MATCH")
    again = json.loads(site.set("--cap", "new=settings", "--override", "trunk:n*=settings").stdout)
    assert (again["caps"], again["overrides"]) == ({}, {"route:support": "new"})


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--override", "trunk:nort=new"), "did you mean 'north'?"),
        (("--override", "route:suport=new"), "did you mean 'support'?"),
        (("--override", "caller:+1555=nev"), "did you mean 'new'?"),
        (("--cap", "nev=3"), "did you mean 'new'?"),
        (("--cap", "new=-3"), "--cap NAME=20"),
        (("--override", "country:de=new"), "write --override"),
        (("--override", "caller:1*5*=new"), "may have a '*' only at its end"),
        ((), "nothing to set"),
    ],
)
def test_what_names_nothing_is_refused_with_what_was_meant(
    site: Site, words: tuple[str, ...], said: str
) -> None:
    refused = site.set(*words)
    assert refused.exit_code == 2
    assert said in refused.output
