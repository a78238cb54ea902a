"""The names of the keys: ARCHITECTURE.md lists every one that the bridge writes."""

import inspect
import re
from collections.abc import Iterator

from bridge.store.keys import Keys
from tests.docs.pages import ROOT, read


def _spelt() -> Iterator[str]:
    """Yield every key that `Keys` can spell, with {} for what it is given."""
    for name, member in vars(Keys).items():
        if name.startswith("_") or name == "prefix":
            continue
        made = getattr(Keys(""), name)
        if not isinstance(member, property):
            made = made(*["{}"] * len(inspect.signature(made).parameters))
        yield from (made,) if isinstance(made, str) else made


def test_keys_are_those_of_the_architecture() -> None:
    page = read(ROOT / "bridge" / "ARCHITECTURE.md")
    section = page.partition("\n## 5. ")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*?) \|", section, flags=re.MULTILINE)
    listed = [re.sub(r"{\w+}", "{}", key) for row in rows for key in re.findall(r"`([^`]+)`", row)]
    assert sorted(listed) == sorted(_spelt())
