"""Explains in words how dialplans would treat a call and how arms connect, for `bridge check`."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from urllib.parse import parse_qsl, urlsplit

import click

from bridge.config.arm_access import looks_secret
from bridge.config.secret_places import SecretPlace
from bridge.config.settings import ArmSettings, Settings
from bridge.config.sip import SipSettings
from bridge.config.sip_arm import SipArmSettings
from bridge.errors import ConfigError
from bridge.realtime.dialects import dialect_of
from bridge.routing.matching import RuleVerdict, explain_match
from bridge.routing.models import Dialplan
from bridge.routing.modes import Mode, during, has_agent, mode_of
from bridge.routing.origin import NO_ORIGIN, Origin, read_origin
from bridge.routing.rules import ConditionResult, IncomingCall, incoming_call
from bridge.routing.session_checks import arms_of
from bridge.routing.session_layers import Layers, Setting, session_layers
from bridge.routing.verstat import Verstat
from bridge.session.proxies import Proxies
from bridge.sip.numbers import NumberFormat


@dataclass(frozen=True, slots=True)
class Explanation:
    """The dialplans' treatment of a call, and the rules that led to it.

    Attributes:
        rules: those that were asked, in order.
        taken: by the last of them; None where no rule takes the call.
        mode: how it would be treated, if no other call is there.
        hours: why the line is open or closed then; "" for a line without hours.
        origin: what would be kept of its INVITE.
        dropped: its headers that the trunk is not trusted for.
        towards_trunk: headers of what goes back to its trunk.
        codecs: that it may have, in the trunk's order of preference.
        audio: at which rate its audio goes through the gateway, and why.
        arm_lines: how its arm connects.
        sessions: what its session would be asked to be, by arm; "" for an arm that is not known.
    """

    call: IncomingCall
    rules: Sequence[RuleVerdict]
    taken: Dialplan | None
    mode: Mode = Mode.OPEN
    hours: str = ""
    origin: Origin = NO_ORIGIN
    dropped: Sequence[str] = ()
    towards_trunk: Mapping[str, str] = field(default_factory=dict)
    codecs: Sequence[str] = ()
    audio: str = ""
    arm_lines: Sequence[str] = ()
    sessions: Mapping[str, Layers] = field(default_factory=dict)

    @property
    def arm(self) -> str | None:
        """The arm that the call's dialplan names; None where it names a flag, or no agent talks."""
        taken = self.taken
        return taken.arm if taken is not None and has_agent(taken, self.mode) else None


def call_of(
    called: str,
    caller: str,
    headers: Sequence[str],
    trunk: str,
    stir: Verstat,
    at: datetime,
    sip: SipSettings,
) -> IncomingCall:
    """Make the call that the command line describes.

    Args:
        headers: each as ``Name=value``.
        sip: says which of them are believed from the trunk, and how it writes numbers.

    Raises:
        ConfigError: one is not.
    """
    believed, numbers = sip.believed(_headers(headers), trunk), sip.numbers_of(trunk)
    return incoming_call(
        _read(called, numbers),
        at,
        caller=_read(caller, numbers),
        headers=believed,
        trunk=trunk,
        stir=stir if sip.believes_verstat(trunk) else Verstat.NONE,
    )


def _headers(headers: Sequence[str]) -> dict[str, tuple[str, ...]]:
    given: dict[str, tuple[str, ...]] = {}
    for header in headers:
        name, equals, value = header.partition("=")
        if not (name and equals):
            raise ConfigError(f"--header {header} has no value", remedy="write --header Name=value")
        given[name] = (*given.get(name, ()), value)
    return given


def with_trunk(
    found: Explanation, headers: Sequence[str], stir: Verstat, sip: SipSettings
) -> Explanation:
    """Add to an explanation what the call's trunk isn't believed, gets back, and has of codecs.

    Args:
        headers, stir: as :func:`call_of` took them.
    """
    given, trunk = _headers(headers), found.call.trunk
    dropped = [*(given.keys() - sip.believed(given, trunk).keys())]
    if stir is not Verstat.NONE and not sip.believes_verstat(trunk):
        dropped.append("verstat")
    known = sip.trunks.get(trunk)
    return replace(
        found,
        dropped=sorted(dropped),
        towards_trunk={} if known is None else known.headers,
        codecs=sip.media_terms(trunk).codecs,
        audio=audio_rate(sip),
    )


def audio_rate(sip: SipSettings) -> str:
    """Return the rate of all calls' audio inside the gateway, and the settings that make it so."""
    rate = f"all calls' audio is at {sip.audio_hz // 1000} kHz inside"
    wide = " and ".join(sip.wideband_settings)
    return f"{rate}: G722 is in {wide}" if wide else rate


