"""Metrics of supervisors' actions on live calls."""

from bridge.telemetry.metrics.families import Families


class SupervisionMetrics:
    """Actions of supervisors; `action` is one of a fixed list."""

    def __init__(self, make: Families) -> None:
        self._actions = make.counter(
            "supervisor_actions_total", "Supervisors' actions on calls.", "action", "result"
        )

    def acted(self, action: str, *, refused: bool) -> None:
        """Count an action that a node was asked for."""
        self._actions.labels(action, "refused" if refused else "ok").inc()
