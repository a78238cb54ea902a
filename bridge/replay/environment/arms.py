"""The arms that scripts are played on: the simulator's, a settings file's, recorded ones, and those
that a running gateway has.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from bridge.config.loading import load_settings
from bridge.config.models import ModelTable
from bridge.config.settings import ArmSettings
from bridge.errors import ConfigError
from bridge.processes.simulator import place_of, with_backend
from bridge.realtime.dialect import Dialect
from bridge.realtime.dialects import DIALECTS, dialect_of
from bridge.realtime.flavour import PLAIN
from bridge.realtime.flavours import FLAVOURS
from bridge.replay.environment.tapes import Tapes, find_tapes
from bridge.replay.results.run import UNKNOWN, ArmInfo, ArmKind
from bridge.session.token_wire import TOKEN_WIRES
from bridge.simulator.tape import read_tape

KEY_VARIABLE = "REPLAY_REALTIME_KEY"
KEY = "sk-sim-replay"
"""What the simulator takes."""

_NO_URL = "ws://127.0.0.1/v1/realtime"
"""Stands in the settings of an arm whose service is ours until that runs."""

_TOKEN_TTL_S = 60
"""The shortest that can be asked for; a script's simulator may give less."""

_RECORDED = "=recorded:"

_OURS = (*DIALECTS, *(name for name in FLAVOURS if name != PLAIN.name))
"""The arms of the simulator."""


@dataclass(frozen=True, slots=True)
class ReplayArm:
    """An arm that scripts are played on.

    Attributes:
        settings: as the gateway gets them; without the URL where the service is ours. Of an unknown
            arm its dialect alone.
        tapes: of a recorded arm.
    """

    name: str
    kind: ArmKind
    settings: ArmSettings
    tapes: Tapes | None = None

    @property
    def is_live(self) -> bool:
        """Whether the Realtime service is another's: it may cost, and faults can't be set."""
        return self.kind in ("live", "unknown")

    @property
    def service(self) -> Dialect:
        """Its dialect, as its service speaks it."""
        return dialect_of(self.settings.dialect, self.settings.flavour)

    def plays(self, script: str) -> bool:
        """Return whether a script can be played on it: there may be no recording."""
        return self.tapes is None or self.tapes.of(script) is not None

    def settings_at(self, url: str | None, credentials: str = "direct") -> dict[str, object]:
        """Return the arm's settings as JSON values.

        Args:
            url: of the service, where it is ours.
            credentials: what the gateway connects to the simulator with.
        """
        chosen = self.settings.model_dump(mode="json", exclude_defaults=True)
        if self.kind == "emulated" and self.settings.dialect in TOKEN_WIRES:
            chosen |= {"credentials": credentials, "token_ttl_s": _TOKEN_TTL_S}
        place = self.settings.url if url is None else place_of(url, self.settings.dialect)
        return {**chosen, "dialect": self.settings.dialect, "url": place}

    def info(self, record: Mapping[str, JsonValue] | None = None) -> ArmInfo:
        """Return what results say of it.

        Args:
            record: a running gateway's, of a call on it; None where there is none.
        """
        settings = self.settings
        if self.kind == "unknown":
            dialect, model = (
                str((record or {}).get(name) or otherwise)
                for name, otherwise in (("dialect", settings.dialect), ("model", UNKNOWN))
            )
            return ArmInfo(self.name, dialect, UNKNOWN, model, None, self.kind)
        service = settings.url if self.is_live else "simulator"
        return ArmInfo(
            self.name,
            settings.dialect,
            service if self.tapes is None else str(self.tapes.place),
            settings.model,
            settings.voice,
            self.kind,
        )


def choose_arms(
    names: Sequence[str],
    config: Path | None,
    environ: Mapping[str, str],
    models: ModelTable,
    *,
    of_a_target: bool = False,
) -> tuple[ReplayArm, ...]:
    """Find arms by name: those of the settings file, which are live, before the simulator's.

    Args:
        names: none means both of the simulator; ``NAME=recorded:PATH`` is answered from wire logs.
        config: a settings file; None: there are only the simulator's, named as their dialect, or
            as the flavour that the simulator speaks in.
        environ: may hold settings, too (``BRIDGE_ARMS``), if there is a file.
        models: for the simulator's.
        of_a_target: they are a running gateway's: of those that no settings file has, nothing is
            known but the dialect that they are named by.

    Raises:
        ConfigError: a name is unknown or given twice, the settings are no good, or a recording is.
    """
    live = {} if config is None else load_settings(config, environ).realtime_arms
    chosen = tuple(names) or ("beta", "ga")
    recorded = dict(each.split(_RECORDED, 1) for each in chosen if _RECORDED in each)
    chosen = tuple(each.partition(_RECORDED)[0] for each in chosen)
    for name in chosen:
        if name not in recorded and name not in live and name not in _OURS:
            known = ", ".join([*live, *_OURS])
            raise ConfigError(
                f"there is no arm '{name}'",
                remedy=f"name one of: {known}; --config adds others,"
                " and NAME=recorded:PATH is played from wire logs",
            )
        if chosen.count(name) > 1:
            raise ConfigError(f"the arm '{name}' is named twice")

    def choose(name: str) -> ReplayArm:
        if name in recorded:
            return _recorded(name, Path(recorded[name]), models)
        if name in live:
            return ReplayArm(name, "live", live[name])
        if of_a_target:
            return ReplayArm(name, "unknown", _own_settings(name, UNKNOWN))
        if name in DIALECTS:
            return ReplayArm(name, "emulated", _own_settings(name, models.newest(name)))
        dialect = FLAVOURS[name].dialects[0]
        own = _own_settings(dialect, models.newest(dialect), name)
        return ReplayArm(name, "emulated", own)

    return tuple(choose(name) for name in chosen)


def _recorded(name: str, place: Path, models: ModelTable) -> ReplayArm:
    tapes = find_tapes(place, name)
    tape = read_tape(tapes.first)
    settings = _own_settings(tape.dialect, tape.model or models.newest(tape.dialect))
    return ReplayArm(name, "recorded", settings, tapes)


def check_tapes(arm: ReplayArm, scripts: Iterable[str]) -> None:
    """Read the wire logs of a recorded arm's scripts, before anything is played.

    Raises:
        ConfigError: one is no good, or of another dialect than the arm's first.
    """
    if arm.tapes is None:
        return
    for script in scripts:
        path = arm.tapes.of(script)
        if path is not None and (dialect := read_tape(path).dialect) != arm.settings.dialect:
            raise ConfigError(
                f"speaks {dialect}, and the others of the arm '{arm.name}' {arm.settings.dialect}",
                path=str(path),
                remedy="name an arm for each dialect",
            )


def _own_settings(dialect: str, model: str, flavour: str = PLAIN.name) -> ArmSettings:
    own = {"dialect": dialect, "url": _NO_URL, "model": model, "api_key_env": KEY_VARIABLE}
    return ArmSettings.model_validate({**own, **with_backend(dialect), "flavour": flavour})
