"""`bridge check`: what it says about a call, and the schema that it prints."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bridge.cli.main import main
from tests.support.gateways import write_dialplan
from tests.support.processes import write_yaml

SHIPPED = Path(__file__).parents[2] / "dialplans"


def check(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["check", *arguments])


def site(directory: Path, dialplan: str, trunks: str, settings: str = "") -> str:
    """Write a dialplan and settings for it, each with lines of the test's; return the settings'."""
    plan = f"schema: dialplan/v1\nname: a\narm: x\nagent: {{instructions: x}}\n{dialplan}\n"
    (directory / "a.yaml").write_text(plan)
    config = directory / "settings" / "bridge.yaml"
    config.parent.mkdir()
    config.write_text(f"dialplans_dir: {directory}\n{settings}sip:\n  trunks:\n{trunks}")
    return str(config)


def explained(*arguments: str) -> dict[str, Any]:
    """Return what --json says."""
    result = check(str(SHIPPED), "--json", "--explain", *arguments)
    told: dict[str, Any] = json.loads(result.stdout)
    assert result.exit_code == (0 if told["dialplan"] else 1)
    return told


def test_shipped_dialplans_are_good() -> None:
    result = check(str(SHIPPED))
    assert (result.exit_code, result.stdout) == (0, "all good\n")


def test_schema_is_printed() -> None:
    printed = json.loads(check("--schema").stdout)
    assert printed == json.loads((SHIPPED / "dialplan.schema.json").read_text())


@pytest.mark.parametrize(
    ("arguments", "dialplan"),
    [
        (["+1 555 0100"], "support"),
        (["+1 555 0100", "--caller", "+15550171"], "support"),
        (["+1 555 0100", "--caller", "+15550171", "--stir", "A"], "vip"),
        (["+1 555 0100", "--caller", "+15550185", "--stir", "B"], "vip"),
        (["+1 555 0100", "--header", "X-Account-Tier=gold-plus"], "vip"),
        (["+1 555 0100", "--stir", "failed"], "screened"),
        (["+1 555 0142", "--caller", "sip:anonymous@anonymous.invalid"], "screened"),
        (["+1 555 0142"], "bank"),
        (["+1 555 0153"], "clinic"),
        (["+1 555 0156"], "support"),
        (["+49 30 5550 101"], "laden"),
        (["+49 30 5550 200", "--at", "2026-11-28T12:00:00+01:00"], "laden"),
        (["+49 30 5550 200", "--at", "2026-11-27T12:00:00+01:00"], "support"),
    ],
)
def test_shipped_dialplans_take_their_calls(arguments: list[str], dialplan: str) -> None:
    assert explained(*arguments)["dialplan"] == dialplan


@pytest.mark.parametrize(
    ("called", "at", "mode", "arm", "why"),
    [
        ("+15550142", "2026-11-18T12:00:00-05:00", "open", "local", "within mon-fri 08:00-20:00"),
        ("+15550142", "2026-12-25T12:00:00-05:00", "closed", "local", "Christmas Day"),
        ("+15550150", "2026-10-12T10:00:00-04:00", "open", "local", "mon tue thu"),
        ("+15550150", "2026-12-24T10:00:00-05:00", "closed", "local", "the dialplan's list"),
        ("+4930555010", "2026-10-03T12:00:00+02:00", "closed", None, "German Unity Day"),
        ("+4930555010", "2026-10-02T17:00:00Z", "closed", None, "19:00 in Europe/Berlin"),
    ],
)
def test_explanation_knows_hours_and_holidays(
    called: str, at: str, mode: str, arm: str | None, why: str
) -> None:
    told = explained(called, "--at", at)
    assert (told["mode"], told["arm"]) == (mode, arm)
    assert why in told["hours"]


def test_explanation_says_why_earlier_rules_did_not_take_the_call() -> None:
    result = check(
        *(str(SHIPPED), "--explain", "+1 555 0142", "--caller", "+15550171"),
        *("--at", "2026-12-24T21:00:00-05:00"),
    )
    lines = result.stdout.replace(f"{SHIPPED}/", "").splitlines()
    assert lines[:9] == [
        "a call to +15550142 at 2026-12-24T21:00:00-05:00",
        "  10-screened.yaml:9 screened: no: stir is none, not failed",
        "  10-screened.yaml:11 screened: no: caller is +15550171, not anonymous",
        "  20-vip.yaml:8 vip: no: called is +15550142, not +15550100; stir is none, not A or B",
        "  20-vip.yaml:12 vip: no: called is +15550142, not +15550100; header X-Account-Tier is"
        " nothing, not gold*",
        "  30-bank.yaml:8 bank: yes: called +15550142 meets +15550142",
        "dialplan bank, arm local, as the line is closed: agent",
        "hours: closed; thu 2026-12-24 21:00 in America/New_York is outside mon-fri 08:00-20:00,"
        " sat 09:00-13:00",
        "codecs: PCMU, PCMA; all calls' audio is at 8 kHz inside",
    ]


def test_call_that_no_rule_takes_is_explained_too(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "schema: dialplan/v1\nname: a\narm: x\nagent: {instructions: i}\n"
        "match:\n  - called: '+1*'\n    trunk: carrier-a\n"
    )
    result = check(str(tmp_path), "--explain", "+15550100", "--trunk", "carrier-b")
    assert result.exit_code == 1
    assert "trunk is carrier-b, not carrier-a" in result.stdout
    assert result.stdout.splitlines()[-1] == "no rule takes it: the call is refused with 404"


def test_unreachable_rule_is_an_error(tmp_path: Path) -> None:
    head = "schema: dialplan/v1\nname: {}\narm: x\nagent: {{instructions: i}}\nmatch:\n"
    (tmp_path / "a.yaml").write_text(head.format("a") + "  - called: '+1*'\n")
    (tmp_path / "b.yaml").write_text(head.format("b") + "  - {called: '+15550100', stir: A}\n")
    result = check(str(tmp_path))
    assert result.exit_code == 2
    assert f"{tmp_path}/b.yaml:6: '+15550100' and stir A is never reached" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--at", "tomorrow"], "is no moment like 2026-12-24T18:00:00-05:00"),
        (["--at", "2026-12-24T18:00:00"], "lacks its offset from UTC"),
        (["--stir", "D"], "'D' is not one of"),
        (["--header", "X-Vip"], "write --header Name=value"),
    ],
)
def test_bad_descriptions_of_a_call_are_told(arguments: list[str], message: str) -> None:
    result = check(str(SHIPPED), "--explain", "1", *arguments)
    assert result.exit_code == 2
    assert message in result.output


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("{by: trunk, patterns: [carier], arm: new}", "did you mean 'carrier'?"),
        ("{by: route, patterns: ['sup*', suport], arm: new}", "did you mean 'support'?"),
        ("{by: called, patterns: ['*'], arm: nev}", "did you mean 'new'?"),
    ],
)
def test_serve_settings_are_checked_for_what_overrides_name(
    tmp_path: Path, override: str, said: str
) -> None:
    (tmp_path / "dialplans").mkdir()
    (tmp_path / "dialplans" / "a.yaml").write_text(
        "schema: dialplan/v1\nname: support\nrollout: f\nmatch:\n  - called: '*'\n"
        "agent: {instructions: x}\n"
    )
    config = tmp_path / "bridge.yaml"
    config.write_text(
        f"dialplans_dir: {tmp_path}/dialplans\n"
        "arms: {old: {url: 'ws://a'}, new: {url: 'ws://b'}}\n"
        "sip: {trunks: {carrier: [192.0.2.0/24]}}\n"
        f"rollouts: {{f: {{control: old, treatment: new, overrides: [{override}]}}}}\n"
    )
    result = check("--config", str(config))
    assert result.exit_code == 2
    assert said in result.output


def test_serve_settings_are_checked_for_trunks(tmp_path: Path) -> None:
    carrier = "    carrier: [192.0.2.0/24, '2001:db8::/32']\n"
    config = site(tmp_path, "match:\n  - trunk: carier", carrier, "arms: {x: {url: 'ws://x'}}\n")
    result = check("--config", config)
    assert result.exit_code == 2
    assert "a.yaml:6: trunk 'carier' is not in the settings" in result.output
    assert "did you mean 'carrier'?" in result.output


def test_explained_call_keeps_what_its_trunk_is_trusted_for(tmp_path: Path) -> None:
    config = site(
        tmp_path,
        "keep_headers: X-Account\nmatch: [{called: '*'}]",
        "    carrier: {addresses: 192.0.2.1, trust: [P-Asserted-Identity]}\n",
    )
    asked = ["--explain", "1", "--config", config]
    asked += ["--header", "P-Asserted-Identity=<tel:+15550100>", "--header", "X-Account=77"]
    trusted = check(*asked, "--trunk", "carrier")
    assert trusted.exit_code == 0, trusted.output
    assert "kept: asserted <tel:+15550100>" in trusted.output
    assert "kept: X-Account 77" in trusted.output
    assert "asserted" not in check(*asked, "--trunk", "other").output
    private = check(*asked, "--trunk", "carrier", "--header", "Privacy=id", "--json")
    told = json.loads(private.output)
    assert (told["caller"], told["origin"]["privacy"]) == ("anonymous", "id")
    assert "asserted" not in told["origin"]


SESSIONS = """\
rollouts: {f: {control: old, treatment: new}}
arms:
  old: {url: "ws://127.0.0.1:9/v1/realtime", dialect: beta}
  new:
    url: "ws://127.0.0.1:9/v1/realtime"
    audio: {input: pcmu, output: pcma}
    session:
      audio: {input: {turn_detection: {type: server_vad, silence_duration_ms: 300}}}
      tools:
        - {type: mcp, server_label: crm, server_url: u, authorization_env: CRM_TOKEN}
