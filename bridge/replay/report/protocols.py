"""Protocol differences over all scripts: the same one in twenty scripts is one finding. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bridge.replay.protocol import Difference, DifferenceKind


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
    by_script: Mapping[tuple[str, str], Sequence[Difference] | None],
) -> ProtocolTally:
    """Gather the differences of all scripts.

    Args:
        first: the arm that the other is compared with.
        second: the other.
        by_script: differences by script and the anchor of its card; None where they could not be
            compared.

    Returns:
        Those that block first, and of those the ones that most scripts show.
    """
    places: dict[tuple[DifferenceKind, str, str, str, bool], list[Place]] = {}
    for (script, anchor), differences in by_script.items():
        for each in differences or ():
            key = (each.kind, each.direction, each.event, each.detail, each.blocks)
            places.setdefault(key, []).append(Place(script, anchor, each.at_ms))
    findings = [Finding(second, *key, tuple(found)) for key, found in places.items()]
    findings.sort(key=lambda finding: (not finding.blocks, -len(finding.places), finding.event))
    left_out = sum(differences is None for differences in by_script.values())
    return ProtocolTally(first, second, tuple(findings), len(by_script) - left_out, left_out)
