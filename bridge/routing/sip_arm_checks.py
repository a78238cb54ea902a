"""Checks what a dialplan asks for that calls on an arm by SIP don't get: they have no session here.

What a dialplan asks for whose only arm is a SIP URI is an error where nothing of it can ever be.
In a rollout the same dialplan is for the other arm, too, and is only warned of.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType

from bridge.config.complaints import Location
from bridge.config.rollouts import RolloutSettings
from bridge.config.sip_arm import SipArmSettings
from bridge.routing.models import Dialplan
from bridge.routing.session_checks import arms_of

_WITHOUT_SESSION: Mapping[Location, Callable[[Dialplan], object]] = MappingProxyType(
    {
        ("agent", "tools"): lambda dialplan: dialplan.agent.tools,
        ("agent", "mcp_servers"): lambda dialplan: dialplan.agent.mcp_servers,
        ("agent", "session"): lambda dialplan: dialplan.agent.session,
        ("agent", "voice"): lambda dialplan: dialplan.agent.voice,
        ("agent", "turn_detection"): lambda dialplan: dialplan.agent.turn_detection,
        ("agent", "transcription"): lambda dialplan: dialplan.agent.transcription,
        ("keypad", "menus"): lambda dialplan: dialplan.keypad.menus,
        ("keypad", "digits"): lambda dialplan: dialplan.keypad.digits,
    }
)
"""Parts of a dialplan that a Realtime session carries out, and whether they are asked for."""

_LISTENS = (
    "the bridge hears no words on its calls, so neither emergency words nor requests for a person"
    " are noticed, and keys go to the agent"
)


def check_sip_arms(dialplans: Sequence[Dialplan], arms: Mapping[str, SipArmSettings]) -> None:
    """Check that a dialplan whose arm is a SIP URI asks for nothing that a session would do.

    Args:
        arms: those that are SIP URIs, by name.

    Raises:
        ConfigError: naming the part, its line and the reason.
    """
    for dialplan in dialplans:
        for part in _asked(dialplan) if dialplan.arm in arms else ():
            raise dialplan.complain(
                f"{'.'.join(map(str, part))} is nobody's on arm '{dialplan.arm}', which is a SIP"
                " URI: its calls have no Realtime session here",
                part,
                remedy="take it out, and set it up at the vendor; or name another arm",
            )


def sip_arm_warnings(
    dialplans: Sequence[Dialplan],
    arms: Mapping[str, SipArmSettings],
    rollouts: Mapping[str, RolloutSettings],
) -> Iterator[str]:
    """Yield what calls on an arm that is a SIP URI don't get, by dialplan and arm."""
    for dialplan in dialplans:
        for name in arms_of(dialplan, rollouts):
            if name not in arms:
                continue
            where = f"dialplan {dialplan.name} on arm {name}"
            yield f"{where}: {_LISTENS}"
            if missing := [".".join(map(str, part)) for part in _asked(dialplan)]:
                yield f"{where}: not there, for want of a Realtime session: {', '.join(missing)}"
            if arms[name].by == "refer" and dialplan.consent.disclosure is None:
                yield (
                    f"{where}: the caller is answered and sent on by REFER; nothing of the call is"
                    " recorded or seen after that"
                )


def _asked(dialplan: Dialplan) -> Iterator[Location]:
    return (part for part, asked in _WITHOUT_SESSION.items() if asked(dialplan))