"""
WITH_SESSION = (
    "schema: dialplan/v1\nname: a\nrollout: f\nmatch: [{called: '*'}]\n"
    "agent:\n  instructions: Be brief.\n  tools: [{name: end_call}]\n"
    "  turn_detection: {type: server_vad, threshold: 0.4}\n"
    "  session: {audio: {output: {speed: 1.1}}}\n"
)

ON_A = (
    "schema: dialplan/v1\nname: a\narm: a\nmatch: [{called: '*'}]\n"
    "agent: {instructions: Be brief.}\n"
)


def write_sessions(directory: Path, dialplan: str = WITH_SESSION, sessions: str = SESSIONS) -> str:
    """Write settings with two arms, and a dialplan; return the settings' path."""
    (directory / "dialplans").mkdir()
    (directory / "dialplans" / "a.yaml").write_text(dialplan)
    config = directory / "bridge.yaml"
    config.write_text(f"dialplans_dir: {directory / 'dialplans'}\n{sessions}")
    return str(config)


def test_explained_call_has_the_session_of_each_arm_and_where_its_fields_are_written(
    tmp_path: Path,
) -> None:
    config = write_sessions(tmp_path)
    result = check("--explain", "1", "--config", config)
    assert result.exit_code == 0, result.output
    lines = [" ".join(line.split()) for line in result.output.splitlines()]
    lines = lines[lines.index("session on arm old:") :]
    assert lines == [
        "session on arm old:",
        'audio.input.format "pcm24k" default',
        "audio.input.turn_detection.create_response false agent.barge_in",
        "audio.input.turn_detection.interrupt_response false agent.barge_in",
        "audio.input.turn_detection.threshold 0.4 agent.turn_detection",
        'audio.input.turn_detection.type "server_vad" agent.turn_detection',
        'audio.output.format "pcm24k" default',
        "audio.output.speed 1.1 agent.session",
        'instructions "Be brief." agent.instructions',
        'tools[function end_call] {"name": "end_call", "description": "Hang up. Say goodbye...'
        " agent.tools",
        "session on arm new:",
        'audio.input.format "pcmu" arms.new.audio',
        "audio.input.turn_detection.create_response false agent.barge_in",
        "audio.input.turn_detection.interrupt_response false agent.barge_in",
        "audio.input.turn_detection.silence_duration_ms 300 arms.new.session",
        "audio.input.turn_detection.threshold 0.4 agent.turn_detection",
        'audio.input.turn_detection.type "server_vad" agent.turn_detection',
        'audio.output.format "pcma" arms.new.audio',
        "audio.output.speed 1.1 agent.session",
        'instructions "Be brief." agent.instructions',
        'tools[function end_call] {"name": "end_call", "description": "Hang up. Say goodbye...'
        " agent.tools",
        'tools[mcp crm] {"type": "mcp", "server_label": "crm", "server_url": "u",...'
        " arms.new.session",
    ]
    told = json.loads(check("--explain", "1", "--config", config, "--json").output)["sessions"]
    assert told["new"]["audio.input.turn_detection.silence_duration_ms"] == {
        "value": 300,
        "source": "arms.new.session",
    }
    assert told["new"]["tools[function end_call]"]["value"]["name"] == "end_call"
    without = check(str(tmp_path / "dialplans"), "--explain", "1").output
    assert "session (without an arm's own: --config):" in without
    assert "silence_duration_ms" not in without


