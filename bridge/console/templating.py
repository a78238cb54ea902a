"""The templates, compiled when this module is imported: at a request they only fill in."""

import json
from pathlib import Path

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from bridge.console.access.principal import Principal
from bridge.console.screens import SCREENS
from bridge.routing.supervisor_verbs import VERBS

PAGE_VERBS = {
    verb.name: {
        "title": verb.title,
        "done": verb.done,
        "permission": verb.permission,
        "forHolder": verb.for_holder,
        "path": verb.path,
        "holderPath": verb.holder_path or verb.path,
    }
    for verb in VERBS.values()
}
"""What the pages' scripts know of the supervisors' verbs, by name."""

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=select_autoescape(default=True),
    undefined=StrictUndefined,
    auto_reload=False,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.globals["screens"] = SCREENS
_TEMPLATES.globals["verbs"] = json.dumps(PAGE_VERBS)
for _name in _TEMPLATES.list_templates():
    _TEMPLATES.get_template(_name)


def render(
    request: Request,
    template: str,
    principal: Principal | None = None,
    *,
    status_code: int = 200,
    **values: object,
) -> HTMLResponse:
    """Return a page.

    Args:
        request: whose page it is.
        template: a file of `templates/`.
        principal: who is signed in; ``base.html`` shows him and gives scripts his CSRF token.
        status_code: of HTTP.
        values: for the template; all are escaped.
    """
    page = _TEMPLATES.get_template(template).render(
        principal=principal, path=request.url.path, **values
    )
    return HTMLResponse(page, status_code=status_code)
