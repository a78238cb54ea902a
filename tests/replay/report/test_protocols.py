"""Protocol differences of all scripts are gathered."""

from bridge.replay.protocol import Difference, DifferenceKind
from bridge.replay.report.protocols import tally


def _difference(event: str, *, blocks: bool, at_ms: float | None = None) -> Difference:
    return Difference(DifferenceKind.MISSING, "received", event, "gone", at_ms, blocks)


def test_one_difference_in_many_scripts_is_one_finding() -> None:
    renamed = _difference("response.output_audio.delta", blocks=True, at_ms=900.0)
    found = tally(
        "beta",
        "ga",
        {
            ("first", "script-1"): [_difference("rate_limits.updated", blocks=False), renamed],
            ("second", "script-2"): [renamed],
            ("third", "script-3"): None,
            ("fourth", "script-4"): [],
        },
    )
    assert [finding.event for finding in found.findings] == [
        "response.output_audio.delta",
        "rate_limits.updated",
    ]
    assert [place.script for place in found.findings[0].places] == ["first", "second"]
    assert (found.blocking, found.compared, found.left_out) == (1, 3, 1)