@pytest.mark.parametrize(
    ("arm", "heard", "spoken"),
    [
        ({}, ("pcm24k", "default"), ("pcm24k", "default")),
        ({"audio": "pcm24k"}, ("pcm24k", "arms.a.audio"), ("pcm24k", "arms.a.audio")),
        ({"audio": {"input": "pcm16k"}}, ("pcm16k", "arms.a.audio"), ("pcm24k", "arms.a.audio")),
        ({"flavour": "qwen"}, ("pcm16k", "arms.a.flavour"), ("pcm24k", "arms.a.flavour")),
        ({"flavour": "azure"}, ("pcm24k", "default"), ("pcm24k", "default")),
        ({"flavour": "azure", "audio": "pcma"}, ("pcma", "arms.a.audio"), ("pcma", "arms.a.audio")),
    ],
    ids=["default", "named", "one way", "flavour", "flavour without", "beside a flavour"],
)
def test_explained_call_has_the_audio_of_its_arm_and_where_it_is_written(
    tmp_path: Path,
    arm: dict[str, object],
    heard: tuple[str, str],
    spoken: tuple[str, str],
) -> None:
    arms = {"a": {"url": "ws://127.0.0.1:9/v1/realtime", "api_key_env": "KEY", **arm}}
    config = write_sessions(tmp_path, ON_A, f"arms: {json.dumps(arms)}")
    told = check("--explain", "1", "--config", config, "--json")
    assert told.exit_code == 0, told.output
    fields = json.loads(told.output)["sessions"]["a"]
    assert [
        (fields[f"audio.{way}.format"]["value"], fields[f"audio.{way}.format"]["source"])
        for way in ("input", "output")
    ] == [heard, spoken]


