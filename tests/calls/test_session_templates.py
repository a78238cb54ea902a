"""What a template asks for is what leaves, in each session of a call; by the call's wire log."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bridge.audio.resample import downsample_whole
from bridge.simulator.scenario import default_scenario
from bridge.speech.synthesis import Synthesizer
from bridge.store.local import LocalRedis
from tests.realtime.official import problems
from tests.support.gateways import PLAIN_AGENT, CallsInRedis, Gateway, serving, write_dialplan
from tests.support.ports import free_port
from tests.support.processes import SIMULATOR_KEY, simulating
from tests.support.rtp_caller import RtpCaller
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.sip, pytest.mark.redis, pytest.mark.speech]

Session = dict[str, Any]  # Any: JSON as it was sent

SHARED: Session = {
    "audio": {
        "input": {
            "noise_reduction": {"type": "far_field"},
            "transcription": {"prompt": "Orders."},
            "turn_detection": {"type": "server_vad", "threshold": 0.4, "prefix_padding_ms": 200},
        },
        "output": {"speed": 1.25, "voice": "sage"},
    },
    "max_output_tokens": 900,
    "tracing": {"workflow_name": "calls"},
    "tool_choice": "auto",
}
TEMPLATES: dict[str, Session] = {
    "ga": {
        **SHARED,
        "reasoning": {"effort": "low"},
        "parallel_tool_calls": False,
        "truncation": {"type": "retention_ratio", "retention_ratio": 0.8},
        "include": ["item.input_audio_transcription.logprobs"],
        "prompt": {"id": "pmpt_1"},
        "tools": [
            {
                "type": "mcp",
                "server_label": "crm",
                "connector_id": "connector_gmail",
                "authorization_env": "CRM_TOKEN",
                "headers": {"X-Team": {"env": "CRM_TEAM"}},
                "require_approval": {"always": {"tool_names": ["pay"]}},
                "allowed_tools": {"read_only": True},
            }
        ],
    },
    "beta": {**SHARED, "temperature": 0.7},
}
SECRETS = {"CRM_TOKEN": "hush-token", "CRM_TEAM": "hush-team"}

VAD = {
    "type": "server_vad",
    "threshold": 0.4,
    "prefix_padding_ms": 200,
    "silence_duration_ms": 500,
    "create_response": False,
    "interrupt_response": False,
}
WORDS = {"model": "gpt-transcribe", "language": "en", "prompt": "Orders."}
SENT: dict[str, Session] = {
    "ga": {
        "type": "realtime",
        "output_modalities": ["audio"],
        "instructions": "Be brief.",
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": 24000},
                "noise_reduction": {"type": "far_field"},
                "transcription": WORDS,
                "turn_detection": VAD,
            },
            "output": {
                "format": {"type": "audio/pcm", "rate": 24000},
                "voice": "sage",
                "speed": 1.25,
            },
        },
        "tools": [
            {
                "connector_id": "connector_gmail",
                "allowed_tools": {"read_only": True},
                "require_approval": {"always": {"tool_names": ["pay"]}},
                "authorization": "(secret)",
                "headers": {"X-Team": "(secret)"},
                "type": "mcp",
                "server_label": "crm",
            }
        ],
        "tool_choice": "auto",
        "max_output_tokens": 900,
        "reasoning": {"effort": "low"},
        "parallel_tool_calls": False,
        "truncation": {"type": "retention_ratio", "retention_ratio": 0.8},
        "tracing": {"workflow_name": "calls"},
        "include": ["item.input_audio_transcription.logprobs"],
        "prompt": {"id": "pmpt_1"},
    },
    "beta": {
        "input_audio_format": "pcm16",
        "input_audio_noise_reduction": {"type": "far_field"},
        "input_audio_transcription": WORDS,
        "turn_detection": VAD,
        "modalities": ["text", "audio"],
        "instructions": "Be brief.",
        "voice": "sage",
        "speed": 1.25,
        "output_audio_format": "pcm16",
        "tools": [],
        "tool_choice": "auto",
        "temperature": 0.7,
        "max_response_output_tokens": 900,
        "tracing": {"workflow_name": "calls"},
    },
}
"""The update that leaves, written by hand: the template, the agent's own fields, the bridge's."""


@contextmanager
def service(directory: Path, **parts: object) -> Iterator[str]:
    """Run the local Realtime server with its usual scenario, but for some parts; give its URL."""
    directory.mkdir()
    scenario = default_scenario().model_dump(mode="json", by_alias=True, exclude_unset=True)
    path = directory / "scenario.yaml"
    path.write_text(json.dumps({**scenario, **parts}))
    with simulating(directory, path) as url:
        yield url


@contextmanager
def gateway_at(url: str, redis: LocalRedis, directory: Path, dialect: str) -> Iterator[Gateway]:
    arm = {"url": url, "dialect": dialect, "api_key_env": "SIM_KEY", "session": TEMPLATES[dialect]}
    arm["audio"] = "pcm24k"  # which :data:`SENT` spells
    with serving(
        directory,
        url,
        write_dialplan(directory / "dialplans", PLAIN_AGENT),
        redis_url=redis.url,
        environ={"SIM_KEY": SIMULATOR_KEY, "ROLLOUT_KEY": "a secret for tests", **SECRETS},
        session={"wire_log_dir": str(directory / "wire")},
        arms={"local": arm},
    ) as gateway:
        yield gateway


async def call(gateway: Gateway, redis: LocalRedis, *, sessions: int = 1) -> str:
    """Call, ask twice, and hang up once so many sessions were had; return the call's id."""
    question = downsample_whole(Synthesizer("en-us", 150).say("Where is my order?"))
    async with CallsInRedis(redis.url) as calls, RtpCaller(gateway.sip_port) as caller:
        assert await caller.call() == 200
        call_id = await calls.until_active(gateway.node)
        caller.speak(question)
        if sessions > 1:
            await calls.until_told(call_id, "session_restored", sessions - 1)
            caller.speak(question)
        await calls.until_spoken(call_id, "agent")
        await caller.hang_up()
        await calls.until_ended(call_id)
    return call_id


