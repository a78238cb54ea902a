"""Personas in real calls on both dialects, and the ordinary script that is made of one."""

import json
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner

from bridge.cli.replay import replay
from bridge.replay.results.run import RunVerdict
from bridge.replay.script import load_script
from bridge.store.local import start_local_redis
from tests.support.replaying import ANSWER, ASKS, QUESTION, Document, arms_of, play, write_script
from tests.support.text_model import Body, Wire, completion, text_model

PERSONA: Document = {
    **{name: part for name, part in ASKS.items() if name != "caller"},
    "id": "made-up",
    "hears": [ANSWER, "Would you say that again, please?"],
    "caller": "persona",
    "persona": {
        "goal": "Find out when the order was shipped.",
        "limits": {"turns": 3, "seconds": 25},
        "script": [
            {"say": QUESTION},
            {"hears": ["Monday"], "done": True, "why": "it knows the day"},
        ],
    },
    "end": {"max_duration_s": 30, "must_say": ["shipped on Monday"]},
    "judge": {
        "questions": ["Did the agent name a day?"],
        "script": [{"answer": "yes", "quotes": ["shipped on Monday"]}],
    },
}

pytestmark = [
    *(pytest.mark.sip, pytest.mark.redis, pytest.mark.speech, pytest.mark.slow),
    pytest.mark.timeout(400),
]


async def test_a_persona_gets_its_answer_on_both_dialects_and_becomes_a_script(
    tmp_path: Path,
) -> None:
    path = write_script(tmp_path, PERSONA)
    with start_local_redis() as redis:
        played = await play(tmp_path, [path], arms_of("beta", "ga"), redis.url, jobs=1)
    for arm in ("beta", "ga"):
        info, files = played.run(arm)
        assert info.verdict is RunVerdict.PASS, info.reason
        told = json.loads(json.dumps(files.detail.call["persona"]))
        assert (told["stopped"], told["why"]) == ("goal_reached", "it knows the day")
        assert [(turn["does"], turn["text"]) for turn in told["turns"]] == [("say", QUESTION)]
        assert told["turns"][0]["heard"] == "", "this agent lets its callers begin"
        assert files.detail.transcript[0].text == QUESTION
        kinds = {check.kind: check for check in files.detail.checks}
        assert kinds["persona"].status.value == "pass"
        assert kinds["judge"].found.startswith(f'the judge said yes: "{ANSWER}" (agent, ')
        (judged,) = files.detail.judged
        assert (judged.verdict, judged.quotes[0].speaker) == ("pass", "agent")

    out = tmp_path / "same-words.yaml"
    run = played.directory / played.run("ga")[0].folder
    made = CliRunner().invoke(replay, ["fix", str(run), "--out", str(out), "--json"])
    assert made.exit_code == 0, made.output
    assert json.loads(made.stdout)["steps"] == 1
    script = load_script(out)
    assert script.persona is None
    assert [step.say.text for step in script.caller if step.say] == [QUESTION]
    assert script.hears == tuple(PERSONA["hears"])
    assert script.realtime == load_script(path).realtime
    assert script.judge is not None
    again = CliRunner().invoke(replay, ["fix", str(run), "--out", str(out)])
    assert again.exit_code == 2
    assert "is there already; pass --replace" in again.stderr


async def test_a_models_server_makes_up_the_words_and_hears_no_more_than_the_phone(
    tmp_path: Path,
) -> None:
    def answer(body: Body) -> Wire:
        heard = body["messages"][-1]["content"]
        if "Monday" in heard:
            return completion('{"say": "", "done": true, "reached": true, "why": "known"}')
        return completion(json.dumps({"say": QUESTION}))

    async with text_model(answer) as server:
        model = {
            "url": server.url,
            "model": "small",
            "api_key_env": "MY_MODEL_KEY",
            "usd_per_million": {"input": 1000, "output": 2000},
        }
        persona = {**PERSONA["persona"], "model": model}
        path = write_script(tmp_path, {**PERSONA, "persona": persona})
        environ = {"MY_MODEL_KEY": "sk-secret-0815"}
        with start_local_redis() as redis:
            ran = partial(play, tmp_path, [path], arms_of("ga"), redis.url, environ=environ)
            broke = await ran(cap_usd=29.9)
            assert not server.bodies, "30,000 tokens might cost more than is allowed"
            played = await ran(cap_usd=60.0)
    assert "might pass it" in (broke.results.stopped or "")
    info, files = played.run("ga")
    assert info.verdict is RunVerdict.PASS, info.reason
    assert info.texts_usd == pytest.approx(2 * (100 * 1000 + 20 * 2000) / 1e6)
    assert played.results.cost is not None
    assert played.results.cost.spent_usd == pytest.approx(info.texts_usd)
    assert "authorization: bearer sk-secret-0815" in server.heads[0].lower()
    assert [body["messages"][-1]["content"] for body in server.bodies] == [
        "The agent said: (nothing)",
        f"The agent said: {ANSWER}",
    ]
    told = json.dumps(files.detail.call)
    assert '"tokens": 240' in told
    kept = b"".join(p.read_bytes() for p in played.directory.rglob("*") if p.is_file())
    assert b"sk-secret-0815" not in kept