@pytest.mark.parametrize(
    ("arm", "warned"),
    [
        ({"audio": "pcm16k"}, [("pcm16k", "heard"), ("pcm16k", "spoken")]),
        ({"audio": {"output": "pcm8k"}}, [("pcm8k", "spoken")]),
        ({"audio": "pcmu"}, []),
        ({}, []),
        ({"flavour": "qwen"}, []),  # documented to be of that rate
    ],
    ids=["16 kHz", "one way at 8 kHz", "G.711", "24 kHz", "a server of that rate"],
)
def test_rate_that_the_beta_cannot_name_is_warned_of(
    tmp_path: Path, arm: dict[str, object], warned: list[tuple[str, str]]
) -> None:
    beta = {"url": "ws://127.0.0.1:9/v1/realtime", "dialect": "beta", **arm}
    config = write_sessions(tmp_path, ON_A, f"arms: {json.dumps({'a': beta})}")
    told = check("--config", config, "--json")
    assert told.exit_code == 0, told.output
    found = [each for each in json.loads(told.output)["warnings"] if "names no rate" in each]
    assert len(found) == len(warned)
    for line, (audio, verb) in zip(found, warned, strict=True):
        assert line.startswith(f"arm a: audio {audio} is {verb} as `pcm16`")


def test_rate_that_azure_does_not_take_is_refused(tmp_path: Path) -> None:
    arm = {
        "url": "wss://r.openai.azure.com/v1",
        "api_key_env": "KEY",
        "flavour": "azure",
        "audio": "pcm16k",
    }
    config = write_sessions(tmp_path, ON_A, f"arms: {json.dumps({'a': arm})}")
    told = check("--config", config)
    assert told.exit_code == 2
    assert "has audio: pcm16k, which a server of flavour azure doesn't hear" in told.output
    assert "write pcm24k or pcmu or pcma" in told.output


def test_session_that_an_arm_cannot_be_asked_for_is_an_error_with_its_reason(
    tmp_path: Path,
) -> None:
    written = WITH_SESSION.replace("{audio: {output: {speed: 1.1}}}", "{truncation: disabled}")
    config = write_sessions(tmp_path, written)
    result = check("--config", config)
    assert result.exit_code == 2
    assert "a.yaml:9: agent.session.truncation can't be asked for on arm 'old'" in result.output
    assert "came with GA" in result.output


def test_stored_prompt_is_warned_of_and_no_error(tmp_path: Path) -> None:
    sessions = SESSIONS.replace("      tools:", "      prompt: {id: pmpt_1}\n      tools:")
    result = check("--config", write_sessions(tmp_path, sessions=sessions))
    assert result.exit_code == 0, result.output
    assert "warning: dialplan a on arm new: arms.new.session.prompt names a stored" in result.output
    assert "2026-11-30" in result.output


