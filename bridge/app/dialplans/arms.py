"""Builds the arms and routes that calls connect with, from the settings and dialplans.

Everything that can be wrong with a model, a voice or a key is found here, before any call is taken.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime

import structlog

from bridge.clock import NS_PER_S, Clock
from bridge.config.models import ModelChoice, ModelTable, choose_model
from bridge.config.secret_places import read_secret
from bridge.config.settings import AnyArm, ArmSettings, Settings
from bridge.config.sip_arm import SipArmSettings
from bridge.errors import ConfigError
from bridge.live.services import Arm, Route
from bridge.live.upstream.models import ArmModel
from bridge.realtime.dialects import dialect_of
from bridge.realtime.flavours import FLAVOURS
from bridge.routing.agent import secret_places
from bridge.routing.handoff import agent_at
from bridge.routing.models import Dialplan
from bridge.routing.session import NO_SECRETS, read_config
from bridge.routing.session_checks import session_warnings
from bridge.routing.session_layers import arm_layers, on_arm, session_layers
from bridge.routing.sip_arm_checks import sip_arm_warnings
from bridge.session.access_reader import AccessReader
from bridge.session.realtime import Endpoint
from bridge.session.tokens import CredentialSource, DirectKey, TokenProvider, TokenRequest
from bridge.sip.addresses import Uri
from bridge.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)

Rotated = Callable[[str, bool, str], None]
"""Takes (arm, whether it succeeded, why) of every token rotation."""


def make_arms(
    configured: Mapping[str, AnyArm],
    access: Mapping[str, AccessReader],
    table: ModelTable,
    clock: Clock,
    on_rotated: Rotated,
) -> dict[str, Arm]:
    """Choose the models, in order, of all arms, and give each one its credentials.

    An arm that is a SIP URI has neither.

    Raises:
        ConfigError: a model or a voice that can't be used.
    """
    return {
        name: Arm(name, None, (), digest=arm.digest, agent=agent_at(name, arm))
        if isinstance(arm, SipArmSettings)
        else _make_arm(name, arm, access[name], table, clock, on_rotated)
        for name, arm in configured.items()
    }


def make_route(
    dialplan: Dialplan,
    arm: Arm,
    settings: AnyArm,
    table: ModelTable,
    today: date,
    secrets: Mapping[str, str] = NO_SECRETS,
) -> Route:
    """Decide what calls on a dialplan connect with; the dialplan's voice stands above the arm's.

    On an arm that is a SIP URI they connect with nothing.

    Raises:
        ConfigError: a model of the arm lacks the voice, and none may be chosen in its place.
    """
    if isinstance(settings, SipArmSettings):
        return Route(dialplan, arm, (), secrets)
    wanted = read_config(session_layers(dialplan, arm.name, settings))
    chosen = choose_model(settings, table, today, voice=wanted.voice)
    _warn(arm.name, chosen, dialplan=dialplan.name)
    sources = {each.endpoint.model: each for each in arm.choices}
    choices = tuple(
        ArmModel(sources[each.model].endpoint, sources[each.model].credentials, each.voice)
        for each in chosen
    )
    return Route(on_arm(dialplan, settings), arm, choices, secrets)


def resolve_tool_secrets(
    dialplans: Sequence[Dialplan], environ: Mapping[str, str]
) -> dict[str, str]:
    """Read what tools are signed or authorised with, by their places' keys.

    Raises:
        ConfigError: a secret is not there, with the dialplan's place.
    """
    secrets = {}
    for dialplan in dialplans:
        for place, location in secret_places(dialplan.agent):
            try:
                secrets[place.key] = read_secret(place, "the dialplan", "secret", environ)
            except ConfigError as error:
                raise dialplan.complain(
                    error.what if place.env is None else f"the environment {place} is not set",
                    ("agent", *location),
                    remedy=f"set {place.key} to the secret that the tool expects",
                ) from None
    return secrets


def resolve_session_secrets(
    configured: Mapping[str, ArmSettings], environ: Mapping[str, str]
) -> dict[str, str]:
    """Read what the arms' session templates name, by their places' keys.

    Raises:
        ConfigError: a secret is not there, with its place in the settings.
    """
    return {
        place.key: read_secret(place, f"arms.{name}.session.tools[{index}]", "secret", environ)
        for name, arm in configured.items()
        if arm.session is not None
        for index, server in enumerate(arm.session.tools or ())
        for place in server.secret_places
    }


def warn_of_dropped_fields(routes: Sequence[Route]) -> None:
    """Name, once per arm, the session fields that its dialect can't express."""
    dropped: dict[str, dict[str, None]] = {}
    with_session = [route for route in routes if route.choices]
    for route in with_session:
        fields = route.arm.spoken.unsupported(route.config(route.choices[0]))
        dropped.setdefault(route.arm.name, {}).update(dict.fromkeys(fields))
    for route in {route.arm.name: route for route in with_session}.values():
        if dropped[route.arm.name]:
            log.warning(
                "arm.settings_dropped",
                arm=route.arm.name,
                dialect=route.arm.dialect_name,
                fields=list(dropped[route.arm.name]),
            )


