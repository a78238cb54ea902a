"""The wire logs of a recorded arm: one for each script's calls to be answered from. Blocks."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bridge.errors import ConfigError
from bridge.replay.results.files import WIRE_FILE

_REMEDY = (
    "name a wire log, a directory with SCRIPT.jsonl in it, or what bridge replay --report wrote"
)


@dataclass(frozen=True, slots=True)
class Tapes:
    """An arm's.

    Attributes:
        place: file or directory, as it was named.
        by_script: a wire log for each script; None: ``place`` is the only one, for all scripts.
    """

    place: Path
    by_script: Mapping[str, Path] | None

    def of(self, script: str) -> Path | None:
        """Return a script's wire log; None where it has none."""
        return self.place if self.by_script is None else self.by_script.get(script)

    @property
    def first(self) -> Path:
        """One of them."""
        return self.place if self.by_script is None else next(iter(self.by_script.values()))


def find_tapes(place: Path, arm: str) -> Tapes:
    """Find an arm's wire logs.

    Args:
        place: a file; a directory with a ``SCRIPT.jsonl`` for each script; or the directory of
            `bridge replay --report`, of which the first calls on the arm are taken.
        arm: its name there; another one will do if there is no choice.

    Raises:
        ConfigError: there are none.
    """
    if place.is_file():
        return Tapes(place, None)
    if not place.is_dir():
        raise ConfigError("is not there", path=str(place), remedy=_REMEDY)
    runs = _of_runs(place, arm)
    found = runs or {path.stem: path for path in sorted(place.glob("*.jsonl"))}
    if not found:
        raise ConfigError("holds no wire log", path=str(place), remedy=_REMEDY)
    return Tapes(place, found)


def _of_runs(place: Path, arm: str) -> dict[str, Path]:
    """Return the first call of each script on an arm; one that reached no service has none."""
    arms = sorted({path.parent.parent.name for path in place.glob(f"runs/*/*/*/{WIRE_FILE}")})
    if not arms:
        return {}
    if arm not in arms and len(arms) > 1:
        raise ConfigError(
            f"holds no arm '{arm}', but {', '.join(arms)}",
            path=str(place),
            remedy=f"name the arm as it was: --arm {arms[0]}=recorded:{place}",
        )
    name = arm if arm in arms else arms[0]
    paths = sorted(place.glob(f"runs/*/{name}/*/{WIRE_FILE}"), key=_number, reverse=True)
    return {path.parents[2].name: path for path in paths if path.stat().st_size}


def _number(path: Path) -> tuple[int, str]:
    name = path.parent.name
    return (int(name) if name.isdigit() else 0), name
