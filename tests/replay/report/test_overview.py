"""Protocol differences of all scripts are gathered."""

from bridge.replay.checks.protocol import DifferenceKind, ProtocolDifference
from bridge.replay.report.overview import tally
from bridge.replay.results.run import ProtocolFinding


def _difference(event: str, *, blocks: bool, at_ms: float | None = None) -> ProtocolDifference:
    return ProtocolDifference(DifferenceKind.MISSING, "received", event, "gone", at_ms, blocks)


def test_one_difference_in_many_scripts_is_one_finding() -> None:
    renamed = _difference("response.output_audio.delta", blocks=True, at_ms=900.0)
    rare = _difference("rate_limits.updated", blocks=False)
    found = tally(
        "beta",
        "ga",
        [
            ProtocolFinding("first", "ga", "beta", rare),
            ProtocolFinding("first", "ga", "beta", renamed),
            ProtocolFinding("second", "ga", "beta", renamed),
            ProtocolFinding("second", "third_arm", "beta", renamed),
        ],
        {"first": True, "second": True, "third": False},
        {"first": "script-1", "second": "script-2", "third": "script-3"},
    )
    assert [finding.event for finding in found.findings] == [
        "response.output_audio.delta",
        "rate_limits.updated",
    ]
    assert [place.anchor for place in found.findings[0].places] == ["script-1", "script-2"]
    assert (found.blocking, found.compared, found.left_out) == (1, 2, 1)
