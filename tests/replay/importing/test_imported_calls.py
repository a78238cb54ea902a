"""A real call, recorded by the gateway and by the caller's phone, imported and replayed.

It is recorded on a GA arm and replayed on a beta one: real SIP, RTP and speech, both times.
"""

import asyncio
import json
from pathlib import Path

import pytest
from aiohttp import web
from click.testing import CliRunner

from bridge.audio.wav import read_wav
from bridge.cli.replay import replay
from bridge.recordings.files import METRICS_DIR
from bridge.replay.results.run import RunVerdict
from bridge.replay.script import CallScript, load_script
from bridge.store.local import LocalRedis
from tests.support.gateways import PLAIN_AGENT, Gateway, serving, write_dialplan
from tests.support.hook import hook
from tests.support.processes import run_to_end, simulating, write_yaml
from tests.support.replaying import Played, arms_of, play

pytestmark = [pytest.mark.sip, pytest.mark.redis, pytest.mark.speech, pytest.mark.slow]

QUESTION = "What is your account number?"
ACCOUNT = "It is one two three four five six."
LONG_ANSWER = (
    "Thank you. You can return anything that you bought within thirty days of delivery. Please keep"
    " the original packaging, because the warehouse needs the label on the side of the box."
)
INTERRUPTION = "Wait, how much is my invoice?"
INVOICE = "Your invoice is forty two dollars."
BYE, GOODBYE = "That is all, thank you.", "Goodbye."
STAND_IN = "It is one two three four five six seven eight."

SCENARIO = {
    "name": "recorded",
    "greeting": QUESTION,
    "fallback": "Sorry?",
    "rules": [
        {"hears": [ACCOUNT], "say": LONG_ANSWER},
        {
            "hears": [INTERRUPTION],
            "tool": {"name": "lookup_invoice", "arguments": {"which": "latest"}},
            "then": "Your invoice is {amount} dollars.",
        },
        {"hears": [BYE], "say": GOODBYE, "tool": {"name": "end_call", "arguments": {}}},
    ],
}
SCRIPT = {
    "schema": "callscript/v1",
    "id": "as-it-was",
    "caller": [
        {"expect": {"within_ms": 5_000}},
        {"dtmf": {"digits": "1"}, "expect": {"within_ms": 10_000}},
        {"say": ACCOUNT, "expect": {"within_ms": 10_000}},
        {
            "interrupt": {"text": INTERRUPTION, "after": {"delay_ms": 2_000}},
            "expect": {"within_ms": 10_000},
        },
        {"say": BYE},
    ],
    "end": {"by": "bridge", "max_duration_s": 60},
}


async def record(directory: Path, redis: LocalRedis) -> Path:
    """Place the call; return the gateway's recordings. The phone's own lies in the directory."""

    async def answer() -> web.StreamResponse:
        return web.json_response({"amount": "forty two", "account": "12345678"})

    async with hook(answer) as endpoint:
        scenario = write_yaml(directory / "scenario.yaml", SCENARIO)
        tool = {
            "name": "lookup_invoice",
            "description": "Look up the caller's invoice.",
            "parameters": {"type": "object", "properties": {"which": {"type": "string"}}},
            "webhook": {"url": endpoint.url, "allow_private": True, "retries": 0},
        }
        dialplans = write_dialplan(
            directory / "dialplans",
            {**PLAIN_AGENT, "greeting": QUESTION, "tools": [tool, {"name": "end_call"}]},
            name="billing",
            consent={"disclosure": "This call is recorded.", "consent": "ask"},
            fallback={"then": "transfer", "to": "sip:desk@127.0.0.1:9"},
            recording={"keep_days": {"audio": 30}},
        )
        with (
            simulating(directory, scenario) as url,
            serving(directory, url, dialplans, redis_url=redis.url) as gateway,
        ):
            await call(gateway, directory)
            await gateway.records(1)
            return gateway.recordings


