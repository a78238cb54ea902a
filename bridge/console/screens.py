"""The console's screens: one table, for the menu and the pages."""

from dataclasses import dataclass

from bridge.console.access.roles import Permission


@dataclass(frozen=True, slots=True)
class Screen:
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
    Screen(
        "/calls",
        "Live calls",
        Permission.CALLS_VIEW,
        "calls.html",
        "M4 1.5 6.2 5 5 6.8c.8 1.800 2.300 3.400 4.200 4.200L11 9.800l3.500 2.200-1 2.500C7 15 1 9 1.5"
        " 2.500L4 1.500Z",
    ),
    Screen(
        "/queue",
        "Waiting callers",
        Permission.QUEUE_VIEW,
        "queue.html",
        "M8 1a7 7 0 1 1 0 14A7 7 0 0 1 8 1Zm-.8 3v4.500l3.600 2.100.8-1.300-2.900-1.700V4H7.200Z",
    ),
    Screen(
        "/wallboard",
        "Wallboard",
        Permission.CALLS_VIEW,
        "wallboard.html",
        "M1 2h14v9H9v2h3v1.500H4V13h3v-2H1V2Zm2 7h2V6H3v3Zm4 0h2V4H7v5Zm4 0h2V7h-2v2Z",
    ),
    Screen(
        "/alerts",
        "Alerts",
        Permission.ALERTS_VIEW,
        "alerts.html",
        "M8 1.300 15.200 14H.8L8 1.300ZM7.200 6v4h1.600V6H7.200Zm0 5.200v1.500h1.600v-1.500H7.200Z",
    ),
    Screen(
        "/history",
        "History",
        Permission.HISTORY_VIEW,
        "history.html",
        "M2 2h12v2H2V2Zm0 4h12v2H2V6Zm0 4h8v2H2v-2Z",
    ),
    Screen(
        "/rollouts",
        "Rollouts",
        Permission.ROLLOUT_VIEW,
        "rollouts.html",
        "M2 3h2v8.500l7-7H8V3h6v6h-1.500V5.600L4.900 13H14v1.500H2V3Z",
    ),
    Screen(
        "/replays",
        "QA results",
        Permission.REPLAYS_VIEW,
        "replays.html",
        "M6.500 11.600 2.900 8l1.200-1.200 2.400 2.400 5.400-5.400L13.100 5l-6.600 6.600Z",
    ),
    Screen(
        "/routes",
        "Routes and hours",
        Permission.CALLS_VIEW,
        "routes.html",
        "M3 1h2v4h4.500L8.200 3.600l1.100-1.100L12.800 6 9.300 9.500 8.200 8.400 9.500 7H5v8H3V1Z",
    ),
    Screen(
        "/users",
        "Users",
        Permission.USERS_ADMIN,
        "users.html",
        "M8 8a3.500 3.500 0 1 0 0-7 3.500 3.500 0 0 0 0 7Zm-6.500 7c0-3.300 2.900-5.500 6.500-5.500s6.500 2.200"
        " 6.500 5.500h-13Z",
    ),
    Screen(
        "/audit",
        "Audit",
        Permission.AUDIT_READ,
        "audit.html",
        "M3 1h7l3 3v11H3V1Zm2 5v1.500h6V6H5Zm0 3v1.500h6V9H5Z",
    ),
)

OWN = tuple(screen for screen in SCREENS if screen.path not in ("/users", "/audit"))
"""Those whose pages are a template and the API, and nothing else."""