def with_sessions(found: Explanation, settings: Settings) -> Explanation:
    """Add to an explanation what the session would be asked to be, on each arm that may take it."""
    if found.taken is None or not has_agent(found.taken, found.mode):
        return found
    dialplan = during(found.taken, found.mode)
    is_known = dialplan.rollout is None or dialplan.rollout in settings.rollouts
    names = arms_of(dialplan, settings.rollouts) if is_known else ()
    arms: dict[str, ArmSettings | None] = {
        name: settings.realtime_arms[name] for name in names if name in settings.realtime_arms
    }
    without = set(names) & settings.sip_arms.keys()
    if not arms and not without:
        arms = {"": None}
    sessions = {
        name: {**session_layers(dialplan, name, arm), **_audio_layers(name, arm)}
        for name, arm in arms.items()
    }
    return replace(found, sessions=sessions)


def _audio_layers(name: str, arm: ArmSettings | None) -> Layers:
    """Return the audio of an arm's sessions, in its settings' words, as fields of the session."""
    if arm is None:
        return {}
    by = arm.audio_named_by
    source, audio = "default" if by is None else f"arms.{name}.{by}", arm.audio_formats
    ways = {"input": audio.input, "output": audio.output}
    return {f"audio.{way}.format": Setting(each, source) for way, each in ways.items()}


def _read(number: str, numbers: NumberFormat) -> str:
    """Return a URI or a bare number as the trunk's numbers are read."""
    return numbers.read_address(number) if ":" in number else numbers.read(number)


def explain(dialplans: Sequence[Dialplan], call: IncomingCall) -> Explanation:
    """Ask the dialplans about a call."""
    rules = explain_match(dialplans, call)
    if not rules or not rules[-1].takes:
        return Explanation(call, rules, None)
    taken = rules[-1].dialplan
    hours = "" if taken.hours is None else taken.hours.moment(call.at).why
    origin = read_origin(call.headers, taken.keep_headers, taken.pass_headers)
    return Explanation(call, rules, taken, mode_of(taken, call.at, calls=0), hours, origin)


def to_json(found: Explanation) -> str:
    """Return an explanation as one JSON object."""
    taken = found.taken
    return json.dumps(
        {
            "called": found.call.called,
            "at": found.call.at.isoformat(),
            "dialplan": taken.name if taken else None,
            "place": found.rules[-1].place if taken else None,
            "arm": found.arm,
            "arm_connects": list(found.arm_lines),
            "rollout": taken.rollout if taken and has_agent(taken, found.mode) else None,
            "mode": found.mode if taken else None,
            "hours": found.hours or None,
            "caller": found.call.caller,
            "origin": {
                **found.origin.texts(),
                "headers": dict(found.origin.headers),
                "passed": dict(found.origin.passed),
                "dropped": list(found.dropped),
            },
            "towards_trunk": dict(found.towards_trunk),
            "codecs": list(found.codecs),
            "audio": found.audio,
            "sessions": {
                arm: {path: {"value": each.value, "source": each.source} for path, each in fields}
                for arm, layers in found.sessions.items()
                for fields in [sorted(layers.items())]
            },
            "rules": [
                {
                    "place": verdict.place,
                    "dialplan": verdict.dialplan.name,
                    "takes": verdict.takes,
                    "checks": [_check(check) for check in verdict.checks],
                }
                for verdict in found.rules
            ],
        },
        default=asdict,
    )


