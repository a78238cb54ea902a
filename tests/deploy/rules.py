"""The alert rules in deploy/, and the series with which each one fires, or just doesn't."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
RULE_FILES = sorted((DEPLOY / "prometheus" / "rules").glob("*.yaml"))
CASES = Path(__file__).with_name("alert_cases.yaml")

Yaml = dict[str, Any]  # Any: what a YAML file holds


def read_rules() -> list[Yaml]:
    """Return every rule of every file: alerts and records."""
    return [
        rule
        for path in RULE_FILES
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
    ]


def read_alerts() -> dict[str, Yaml]:
    """Return the alerts by name."""
    return {rule["alert"]: rule for rule in read_rules() if "alert" in rule}


def read_cases() -> dict[str, Yaml]:
    """Return what `alert_cases.yaml` says of each alert."""
    cases: dict[str, Yaml] = yaml.safe_load(CASES.read_text(encoding="utf-8"))
    return cases


@dataclass(frozen=True, slots=True)
class AlertTest:
    """One alert with some series, as `promtool test rules` takes it."""

    alert: str
    rule: Yaml
    case: Yaml
    series: dict[str, str]
    fires: bool
    labels: Yaml

    def to_promtool(self) -> Yaml:
        labels = {**self.labels, **self.rule["labels"]}
        expected = {
            "exp_labels": labels,
            "exp_annotations": {
                name: _expand(text, labels) for name, text in self.rule["annotations"].items()
            },
        }
        return {
            "name": f"{self.alert} {'fires' if self.fires else 'is quiet'}",
            "interval": self.case.get("interval", "1m"),
            "input_series": [
                {"series": name, "values": str(values)} for name, values in self.series.items()
            ],
            "alert_rule_test": [
                {
                    "eval_time": self.case["at"],
                    "alertname": self.alert,
                    "exp_alerts": [expected] if self.fires else [],
                }
            ],
        }


def alert_tests(alert: str, rule: Yaml, case: Yaml) -> list[AlertTest]:
    """Return the tests of one alert; what fires with other labels says so beside its series."""
    firing = [case["fires"], *case.get("also_fires", [])]
    return [
        *(
            AlertTest(
                alert,
                rule,
                case,
                {name: values for name, values in series.items() if name != "labels"},
                True,
                series.get("labels", case["labels"]),
            )
            for series in firing
        ),
        *(AlertTest(alert, rule, case, series, False, {}) for series in case["quiet"]),
    ]


def write_promtool_files(tests: list[AlertTest], directory: Path) -> list[str]:
    """Write what `promtool test rules` reads: a file for each interval of evaluation."""
    by_interval: dict[str, list[AlertTest]] = {}
    for test in tests:
        by_interval.setdefault(test.case.get("evaluated", "1m"), []).append(test)
    paths = [directory / f"every-{interval}.yaml" for interval in by_interval]
    for path, (interval, group) in zip(paths, by_interval.items(), strict=True):
        content = {
            "rule_files": [str(each) for each in RULE_FILES],
            "evaluation_interval": interval,
            "tests": [test.to_promtool() for test in group],
        }
        path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return [str(path) for path in paths]


def _expand(text: str, labels: dict[str, str]) -> str:
    for name, value in labels.items():
        text = text.replace(f"{{{{ $labels.{name} }}}}", value)
    return text
