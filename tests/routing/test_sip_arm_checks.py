"""What a dialplan asks for that calls on an arm by SIP don't get."""

import pytest

from bridge.config.rollouts import RolloutSettings
from bridge.config.sip_arm import SipArmSettings
from bridge.errors import ConfigError
from bridge.routing.models import Dialplan
from bridge.routing.sip_arm_checks import check_sip_arms, sip_arm_warnings

ARMS = {
    "out": SipArmSettings(sip="sip:a@vendor.example"),
    "sent": SipArmSettings(sip="sip:a@vendor.example", by="refer"),
}
FLAGS = {"flag": RolloutSettings(control="live", treatment="out")}
MENU = {"menus": {"main": {"prompt": "Press one.", "keys": {"1": {"say": "Yes."}}}}}


def dialplan(agent: dict[str, object] | None = None, **parts: object) -> Dialplan:
    whole = {
        "schema": "dialplan/v1",
        "name": "shop",
        "match": [{"called": "*"}],
        "agent": {"instructions": "Be brief.", "language": "en", **(agent or {})},
        **({"arm": "out"} if "rollout" not in parts else {}),
        **parts,
    }
    return Dialplan.model_validate(whole)


@pytest.mark.parametrize(
    ("plan", "part"),
    [
        (dialplan({"tools": [{"name": "end_call"}]}), "agent.tools"),
        (dialplan({"voice": "marin"}), "agent.voice"),
        (dialplan({"session": {"temperature": 0.7}}), "agent.session"),
        (dialplan({"turn_detection": {"type": "server_vad"}}), "agent.turn_detection"),
        (dialplan({"transcription": {"model": "gpt-transcribe"}}), "agent.transcription"),
        (dialplan(keypad=MENU), "keypad.menus"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_only_a_session_could_do_is_refused_on_an_arm_by_sip(
    plan: Dialplan, part: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        check_sip_arms([plan], ARMS)
    assert f": {part} is nobody's on arm 'out'" in caught.value.what
    check_sip_arms([plan], {})


def test_in_a_rollout_it_is_the_other_arms_and_warned_of() -> None:
    plan = dialplan({"tools": [{"name": "end_call"}], "voice": "marin"}, rollout="flag")
    check_sip_arms([plan], ARMS)
    listens, missing = sip_arm_warnings([plan], ARMS, FLAGS)
    assert "neither emergency words nor requests for a person" in listens
    assert missing == (
        "dialplan shop on arm out: not there, for want of a Realtime session: agent.tools,"
        " agent.voice"
    )


def test_a_refer_is_said_to_end_what_is_seen() -> None:
    *_, last = sip_arm_warnings([dialplan(arm="sent")], ARMS, {})
    assert "nothing of the call is recorded or seen after that" in last
    assert not list(sip_arm_warnings([dialplan(arm="live")], ARMS, {}))