def test_explained_call_says_what_is_not_believed_and_what_goes_back(tmp_path: Path) -> None:
    config = site(
        tmp_path,
        "match: [{called: '*', stir: none}]",
        "    carrier: {addresses: 192.0.2.1, trust: [X-Tier, verstat]}\n"
        "    pbx: {addresses: 192.0.2.2, headers: {X-Account: '17'}}\n",
    )
    asked = ["--explain", "1", "--config", config, "--stir", "A", "--header", "X-Tier=gold"]
    found = check(*asked, "--trunk", "pbx")
    assert found.exit_code == 0, found.output
    assert "not believed from pbx: X-Tier\nnot believed from pbx: verstat\n" in found.output
    assert "goes back to pbx in a REFER: X-Account 17" in found.output
    assert check(*asked, "--trunk", "carrier").exit_code == 1  # of level A, which the rule is not
    told = json.loads(check(*asked, "--trunk", "pbx", "--json").output)
    assert told["origin"]["dropped"] == ["X-Tier", "verstat"]
    assert told["towards_trunk"] == {"X-Account": "17"}


def printed(config: str, name: str) -> list[str]:
    """Return the lines about all but arms; JSON has them, but the verdict, by a name."""
    found = check("--config", config)
    assert found.exit_code == 0, found.output
    lines = [line for line in found.output.splitlines() if not line.startswith("arm ")]
    assert json.loads(check("--config", config, "--json").output)[name] == lines[:-1]
    return lines


def test_what_a_trunks_preset_fills_in_is_printed(tmp_path: Path) -> None:
    config = site(
        tmp_path,
        "match: [{called: '*'}]",
        "    telnyx: {preset: telnyx, addresses: 192.0.2.7}\n",
        "arms: {x: {url: 'ws://localhost:1', dialect: ga}}\n",
    )
    assert printed(config, "presets") == [
        "preset telnyx fills in sip.trunks.telnyx.domains: sip.telnyx.com",
        "preset telnyx fills in sip.trunks.telnyx.trust: P-Asserted-Identity, verstat",
        "preset telnyx fills in sip.trunks.telnyx.numbers.bare: international",
        "preset telnyx fills in sip.trunks.telnyx.numbers.out: e164",
        "all good",
    ]


@pytest.fixture
def wideband(tmp_path: Path) -> str:
    """Settings with a trunk of wideband, one of codecs of its own, and one of neither."""
    return site(
        tmp_path,
        "match: [{called: '*'}]",
        "    pbx: {addresses: 192.0.2.1, codecs: [G722, PCMA]}\n"
        "    carrier: {addresses: 192.0.2.2, codecs: PCMA}\n"
        "    other: 192.0.2.3\n",
        "arms: {x: {url: 'ws://localhost:1', dialect: ga}}\n",
    )


def test_codecs_of_trunks_and_the_rate_that_follows_are_printed(wideband: str) -> None:
    assert printed(wideband, "codecs") == [
        "sip.codecs: PCMU, PCMA",
        "sip.trunks.pbx.codecs: G722, PCMA",
        "sip.trunks.carrier.codecs: PCMA",
        "all calls' audio is at 16 kHz inside: G722 is in sip.trunks.pbx.codecs",
        "all good",
    ]


@pytest.mark.parametrize(
    ("trunk", "codecs"),
    [("pbx", "G722, PCMA"), ("carrier", "PCMA"), ("other", "PCMU, PCMA"), ("", "PCMU, PCMA")],
)
def test_explained_call_has_the_codecs_of_its_trunk(wideband: str, trunk: str, codecs: str) -> None:
    asked = ["--explain", "1", "--config", wideband, "--trunk", trunk]
    rate = "all calls' audio is at 16 kHz inside: G722 is in sip.trunks.pbx.codecs"
    assert f"codecs: {codecs}; {rate}" in check(*asked).output.splitlines()
    told = json.loads(check(*asked, "--json").output)
    assert (told["codecs"], told["audio"]) == (codecs.split(", "), rate)


