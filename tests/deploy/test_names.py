"""No alert, record, panel or annotation asks for a metric or label that nothing exports."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bridge.telemetry.metrics import Metrics, SupervisorMetrics
from tests.deploy.promql import Selector, grouped, selectors
from tests.deploy.rules import DEPLOY, read_rules

Json = dict[str, Any]  # Any: a dashboard as Grafana reads it

DASHBOARDS = sorted((DEPLOY / "grafana").glob("*.json"))

OTHERS = {
    "bridge_synthetic_call_success": "the node exporter's, from deploy/prometheus/synthetic-call",
    "bridge_synthetic_call_timestamp_seconds": "likewise",
    "up": "Prometheus' own",
    "probe_ssl_earliest_cert_expiry": "the blackbox exporter's, of a proxy before the bridge",
    "node_netstat_Udp_RcvbufErrors": "the node exporter's: packets that no process ever saw",
}
"""Exported by others."""

TARGET_LABELS = frozenset({"instance", "job"})
"""Added by Prometheus when it scrapes."""

METRICS = Metrics("0")
LABELS = {**METRICS.labels, **SupervisorMetrics((), ()).labels}
RECORDS = {rule["record"] for rule in read_rules() if "record" in rule}


def exported() -> set[str]:
    """Return every series name of a running process: the bridge's and the process collector's."""
    text = METRICS.render()[0].decode()
    process = {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in text_string_to_metric_families(text)
        if not family.name.startswith("bridge_")
    }
    return process | LABELS.keys()


def queries_of(board: Json) -> Iterator[tuple[str, str]]:
    for panel in board["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for annotation in board["annotations"]["list"]:
        yield annotation["name"], annotation["expr"]


def queries() -> list[tuple[str, str]]:
    """Return (where, PromQL) of everything in deploy/."""
    found = [(rule.get("alert") or rule["record"], rule["expr"]) for rule in read_rules()]
    for path in DASHBOARDS:
        board = json.loads(path.read_text(encoding="utf-8"))
        found += [(f"{path.name}: {title}", expr) for title, expr in queries_of(board)]
    return found


QUERIES = queries()


@pytest.mark.parametrize(("where", "expr"), QUERIES)
def test_every_metric_that_is_asked_for_is_exported(where: str, expr: str) -> None:
    known = exported() | RECORDS | OTHERS.keys()
    asked = [selector.name for selector in selectors(expr)]
    assert asked, f"{where}: no metric was found in its query"
    assert [name for name in asked if name not in known] == []


@pytest.mark.parametrize(("where", "expr"), QUERIES)
def test_every_label_that_is_asked_for_is_exported(where: str, expr: str) -> None:
    asked = [each for each in selectors(expr) if each.name in LABELS]
    wrong = {
        each.name: unknown
        for each in asked
        if (unknown := each.labels - set(LABELS[each.name]) - TARGET_LABELS)
    }
    assert wrong == {}
    if len(asked) == len(list(selectors(expr))):  # else others' labels are among them
        known = TARGET_LABELS.union(*(LABELS[each.name] for each in asked))
        assert grouped(expr) <= known


def test_what_others_export_is_asked_for() -> None:
    asked = {selector.name for _, expr in QUERIES for selector in selectors(expr)}
    assert OTHERS.keys() - asked == set()


def test_the_eight_dashboards_are_there() -> None:
    names = {path.stem for path in DASHBOARDS}
    assert names == {"golden", "arms", "sip", "media", "turns", "tools", "queue", "host"}


def test_dashboards_are_what_their_table_says() -> None:
    build = [sys.executable, str(DEPLOY / "grafana" / "build.py"), "--check"]
    done = subprocess.run(build, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, f"{done.stdout}; run: python deploy/grafana/build.py"


@pytest.mark.parametrize(
    ("expr", "found"),
    [
        (
            'sum by (arm) (rate(a_total{arm=~"x|y",code!="1"}[5m] offset 2m)) / b > bool 0.5',
            [("a_total", {"arm", "code"}), ("b", set())],
        ),
        ("histogram_quantile(0.95, sum by (le) (rate(h_bucket[1h])))", [("h_bucket", set())]),
        ("level:x:rate5m and on (arm) y unless 3e2 * z", [("level:x:rate5m", set()), ("y", set())]),
        ('absent(up{job="bridge"}) or time() - t > 60', [("up", {"job"}), ("t", set())]),
    ],
)
def test_metrics_are_found_in_an_expression(expr: str, found: list[tuple[str, set[str]]]) -> None:
    expected = [Selector(name, frozenset(labels)) for name, labels in found]
    assert list(selectors(expr))[: len(expected)] == expected
