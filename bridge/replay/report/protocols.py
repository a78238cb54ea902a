"""Protocol differences over all scripts: the same one in twenty scripts is one finding. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bridge.replay.checks.protocol import DifferenceKind
from bridge.replay.results.run import ProtocolFinding


@dataclass(frozen=True, slots=True)
class Place:
    """A script that shows a finding.

    Attributes:
        anchor: of its card.
    """

    script: str
    anchor: str
    at_ms: float | None


@dataclass(frozen=True, slots=True)
class Finding:
    """A protocol difference of an arm from the first one."""

    arm: str
    kind: DifferenceKind
    direction: str
    event: str
    detail: str
    blocks: bool
    places: tuple[Place, ...]

    @property
    def what(self) -> str:
        """Its kind in words."""
        return self.kind.value.replace("_", " ")


@dataclass(frozen=True, slots=True)
class ProtocolTally:
    """What was compared, and what was found.

    Attributes:
        compared: scripts whose wire logs both arms have.
        left_out: scripts that lack one.
    """

    first: str
    second: str
    findings: tuple[Finding, ...]
    compared: int
    left_out: int

    @property
    def blocking(self) -> int:
        """How many findings block a release."""
        return sum(finding.blocks for finding in self.findings)


def tally(
    first: str,
    second: str,
    findings: Iterable[ProtocolFinding],
    compared: Mapping[str, bool],
    anchors: Mapping[str, str],
) -> ProtocolTally:
    """Gather the differences of all scripts.

    Args:
        first: the arm that the other is compared with.
        second: the other.
        findings: of the whole run.
        compared: for each script whether both arms have wire logs of it.
        anchors: of the scripts' cards.

    Returns:
        Those that block first, and of those the ones that most scripts show.
    """
    places: dict[tuple[DifferenceKind, str, str, str, bool], list[Place]] = {}
    for each in findings:
        if (each.reference, each.arm) == (first, second):
            found = each.difference
            key = (found.kind, found.direction, found.event, found.detail, found.blocks)
            place = Place(each.script, anchors[each.script], found.at_ms)
            places.setdefault(key, []).append(place)
    sums = [Finding(second, *key, tuple(at)) for key, at in places.items()]
    sums.sort(key=lambda finding: (not finding.blocks, -len(finding.places), finding.event))
    known = sum(compared.values())
    return ProtocolTally(first, second, tuple(sums), known, len(compared) - known)
