"""Checks before any call is taken that each arm opens a session and recordings can be written."""

import asyncio
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import structlog

from bridge.clock import Clock
from bridge.config.settings import ArmSettings, SessionSettings, Settings
from bridge.errors import BridgeError, ConfigError, InfrastructureError, UpstreamError
from bridge.live.services import Arm
from bridge.live.upstream.models import ArmModel
from bridge.realtime.session_config import SessionConfig
from bridge.routing.session import read_config
from bridge.routing.session_layers import arm_layers
from bridge.session.realtime import RealtimeSession

log = structlog.get_logger(__name__)

_KEY_REFUSED = frozenset({"invalid_api_key", "http_401", "http_403", "token_refused"})


def check_writable(directory: Path) -> None:
    """Make the recordings' directory; a call must not be the first to find that it can't be.

    Raises:
        InfrastructureError: nothing can be written there.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            return
    except OSError as error:
        raise InfrastructureError(
            f"recordings cannot be written to {directory}: {error.strerror}",
            remedy="set BRIDGE_MEDIA_RECORDINGS_DIR (media.recordings_dir) to a directory that can",
        ) from error


async def check_arms_answer(arms: Mapping[str, Arm], settings: Settings, clock: Clock) -> None:
    """Open a session on every arm that has one, with the first of its models that answers.

    An arm of a rollout that does not answer is only warned of: its flag can keep calls from it.

    Raises:
        ConfigError: an arm's key is refused.
        InfrastructureError: an arm can't be reached, or refuses for another reason.
    """
    flagged = {arm for rollout in settings.rollouts.values() for arm in rollout.arms}
    for name, ways in settings.realtime_arms.items():
        asked = read_config(arm_layers(name, ways))
        # Without tools: they cost the service a visit to their server, and need secrets.
        audio = ways.audio_formats
        asked = replace(
            asked,
            tools=(),
            tool_choice=None,
            input_format=audio.input,
            output_format=audio.output,
        )
        error = await _first_answer(arms[name], asked, settings.session, clock)
        if error is None:
            continue
        if name not in flagged:
            raise _explain(name, ways, error) from error
        log.warning("preflight.arm_silent", arm=name, error=str(error))


async def _first_answer(
    arm: Arm, asked: SessionConfig, settings: SessionSettings, clock: Clock
) -> UpstreamError | None:
    """Try an arm's models in order; return None once one answers, else the last one's refusal."""
    *others, last = arm.choices
    for choice in others:
        try:
            await _open_once(arm, choice, asked, settings, clock)
        except UpstreamError as error:
            log.warning(
                "preflight.model_fallback",
                arm=arm.name,
                model=choice.endpoint.model,
                code=error.code,
            )
        else:
            return None
    try:
        await _open_once(arm, last, asked, settings, clock)
    except UpstreamError as error:
        return error
    return None


async def _open_once(
    arm: Arm, choice: ArmModel, asked: SessionConfig, settings: SessionSettings, clock: Clock
) -> None:
    credential = await choice.credentials.get()
    session = RealtimeSession(
        choice.endpoint.with_access(credential.access),
        arm.spoken,
        settings,
        clock=clock,
        on_event=lambda event, received_ns: None,
        on_closed=lambda error: None,
    )
    try:
        await session.open(replace(asked, voice=choice.voice))
    finally:
        await asyncio.shield(session.aclose())


def _explain(name: str, arm: ArmSettings, error: UpstreamError) -> BridgeError:
    if error.code in _KEY_REFUSED:
        return ConfigError(
            f"arm '{name}': {error.what}",
            remedy=f"set arms.{name}.api_key_env to the variable that holds the key"
            if arm.key_place is None
            else f"check the key in {arm.key_place}, arms.{name}.auth and arms.{name}.headers",
        )
    return InfrastructureError(
        f"arm '{name}': {error}", remedy="check arms and network, or start with --no-preflight"
    )
