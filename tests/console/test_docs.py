"""deploy/CONSOLE.md says what the code does."""

from bridge.console.access.roles import ALLOWED, Permission, UserRole
from tests.deploy.rules import DEPLOY

TEXT = (DEPLOY / "CONSOLE.md").read_text(encoding="utf-8")


def test_the_table_of_roles_is_the_codes() -> None:
    rows = [line for line in TEXT.splitlines() if line.startswith("| `") and line.count("|") == 9]
    found = {
        Permission(cells[1].strip(" `")): {
            role for role, cell in zip(UserRole, cells[2:-1], strict=True) if cell.strip() == "yes"
        }
        for cells in (row.split("|") for row in rows)
    }
    assert found == {each: {r for r in UserRole if each in ALLOWED[r]} for each in Permission}
