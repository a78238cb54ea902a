"""The console's screens: one table, for the menu and the pages."""

from dataclasses import dataclass

from bridge.console.access.roles import Permission


@dataclass(frozen=True, slots=True)
class ConsoleScreen:
    """A page of the menu; its sign is in `templates/icons.html`.

    Attributes:
        path: where it is.
        title: what it is called.
        permission: who may see it.
    """

    path: str
    title: str
    permission: Permission

    @property
    def template(self) -> str:
        """The file of `templates/` that it is made of."""
        return f"{self.path.removeprefix('/')}.html"


SCREENS = (
    ConsoleScreen("/calls", "Live calls", Permission.CALLS_VIEW),
    ConsoleScreen("/queue", "Waiting callers", Permission.QUEUE_VIEW),
    ConsoleScreen("/wallboard", "Wallboard", Permission.CALLS_VIEW),
    ConsoleScreen("/trends", "Trends", Permission.CALLS_VIEW),
    ConsoleScreen("/people", "People", Permission.MONITOR),
    ConsoleScreen("/alerts", "Alerts", Permission.ALERTS_VIEW),
    ConsoleScreen("/history", "History", Permission.HISTORY_VIEW),
    ConsoleScreen("/refusals", "Refused calls", Permission.REFUSALS_VIEW),
    ConsoleScreen("/rollouts", "Rollouts", Permission.ROLLOUT_VIEW),
    ConsoleScreen("/replays", "QA results", Permission.REPLAYS_VIEW),
    ConsoleScreen("/routes", "Routes and hours", Permission.CALLS_VIEW),
    ConsoleScreen("/users", "Users", Permission.USERS_ADMIN),
    ConsoleScreen("/audit", "Audit", Permission.AUDIT_READ),
)

OWN = tuple(screen for screen in SCREENS if screen.path not in ("/users", "/audit"))
"""Those whose pages are a template and the API, and nothing else."""
