"""A script's file, and the circumstance of a pack that its script is under."""

from dataclasses import dataclass
from pathlib import Path

from bridge.replay.script import CallScript
from bridge.replay.script.packs import PackItem
from bridge.simulator.scenario import Scenario


@dataclass(frozen=True, slots=True)
class Circumstance:
    """The item of a pack that a script is played under.

    Attributes:
        name: of the item.
    """

    pack: str
    name: str
    item: PackItem


@dataclass(frozen=True, slots=True)
class ScriptFile:
    """A script, and the file that it is in.

    Attributes:
        circumstance: that the script is under already; None of one as it is in its file.
        base: id of the script in the file, where that is another.
    """

    path: Path
    script: CallScript
    sha256: str
    circumstance: Circumstance | None = None
    base: str = ""

    def scenario(self) -> Scenario:
        """Return what the simulator plays in its calls.

        Raises:
            ConfigError: the scenario's file is no good.
        """
        return self.script.realtime.build(self.path.parent)


def under(script: CallScript, item: PackItem) -> CallScript:
    """Return a script under a circumstance."""
    given = item.model_fields_set - {"about", "media"}
    changed: dict[str, object] = {name: getattr(item, name) for name in given}
    if item.media is not None:
        own = {name: getattr(item.media, name) for name in item.media.model_fields_set}
        changed["media"] = script.media.model_copy(update=own)
    return script.model_copy(update=changed)