def warn_of_templates(dialplans: Sequence[Dialplan], settings: Settings) -> None:
    """Log what an operator should know of the sessions that templates ask for, or of their lack."""
    for warning in session_warnings(dialplans, settings.realtime_arms, settings.rollouts):
        log.warning("session.template_warning", warning=warning)
    for warning in sip_arm_warnings(dialplans, settings.sip_arms, settings.rollouts):
        log.warning("arm.not_on_its_calls", warning=warning)


def publish_arms(arms: Mapping[str, Arm], table: ModelTable, metrics: Metrics) -> None:
    """Publish the arms' models in the metrics, with their ends where the table's dates bind."""
    for name, arm in arms.items():
        if arm.agent is not None:
            place = Uri.parse(arm.agent.to).place
            metrics.set_arm(name, dialect=arm.dialect_name, url=f"sip://{place}", model="")
        for choice in arm.choices:
            endpoint = choice.endpoint
            metrics.set_arm(
                name,
                dialect=arm.dialect_name,
                url=endpoint.url,
                model=endpoint.model,
                shutdown=table.shutdown_at(endpoint.url, endpoint.model),
            )


def today_of(clock: Clock) -> date:
    """Return the calendar day (UTC)."""
    return datetime.fromtimestamp(clock.wall_ns() / NS_PER_S, UTC).date()


def _make_arm(
    name: str,
    arm: ArmSettings,
    access: AccessReader,
    table: ModelTable,
    clock: Clock,
    on_rotated: Rotated,
) -> Arm:
    wanted = read_config(arm_layers(name, arm))
    chosen = choose_model(arm, table, today_of(clock), voice=wanted.voice)
    _warn(name, chosen)
    dialect = dialect_of(arm.dialect, arm.flavour, arm.takes)
    choices = tuple(
        ArmModel(
            Endpoint(
                arm.url,
                each.model,
                redirect_hosts=arm.redirect_hosts,
                model_parameter=arm.model_parameter if dialect.capabilities.names_model else None,
                fresh_parameter=FLAVOURS[arm.flavour].fresh_parameter,
            ),
            _credentials(name, arm, each.model, access, clock, on_rotated),
            each.voice,
        )
        for each in chosen
    )
    return Arm(name, dialect, choices, digest=arm.digest, audio=arm.audio_formats)


def _credentials(
    name: str,
    arm: ArmSettings,
    model: str,
    access: AccessReader,
    clock: Clock,
    on_rotated: Rotated,
) -> CredentialSource:
    if arm.credentials == "direct":
        return DirectKey(access)
    request = TokenRequest(arm.token_endpoint, arm.dialect, model, access, arm.token_ttl_s)
    return TokenProvider(
        request, clock=clock, on_rotated=lambda good, reason: on_rotated(name, good, reason)
    )


def _warn(arm: str, chosen: Sequence[ModelChoice], **context: str) -> None:
    for each in chosen:
        for warning in each.warnings:
            log.warning("arm.model_warning", arm=arm, warning=warning, **context)