async def updates(directory: Path, call_id: str) -> list[Session]:
    """Return every `session.update` of a call, as it left, session by session."""
    return [
        line["raw"] for line in await wire(directory, call_id) if line["type"] == "session.update"
    ]


async def wire(directory: Path, call_id: str) -> list[Session]:
    path = directory / "wire" / f"{call_id}.jsonl"
    await wait_until(path.exists, "no wire log was written")
    return [json.loads(line) for line in path.read_text().splitlines()]


async def test_template_is_sent_and_confirmed_and_its_secrets_are_nowhere(
    simulator: str, redis: LocalRedis, tmp_path: Path, dialect: str
) -> None:
    with gateway_at(simulator, redis, tmp_path, dialect) as gateway:
        call_id = await call(gateway, redis)
        record = await gateway.record_of(call_id)
        assert (record["outcome"], record["transcription_model"]) == ("completed", "gpt-transcribe")
    (first, *others) = await updates(tmp_path, call_id)
    assert first["session"] == SENT[dialect]
    assert problems("ga" if dialect == "ga" else "beta", "client", first) == []
    # Whatever else was sent in the call named no setting, so it took none away.
    assert [{**each["session"], "type": ""} for each in others] == [{"type": ""}] * len(others)
    confirmed = [line["raw"] for line in await wire(tmp_path, call_id)]
    (last, *_) = [each["session"] for each in confirmed if each["type"] == "session.updated"][::-1]
    assert contains(last, SENT[dialect])
    assert written_in(tmp_path, "hush") == []
    assert len(written_in(tmp_path, call_id)) >= 3


def written_in(directory: Path, word: str) -> list[Path]:
    """Return the logs, records and what commands printed that hold a word."""
    suffixes = (".jsonl", ".json", ".stderr")
    files = [path for path in directory.rglob("*") if path.suffix in suffixes]
    return [path for path in files if word in path.read_text()]


def contains(confirmed: object, sent: object) -> bool:
    """Whether a service took all that was sent; it may say more."""
    if isinstance(sent, dict) and isinstance(confirmed, dict):
        return all(key in confirmed and contains(confirmed[key], sent[key]) for key in sent)
    if isinstance(sent, list) and isinstance(confirmed, list):
        return len(sent) == len(confirmed) and all(map(contains, confirmed, sent))
    return confirmed == sent


@pytest.mark.parametrize(
    "trouble",
    [
        {"faults": [{"at": "audio", "nth": 3, "kind": "drop"}]},
        {"session": {"lifetime_s": 8}},
    ],
    ids=["lost", "expired"],
)
async def test_session_that_follows_another_is_asked_for_the_same(
    trouble: Mapping[str, object], redis: LocalRedis, tmp_path: Path, dialect: str
) -> None:
    with (
        service(tmp_path / "service", **trouble) as url,
        gateway_at(url, redis, tmp_path, dialect) as gateway,
    ):
        call_id = await call(gateway, redis, sessions=2)
        await gateway.record_of(call_id)
    whole = [
        each["session"] for each in await updates(tmp_path, call_id) if len(each["session"]) > 1
    ]
    assert len(whole) >= 2
    assert all(each == SENT[dialect] for each in whole)


async def test_call_that_the_other_arm_rescues_is_asked_for_by_that_arms_template(
    simulator: str, redis: LocalRedis, tmp_path: Path
) -> None:
    key = {"api_key_env": "SIM_KEY"}
    slow, fast = ({"audio": {"output": {"speed": speed}}} for speed in (0.8, 1.2))
    nowhere = f"ws://127.0.0.1:{free_port()}/v1/realtime"
    arms = {
        "local": {"url": simulator, "session": slow, **key},
        "new": {"url": nowhere, "session": fast, **key},
    }
    dialplans = write_dialplan(tmp_path / "dialplans", PLAIN_AGENT, arm=None, rollout="f")
    flag = {
        "control": "local",
        "treatment": "new",
        "overrides": [{"by": "route", "patterns": ["test"], "arm": "new"}],
    }
    with serving(
        tmp_path,
        simulator,
        dialplans,
        preflight=False,
        redis_url=redis.url,
        environ={"SIM_KEY": SIMULATOR_KEY, "ROLLOUT_KEY": "a secret for tests"},
        arms=arms,
        rollouts={"f": flag},
        session={"wire_log_dir": str(tmp_path / "wire")},
    ) as gateway:
        call_id = await call(gateway, redis)
        record = await gateway.record_of(call_id)
        assert (record["arm"], record["rescued_by"]) == ("new", "local")
    (first, *_) = await updates(tmp_path, call_id)
    assert first["session"]["audio"]["output"]["speed"] == 0.8