async def call(gateway: Gateway, directory: Path) -> None:
    """Place the call with `bridge call`, and keep what the phone recorded of it."""
    script = write_yaml(directory / "as-it-was.yaml", SCRIPT)
    uri = f"sip:billing@127.0.0.1:{gateway.sip_port}"
    options = ("--script", str(script), "--record", str(directory / "phone.wav"))
    done = await asyncio.to_thread(
        run_to_end, "call", uri, *options, "--events", "--json", directory=directory
    )
    (directory / "phone.jsonl").write_text(done.stdout)
    assert done.code == 0, done.stdout + done.stderr


def imported(directory: Path, name: str, *arguments: str) -> CallScript:
    """Run `bridge replay import`; return the script."""
    out = directory / name
    ran = CliRunner().invoke(replay, ["import", *arguments, "--out", str(out)])
    assert ran.exit_code == 0, ran.output
    return load_script(out)


def check_the_gateways(script: CallScript, directory: Path) -> None:
    """Look over what became of the gateway's recording."""
    text = (directory / "billing.yaml").read_text()
    assert "five six seven eight" in text
    assert ACCOUNT not in text
    assert script.source.kind == "recorded"
    assert script.target.route == "billing"
    assert [step.action.__class__.__name__ for step in script.caller] == [
        "NoneType",
        "KeyPresses",
        "Saying",
        "Interruption",
        "Saying",
    ]
    _, _, account, interruption, _ = script.caller
    assert account.say is not None
    assert interruption.interrupt is not None
    assert (account.say.text, account.say.audio) == (STAND_IN, None)
    assert interruption.interrupt.text == INTERRUPTION
    assert abs(interruption.interrupt.after.delay_ms - 2_000) < 400
    assert interruption.interrupt.audio is not None
    assert interruption.expect is not None
    assert [tool.name for tool in interruption.expect.tool] == ["lookup_invoice"]
    assert list(interruption.expect.numbers) == ["42"]
    [mock] = script.tools
    assert mock.returns == {"amount": "forty two", "account": "12345678"}
    assert script.end.by == "bridge"
    sound, rate_hz = read_wav(directory / interruption.interrupt.audio)
    assert (sound.shape[1], rate_hz) == (1, 8_000)
    assert 1_000 < sound.shape[0] / 8 < 3_000


def check_the_phones(script: CallScript) -> None:
    """Look over what became of the phone's recording."""
    assert script.source.consent == "the caller's own recording"
    said = [step.say or step.interrupt for step in script.caller if step.say or step.interrupt]
    assert [each.text for each in said if each] == [ACCOUNT, INTERRUPTION, BYE]
    assert all(each.audio for each in said if each)
    assert [step.dtmf.digits for step in script.caller if step.dtmf] == ["1"]


async def replayed(directory: Path, redis: LocalRedis) -> Played:
    """Play both scripts on a beta arm."""
    mine = directory / "mine.yaml"
    scene = f"realtime: {{scenario: {directory}/scenario.yaml}}\n"
    tools = "tools: [{name: lookup_invoice, returns: {amount: forty two}}]\n"
    mine.write_text(mine.read_text().replace("\ncaller:\n", f"\n{scene}{tools}\ncaller:\n"))
    return await play(
        directory, [directory / "billing.yaml", mine], arms_of("beta"), redis.url, jobs=2
    )


async def test_a_recorded_call_becomes_a_script_that_passes(
    tmp_path: Path, redis: LocalRedis
) -> None:
    recordings = await record(tmp_path, redis)
    assert list((recordings / METRICS_DIR).glob("session_*.json"))
    script = imported(tmp_path, "billing.yaml", "c_", "--directory", str(recordings))
    check_the_gateways(script, tmp_path)
    phone = [str(tmp_path / name) for name in ("phone.wav", "phone.jsonl")]
    check_the_phones(imported(tmp_path, "mine.yaml", *phone))
    played = await replayed(tmp_path, redis)
    told = {run.script: (run.verdict, run.reason) for run in played.results.runs}
    assert {name: verdict for name, (verdict, _) in told.items()} == {
        "billing": RunVerdict.PASS,
        "mine": RunVerdict.PASS,
    }, told
    _, files = played.run_of("billing")
    assert json.dumps(files.record).count("123456") == 0
