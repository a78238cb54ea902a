"""The arms that scripts are played on: those of the simulator, and those of a settings file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bridge.config.loading import load_settings
from bridge.config.models import ModelTable
from bridge.config.settings import ArmSettings
from bridge.errors import ConfigError
from bridge.realtime.dialects import DIALECTS
from bridge.replay.results import ArmInfo, ArmKind

KEY_VARIABLE = "REPLAY_REALTIME_KEY"
KEY = "sk-sim-replay"
"""What the simulator takes."""

_NO_URL = "ws://127.0.0.1/v1/realtime"
"""Stands in an emulated arm's settings until its simulator runs."""


@dataclass(frozen=True, slots=True)
class ReplayArm:
    """One arm.

    Attributes:
        settings: as the gateway gets them; of an emulated arm without the URL.
    """

    name: str
    kind: ArmKind
    settings: ArmSettings

    @property
    def is_emulated(self) -> bool:
        """Whether the Realtime service is our simulator."""
        return self.kind == "emulated"

    def settings_at(self, url: str | None) -> dict[str, object]:
        """Return the arm's settings as JSON values; ``url``: of the simulator, where it has one."""
        chosen = self.settings.model_dump(mode="json", exclude_defaults=True)
        return {**chosen, "dialect": self.settings.dialect, "url": url or self.settings.url}

    def info(self) -> ArmInfo:
        """Return what results say of it."""
        settings = self.settings
        return ArmInfo(
            self.name,
            settings.dialect,
            "simulator" if self.is_emulated else settings.url,
            settings.model,
            settings.voice,
            self.kind,
        )


def choose_arms(
    names: Sequence[str], config: Path | None, environ: Mapping[str, str], models: ModelTable
) -> tuple[ReplayArm, ...]:
    """Find arms by name: those of the settings file, which are live, before the simulator's.

    Args:
        names: none means both of the simulator.
        config: a settings file; None: there are only the simulator's, named as their dialect.
        environ: may hold settings, too (``BRIDGE_ARMS``), if there is a file.
        models: for the simulator's.

    Raises:
        ConfigError: a name is unknown or given twice, or the settings are no good.
    """
    live = {} if config is None else load_settings(config, environ).arms
    chosen = tuple(names) or ("beta", "ga")
    for name in chosen:
        if name not in live and name not in DIALECTS:
            known = ", ".join([*live, *DIALECTS])
            raise ConfigError(
                f"there is no arm '{name}'", remedy=f"name one of: {known}; --config adds others"
            )
        if chosen.count(name) > 1:
            raise ConfigError(f"the arm '{name}' is named twice")
    return tuple(
        ReplayArm(name, "live", live[name]) if name in live else _emulated(name, models)
        for name in chosen
    )


def _emulated(dialect: str, models: ModelTable) -> ReplayArm:
    settings = ArmSettings.model_validate(
        {
            "dialect": dialect,
            "url": _NO_URL,
            "model": models.newest(dialect),
            "api_key_env": KEY_VARIABLE,
        }
    )
    return ReplayArm(dialect, "emulated", settings)
