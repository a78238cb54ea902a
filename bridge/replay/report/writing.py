"""The report as one HTML file. Blocks: it reads every call of a run."""

import base64
import gzip
import hashlib
from importlib import resources
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bridge.recordings.writing import replace
from bridge.replay.report.lanes import KINDS, MARKER_PX, clock_text
from bridge.replay.report.page import Page, make_page
from bridge.replay.report.reading import read_material
from bridge.replay.report.sound import LANE_UNITS
from bridge.replay.report.timing import STAGES
from bridge.replay.results.files import REPORT_FILE
from bridge.replay.results.statistics import PERCENTILES

AUDIO_BYTES = 5_500_000
"""Most that audio takes of a page: about 23 minutes of calls. With the rest of the whole library,
five times on two arms, that is under 10 MB: it goes by mail, and a browser opens it in a moment.
What has no room is linked to in its folder."""

_PACKAGE = "bridge.replay.report"


def write_report(
    directory: Path, history: Path | None = None, *, audio_bytes: int = AUDIO_BYTES
) -> Path:
    """Write the report of a run of `bridge replay` beside its results; return its path.

    Args:
        directory: that holds ``results.json`` and the runs.
        history: directory of the runs before, for the trend; None without.
        audio_bytes: most that audio may take of the page.

    Raises:
        ConfigError: there are no results, or they are damaged.
        OSError: the disk refused.
    """
    page = make_page(read_material(directory, history), audio_bytes)
    path = directory / REPORT_FILE
    replace(path, render(page).encode())
    return path


def render(page: Page) -> str:
    """Return the page's HTML, with its style and script in it."""
    environment = Environment(
        loader=PackageLoader(_PACKAGE),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {"clock": clock_text, "ms": _ms, "percent": _percent, "packed": _packed}
    script = _read("report.js")
    return environment.get_template("report.html.j2").render(
        page=page,
        style=Markup(_read("report.css")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        kinds=KINDS,
        stages=STAGES,
        percentiles=PERCENTILES,
        marker_px=MARKER_PX,
        lane_units=LANE_UNITS,
    )


def _packed(text: str) -> str:
    """Compress what is shown only if it is asked for: a tenth of it (`DecompressionStream`)."""
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def _read(name: str) -> str:
    return (resources.files(_PACKAGE) / "templates" / name).read_text(encoding="utf-8")


def _ms(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.1f}" if 0 < value < 10 else f"{value:.0f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"