def arm_lines(name: str, settings: Settings, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield what the connections of an arm carry and which way they take, with secrets masked.

    Secrets are looked for, and not read into a line.

    Raises:
        ConfigError: the environment names a proxy that isn't spoken with.
    """
    arm = settings.arms[name]
    if isinstance(arm, SipArmSettings):
        yield from _sip_lines(name, arm, settings.sip)
    else:
        yield from _connection_lines(name, arm, environ)


def _sip_lines(name: str, arm: SipArmSettings, sip: SipSettings) -> Iterator[str]:
    does = "is called at" if arm.by == "bridge" else "has callers sent by REFER to"
    yield f"arm {name} {does} {arm.sip}, without a Realtime session here"
    trunk = sip.trunk_towards(arm.sip)
    if not trunk:
        yield (
            f"arm {name} is of no trunk: without SRTP, credentials and headers; sip.trunks with its"
            " host in addresses or domains gives it some"
        )
        return
    ways = sip.trunks[trunk]
    secret = "credentials" if ways.credentials else "no credentials"
    transport = "tls" if arm.wants_tls else ways.transport
    yield f"arm {name} is of the trunk {trunk}: {transport}, SRTP {ways.srtp}, {secret}"
    yield from (f"arm {name} sends {each}: {value}" for each, value in ways.headers.items())


def _connection_lines(name: str, arm: ArmSettings, environ: Mapping[str, str]) -> Iterator[str]:
    def masked(place: SecretPlace) -> str:
        there = place.env in environ if place.file is None else place.file.is_file()
        return f"*** ({place}{'' if there else ', which is not here'})"

    def value(given: str | SecretPlace) -> str:
        return given if isinstance(given, str) else masked(given)

    query = [
        (each, "***" if looks_secret(each) else text)
        for each, text in parse_qsl(urlsplit(arm.url).query, keep_blank_values=True)
    ]
    query += [(each, value(given)) for each, given in arm.query.items()]
    headers = {**dialect_of(arm.dialect, arm.flavour).handshake_headers()}
    headers |= {each: value(given) for each, given in arm.headers.items()}
    if (place := arm.key_place) is not None:
        match arm.auth if arm.credentials == "direct" else "token":
            case "query":
                query.append((arm.auth_name, masked(place)))
            case "basic":
                headers["Authorization"] = f"Basic {masked(place)}"
            case "header":
                headers[arm.auth_name] = masked(place)
            case "bearer":
                headers["Authorization"] = f"Bearer {masked(place)}"
            case _:
                headers["Authorization"] = f"Bearer (token, for {masked(place)})"
    if dialect_of(arm.dialect, arm.flavour).capabilities.names_model:
        query.append((arm.model_parameter, arm.model))
    parts = urlsplit(arm.url)
    base = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    asked = f"?{'&'.join(f'{each}={text}' for each, text in query)}" if query else ""
    yield f"arm {name} connects to {base}{asked}"
    yield from (f"arm {name} sends {each}: {text}" for each, text in headers.items())
    yield from _way_of(name, arm, environ, masked)


def _way_of(
    name: str, arm: ArmSettings, environ: Mapping[str, str], masked: Callable[[SecretPlace], str]
) -> Iterator[str]:
    if arm.ca_file is not None:
        yield f"arm {name} trusts the signers in {arm.ca_file} alone"
    if arm.client_cert_file is not None:
        yield f"arm {name} shows the certificate in {arm.client_cert_file}"
    if arm.proxy not in ("env", "none"):
        known = "" if arm.proxy_credentials is None else f" with {masked(arm.proxy_credentials)}"
        yield f"arm {name} goes through the proxy {arm.proxy}{known}"
    elif arm.proxy == "env" and (proxy := Proxies.from_environment(environ).of(arm.url)):
        yield f"arm {name} goes through the proxy {proxy.url}, as the environment says"


def show(found: Explanation) -> Iterator[str]:
    """Yield the lines for a person."""
    yield f"a call to {found.call.called or 'nobody'} at {found.call.at.isoformat()}"
    for name in found.dropped:
        yield f"not believed from {found.call.trunk or 'a sender of no trunk'}: {name}"
    for verdict in found.rules:
        wrong = [str(check) for check in verdict.checks if not check.holds]
        holding = "; ".join(str(check) for check in verdict.checks)
        says = f"no: {'; '.join(wrong)}" if wrong else f"yes: {holding}"
        yield f"  {verdict.place} {verdict.dialplan.name}: {says}"
    if found.taken is None:
        yield "no rule takes it: the call is refused with 404"
        return
    yield f"dialplan {found.taken.name}, {_treatment(found.taken, found.mode)}"
    if found.hours:
        yield f"hours: {found.mode}; {found.hours}"
    for name, value in {**found.origin.texts(), **found.origin.headers}.items():
        yield f"kept: {name} {value}"
    for name, value in found.origin.passed.items():
        yield f"goes on: {name} {value}"
    for name, value in found.towards_trunk.items():
        yield f"goes back to {found.call.trunk} in a REFER: {name} {value}"
    yield from found.arm_lines
    if found.codecs:
        yield f"codecs: {', '.join(found.codecs)}; {found.audio}"
    for arm, layers in found.sessions.items():
        yield f"session on arm {arm}:" if arm else "session (without an arm's own: --config):"
        yield from _session(layers)


_SHOWN_CHARS = 60


def _session(layers: Layers) -> Iterator[str]:
    """Yield a line for each field: its path, its value, where that is written."""
    shown = {path: _value(each) for path, each in sorted(layers.items())}
    path_width, value_width = max(map(len, shown)), max(map(len, shown.values()))
    for path, value in shown.items():
        yield f"  {path:{path_width}}  {value:{value_width}}  {layers[path].source}"


def _value(setting: Setting) -> str:
    text = json.dumps(setting.value, ensure_ascii=False, default=asdict)
    return text if len(text) <= _SHOWN_CHARS else f"{text[: _SHOWN_CHARS - 3]}..."


def _treatment(dialplan: Dialplan, mode: Mode) -> str:
    if mode is not Mode.CLOSED or dialplan.hours is None:
        return _agent(dialplan)
    closed = dialplan.hours.closed
    if has_agent(dialplan, mode):
        return f"{_agent(dialplan)}, as the line is closed: {closed.then}"
    to = f" to {closed.to}" if closed.to else ""
    return f"no arm, as the line is closed: {closed.then}{to}"


def _agent(dialplan: Dialplan) -> str:
    if dialplan.rollout is not None:
        return f"an arm by rollout {dialplan.rollout} (bridge rollout explain says which)"
    return f"arm {dialplan.arm}"


def _check(check: ConditionResult) -> dict[str, object]:
    return {
        "condition": check.name,
        "wanted": check.wanted,
        "got": check.got,
        "holds": check.holds,
    }


def read_moment(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> datetime | None:
    """Read an ISO 8601 moment with its offset from UTC."""
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(
            f"'{value}' is no moment like 2026-12-24T18:00:00-05:00", context, parameter
        ) from None
    if moment.tzinfo is None:
        raise click.BadParameter(
            f"'{value}' lacks its offset from UTC, like -05:00 or Z", context, parameter
        )
    return moment
