"""The check of each arm before any call is taken: a session is opened and closed again."""

import asyncio
from collections.abc import Mapping

from bridge.clock import Clock
from bridge.config.settings import ArmSettings, SessionSettings
from bridge.errors import BridgeError, ConfigError, InfrastructureError, UpstreamError
from bridge.live.services import Arm
from bridge.realtime.session_config import SessionConfig
from bridge.session.realtime import RealtimeSession

_KEY_REFUSED = frozenset({"invalid_api_key", "http_401", "http_403"})


async def check_arms_answer(
    arms: Mapping[str, Arm],
    configured: Mapping[str, ArmSettings],
    settings: SessionSettings,
    clock: Clock,
) -> None:
    """Open a session on every arm.

    Raises:
        ConfigError: an arm's key is refused.
        InfrastructureError: an arm can't be reached, or refuses for another reason.
    """
    for name, arm in arms.items():
        session = RealtimeSession(
            arm.endpoint,
            arm.dialect,
            settings,
            clock=clock,
            on_event=lambda event, received_ns: None,
            on_closed=lambda error: None,
        )
        try:
            await session.open(SessionConfig())
        except UpstreamError as error:
            raise _explain(name, configured[name], error) from error
        finally:
            await asyncio.shield(session.aclose())


def _explain(name: str, arm: ArmSettings, error: UpstreamError) -> BridgeError:
    if error.code in _KEY_REFUSED:
        place = arm.api_key_env or str(arm.api_key_file or "nothing")
        return ConfigError(
            f"arm '{name}': {error.what}",
            remedy=f"check the key in {place}"
            if place != "nothing"
            else f"set arms.{name}.api_key_env to the variable that holds the key",
        )
    return InfrastructureError(
        f"arm '{name}': {error}", remedy="check arms and network, or start with --no-preflight"
    )
