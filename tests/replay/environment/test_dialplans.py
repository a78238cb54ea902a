"""Redirected dialplans lead every line to the arm under test, and no tool out into the world."""

from bridge.replay.environment.dialplans import ARM, redirect, trunks_of

_MOCKS = "http://127.0.0.1:1/script"
_SIP = "127.0.0.1:5060"


def test_lines_with_an_arm_or_a_flag_get_the_arm_under_test() -> None:
    for chosen in ({"arm": "prod"}, {"rollout": "to_ga"}):
        assert redirect({"name": "a", **chosen}, _MOCKS, _SIP) == {"name": "a", "arm": ARM}


def test_a_line_without_agent_stays_without_arm() -> None:
    assert redirect({"name": "a"}, _MOCKS, _SIP) == {"name": "a"}


def test_webhooks_lead_to_the_mocks_and_need_no_secret() -> None:
    tool = {
        "name": "pay",
        "webhook": {"url": "https://pay.example/x", "secret_env": "PAY", "timeout_s": 3},
    }
    built_in = {"name": "end_call"}
    redirected = redirect({"arm": "x", "agent": {"tools": [tool, built_in]}}, _MOCKS, _SIP)
    webhook = {"url": f"{_MOCKS}/pay", "timeout_s": 3, "allow_private": True}
    assert redirected["agent"] == {"tools": [{"name": "pay", "webhook": webhook}, built_in]}


def test_tokens_of_tool_servers_are_not_asked_for() -> None:
    server = {"label": "crm", "url": "https://crm.example", "authorization_env": "CRM"}
    redirected = redirect({"arm": "x", "agent": {"mcp": [server]}}, _MOCKS, _SIP)
    assert redirected["agent"] == {"mcp": [{"label": "crm", "url": "https://crm.example"}]}


def test_trunks_are_found_in_all_rules() -> None:
    rules = [{"trunk": "north"}, {"called": "*"}, {"trunk": ["south", "west"]}]
    assert list(trunks_of({"match": rules})) == ["north", "south", "west"]


def test_a_person_at_replay_invalid_is_another_line_of_the_gateway() -> None:
    handoff = {"targets": {"desk": {"to": "sip:person@replay.invalid"}}}
    redirected = redirect({"arm": "x", "handoff": handoff}, _MOCKS, _SIP)
    assert redirected["handoff"] == {"targets": {"desk": {"to": f"sip:person@{_SIP}"}}}


def test_a_greeting_that_no_agent_can_speak_is_the_bridges() -> None:
    line = {"arm": "x", "agent": {"greeting": "Hello."}}
    assert redirect(line, _MOCKS, _SIP)["agent"] == {"greeting": "Hello."}
    by_itself = redirect(line, _MOCKS, _SIP, greets_by_itself=True)
    assert by_itself["agent"] == {"greeting": "Hello.", "greeting_by": "cached"}
    silent = redirect({"arm": "x", "agent": {}}, _MOCKS, _SIP, greets_by_itself=True)
    assert silent["agent"] == {}
