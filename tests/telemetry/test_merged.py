"""Metrics of several processes in one exposition."""

from bridge.telemetry.merged import merge_metrics
from bridge.telemetry.metrics import Format, Metrics, SupervisorMetrics
from bridge.telemetry.scrape import Scrape


def test_samples_say_where_they_are_from_and_families_stay_together() -> None:
    one = (
        "# HELP a_total Of a.\n# TYPE a_total counter\n"
        'a_total{x="1 } 2"} 3.0\n# TYPE b gauge\nb 1.0\n'
    )
    two = "# HELP a_total Of a.\n# TYPE a_total counter\na_total 4.0\n"
    assert merge_metrics({"w1": one, "w2": two, "w3": ""}, "worker").splitlines() == [
        "# HELP a_total Of a.",
        "# TYPE a_total counter",
        'a_total{worker="w1",x="1 } 2"} 3.0',
        'a_total{worker="w2"} 4.0',
        "# TYPE b gauge",
        'b{worker="w1"} 1.0',
    ]


def test_a_sample_that_names_a_worker_keeps_its_name() -> None:
    own = SupervisorMetrics(("serving", "given up"), ("w1", "w2"))
    own.workers.set_states(["serving", "given up", "serving"])
    own.workers.died("w2")
    own.workers.scrape_missed("w1")
    own.audit_failed()
    audit = (
        "# TYPE bridge_audit_write_failures_total counter\nbridge_audit_write_failures_total 0.0\n"
    )
    text = merge_metrics({"w1": audit, "supervisor": own.render()}, "worker")
    found = {line for line in text.splitlines() if not line.startswith("#")}
    assert found == {
        'bridge_audit_write_failures_total{worker="w1"} 0.0',
        'bridge_audit_write_failures_total{worker="supervisor"} 1.0',
        'bridge_workers{worker="supervisor",state="serving"} 2.0',
        'bridge_workers{worker="supervisor",state="given up"} 1.0',
        'bridge_worker_deaths_total{worker="w1"} 0.0',
        'bridge_worker_deaths_total{worker="w2"} 1.0',
        'bridge_worker_scrapes_missed_total{worker="w1"} 1.0',
        'bridge_worker_scrapes_missed_total{worker="w2"} 0.0',
    }


def test_all_that_the_bridge_exports_is_kept() -> None:
    text = b"".join(Metrics("1").render_parts(Format.TEXT)).decode()
    alone, both = Scrape.parse(text), Scrape.parse(merge_metrics({"a": text, "b": text}, "worker"))
    assert len(both.samples) == 2 * len(alone.samples) > 100
