"""The console's screens: one table, for the menu and the pages."""

from dataclasses import dataclass

from bridge.console.access.roles import Permission


@dataclass(frozen=True, slots=True)
class ConsoleScreen:
    """A page of the menu.

    Attributes:
        path: where it is.
        title: what it is called.
        permission: who may see it.
        template: what it is made of.
        icon: its sign, an SVG path on 16 x 16.
    """

    path: str
    title: str
    permission: Permission
    template: str
    icon: str


SCREENS = (
    ConsoleScreen(
        "/calls",
        "Live calls",
        Permission.CALLS_VIEW,
        "calls.html",
        "M4 1.5 6.2 5 5 6.8c.8 1.8 2.3 3.4 4.2 4.2L11 9.8l3.5 2.2-1 2.5C7 15 1 9 1.5 2.5L4 1.5Z",
    ),
    ConsoleScreen(
        "/queue",
        "Waiting callers",
        Permission.QUEUE_VIEW,
        "queue.html",
        "M8 1a7 7 0 1 1 0 14A7 7 0 0 1 8 1Zm-.8 3v4.5l3.6 2.1.8-1.3-2.9-1.7V4H7.2Z",
    ),
    ConsoleScreen(
        "/wallboard",
        "Wallboard",
        Permission.CALLS_VIEW,
        "wallboard.html",
        "M1 2h14v9H9v2h3v1.5H4V13h3v-2H1V2Zm2 7h2V6H3v3Zm4 0h2V4H7v5Zm4 0h2V7h-2v2Z",
    ),
    ConsoleScreen(
        "/trends",
        "Trends",
        Permission.CALLS_VIEW,
        "trends.html",
        "M1 13.5h14V15H1v-1.5ZM2 8h2.5v4.5H2V8Zm4.8-3h2.4v7.5H6.8V5Zm4.7-4H14v11.5h-2.5V1Z",
    ),
    ConsoleScreen(
        "/people",
        "People",
        Permission.MONITOR,
        "people.html",
        "M5.5 7.5a3 3 0 1 0 0-6 3 3 0 0 0 0 6ZM.5 14c0-3 2-4.8 5-4.8s5 1.8 5 4.8h-10Zm10.3-6.5a2.6"
        " 2.6 0 1 0-.6-5.1 4.5 4.5 0 0 1 0 4.9l.6.2Zm-.1 1.5c1 1.1 1.5 2.8 1.6 5h3.2c0-3-1.7-5"
        "-4.8-5Z",
    ),
    ConsoleScreen(
        "/alerts",
        "Alerts",
        Permission.ALERTS_VIEW,
        "alerts.html",
        "M8 1.3 15.2 14H.8L8 1.3ZM7.2 6v4h1.6V6H7.2Zm0 5.2v1.5h1.6v-1.5H7.2Z",
    ),
    ConsoleScreen(
        "/history",
        "History",
        Permission.HISTORY_VIEW,
        "history.html",
        "M2 2h12v2H2V2Zm0 4h12v2H2V6Zm0 4h8v2H2v-2Z",
    ),
    ConsoleScreen(
        "/rollouts",
        "Rollouts",
        Permission.ROLLOUT_VIEW,
        "rollouts.html",
        "M2 3h2v8.5l7-7H8V3h6v6h-1.5V5.6L4.9 13H14v1.5H2V3Z",
    ),
    ConsoleScreen(
        "/replays",
        "QA results",
        Permission.REPLAYS_VIEW,
        "replays.html",
        "M6.5 11.6 2.9 8l1.2-1.2 2.4 2.4 5.4-5.4L13.1 5l-6.6 6.6Z",
    ),
    ConsoleScreen(
        "/routes",
        "Routes and hours",
        Permission.CALLS_VIEW,
        "routes.html",
        "M3 1h2v4h4.5L8.2 3.6l1.1-1.1L12.8 6 9.3 9.5 8.2 8.4 9.5 7H5v8H3V1Z",
    ),
    ConsoleScreen(
        "/users",
        "Users",
        Permission.USERS_ADMIN,
        "users.html",
        "M8 8a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7Zm-6.5 7c0-3.3 2.9-5.5 6.5-5.5s6.5 2.2"
        " 6.5 5.5h-13Z",
    ),
    ConsoleScreen(
        "/audit",
        "Audit",
        Permission.AUDIT_READ,
        "audit.html",
        "M3 1h7l3 3v11H3V1Zm2 5v1.5h6V6H5Zm0 3v1.5h6V9H5Z",
    ),
)

OWN = tuple(screen for screen in SCREENS if screen.path not in ("/users", "/audit"))
"""Those whose pages are a template and the API, and nothing else."""
