"""Results as JUnit XML, for CI servers: a suite an arm, a testcase a run. Pure.

A failure's text is the first broken expectation and its time; infrastructure is an ``error``, and
what is inconclusive is ``skipped``, with the reason. An attempt that did not count, for the machine
was too busy, stands beside the verdict in the words of Maven Surefire ("Rerun Failing Tests"):
``flakyFailure`` where the run then passed, ``rerunFailure`` where it did not. Jenkins' Flaky Test
Handler and action-junit-report know them; for other readers there is the property ``attempts``.
"""

from collections.abc import Mapping
from xml.etree.ElementTree import Element, SubElement, tostring

from bridge.replay.results.history import Timing
from bridge.replay.results.run import Results, RunInfo, RunVerdict

_ELEMENTS = {
    RunVerdict.FAIL: "failure",
    RunVerdict.INFRASTRUCTURE: "error",
    RunVerdict.INCONCLUSIVE: "skipped",
}
_COUNTED = {
    "failures": RunVerdict.FAIL,
    "errors": RunVerdict.INFRASTRUCTURE,
    "skipped": RunVerdict.INCONCLUSIVE,
}


def make_junit(
    results: Results,
    properties: Mapping[str, Mapping[str, str]],
    timings: Mapping[tuple[str, str], Timing],
) -> bytes:
    """Return the document, UTF-8.

    Args:
        results: of the command.
        properties: more of a run's, by its folder: call id, seed.
        timings: of a script's calls on an arm.
    """
    root = Element("testsuites", name="bridge replay", time=f"{results.seconds}")
    paths = {script.id: script.path for script in results.scripts}
    for arm in results.arms:
        runs = [run for run in results.runs if run.arm == arm.name]
        suite = SubElement(root, "testsuite", name=arm.name, timestamp=results.started_at)
        suite.set("time", f"{sum(run.seconds for run in runs):.1f}")
        suite.set("tests", str(len(runs)))
        for name, verdict in _COUNTED.items():
            suite.set(name, str(sum(run.verdict is verdict for run in runs)))
        for run in runs:
            timing = timings.get((run.script, run.arm))
            _add_case(suite, run, paths[run.script], properties.get(run.folder, {}), timing)
    document: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return document


def _add_case(
    suite: Element, run: RunInfo, path: str, properties: Mapping[str, str], timing: Timing | None
) -> None:
    name = f"{run.script} [{run.number}]"
    case = SubElement(suite, "testcase", classname=path, name=name, time=f"{run.seconds}")
    values = {**properties, "artifacts": run.folder, "attempts": f"{run.attempts}"}
    if run.not_applicable:
        values["not_applicable"] = "; ".join(run.not_applicable)
    if timing is not None and timing.p50_ms is not None:
        values |= {"latency_p50_ms": f"{timing.p50_ms}", "latency_p95_ms": f"{timing.p95_ms}"}
    listed = SubElement(case, "properties")
    for key, value in values.items():
        SubElement(listed, "property", name=key, value=_clean(value))
    element = _ELEMENTS.get(run.verdict)
    if element is not None:
        at = "" if run.at_ms is None else f" (at {run.at_ms / 1000:.1f} s of the call)"
        SubElement(case, element, message=_clean(run.reason)).text = _clean(f"{run.reason}{at}")
    if run.attempts > 1:
        again = "flakyFailure" if run.verdict is RunVerdict.PASS else "rerunFailure"
        why = _clean(run.spoiled_by)
        attempt = SubElement(case, again, message=why, type="machine_too_busy")
        SubElement(attempt, "stackTrace").text = why


def _clean(text: str) -> str:
    """Leave out what XML 1.0 has no way to say."""
    return "".join(c for c in text if c in "\t\n" or 0x20 <= ord(c) < 0xD800 or ord(c) >= 0xE000)