ARM = {
    "url": "wss://r.openai.azure.com/openai/realtime?code=Lemur6502",
    "dialect": "beta",
    "model": "my-deployment",
    "model_parameter": "deployment",
    "auth": "header",
    "api_key_env": "AZURE_KEY",
    "headers": {"OpenAI-Project": "proj-1", "X-Gateway-Key": {"env": "GATEWAY_KEY"}},
    "query": {"api-version": "2025-04-01-preview", "sig": {"file": "/nowhere/sig"}},
    "ca_file": "/etc/corp.pem",
    "client_cert_file": "/etc/bridge.pem",
    "proxy": "http://proxy:3128",
    "proxy_credentials": {"env": "PROXY"},
}


@pytest.mark.parametrize(
    ("fields", "key_line"),
    [
        ({}, "arm azure sends api-key: *** (variable AZURE_KEY)"),
        (
            {"auth": "bearer"},
            "arm azure sends Authorization: Bearer *** (variable AZURE_KEY)",
        ),
        (
            {"credentials": "token"},
            "arm azure sends Authorization: Bearer (token, for *** (variable AZURE_KEY))",
        ),
    ],
)
def test_what_an_arm_would_send_is_shown_without_its_secrets(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fields: dict[str, object],
    key_line: str,
) -> None:
    monkeypatch.setenv("AZURE_KEY", "Zebra0451")
    monkeypatch.setenv("PROXY", "name:Quagga7788")
    (tmp_path / "a.yaml").write_text(
        "schema: dialplan/v1\nname: a\narm: azure\nmatch: [{called: '*'}]\n"
        "agent: {instructions: x}\n"
    )
    config = tmp_path / "settings" / "bridge.yaml"
    config.parent.mkdir()
    arms = {"azure": {**ARM, **fields}}
    config.write_text(json.dumps({"dialplans_dir": str(tmp_path), "arms": arms}))
    found = check("--config", str(config))
    assert found.exit_code == 0, found.output
    expected = [
        "arm azure connects to wss://r.openai.azure.com/openai/realtime?code=***"
        "&api-version=2025-04-01-preview&sig=*** (file /nowhere/sig, which is not here)"
        "&deployment=my-deployment",
        "arm azure sends OpenAI-Beta: realtime=v1",
        "arm azure sends OpenAI-Project: proj-1",
        "arm azure sends X-Gateway-Key: *** (variable GATEWAY_KEY, which is not here)",
        key_line,
        "arm azure trusts the signers in /etc/corp.pem alone",
        "arm azure shows the certificate in /etc/bridge.pem",
        "arm azure goes through the proxy http://proxy:3128 with *** (variable PROXY)",
    ]
    assert found.output.splitlines() == [*expected, "all good"]
    assert json.loads(check("--config", str(config), "--json").output)["arms"] == expected
    explained = check("--config", str(config), "--explain", "+15550100")
    lines = explained.output.splitlines()
    assert [line for line in lines if line.startswith("arm azure")] == expected


def test_an_arm_by_sip_is_shown_with_its_trunk_and_what_its_calls_lack(tmp_path: Path) -> None:
    write_dialplan(tmp_path / "dialplans", arm=None, rollout="flag")
    config = write_yaml(
        tmp_path / "bridge.yaml",
        {
            "dialplans_dir": str(tmp_path / "dialplans"),
            "arms": {
                "live": {"url": "wss://a.example/v1/realtime"},
                "vendor": {"sip": "sip:p@sip.vendor.example"},
                "lone": {"sip": "sip:p@other.example", "by": "refer"},
            },
            "sip": {
                "trunks": {
                    "vendor": {
                        "addresses": ["192.0.2.1"],
                        "domains": ["sip.vendor.example"],
                        "transport": "tcp",
                        "headers": {"X-Tenant": "shop"},
                    }
                }
            },
            "rollouts": {"flag": {"control": "live", "treatment": "vendor"}},
        },
    )
    result = CliRunner().invoke(main, ["check", "--config", str(config)])
    assert result.exit_code == 0, result.output
    for said in (
        "arm vendor is called at sip:p@sip.vendor.example, without a Realtime session here",
        "arm vendor is of the trunk vendor: tcp, SRTP off, no credentials",
        "arm vendor sends X-Tenant: shop",
        "arm lone has callers sent by REFER to sip:p@other.example",
        "arm lone is of no trunk",
        "dialplan test on arm vendor: not there, for want of a Realtime session: agent.turn_det",
    ):
        assert said in result.output
    explained = CliRunner().invoke(
        main, ["check", "--explain", "+15550100", "--config", str(config), "--json"]
    )
    assert list(json.loads(explained.output)["sessions"]) == ["live"]
