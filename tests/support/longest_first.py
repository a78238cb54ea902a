"""Puts the files of tests that take long before the quick ones, which fill the end of a run.

pytest-xdist gives whole files to its workers in the order of the items. By itself it would begin
with the files of many tests, which are the quick ones, and one worker would place calls at the end
while the others have nothing left to do.
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import pytest

_TAKES_S = {"slow": 15.0, "sip": 2.0, "browser": 2.0}
"""Of a test by its marker, roughly; what has none of them takes milliseconds."""


def longest_first(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Return tests with the files that take longest first; a file keeps its order."""
    takes_s: defaultdict[Path, float] = defaultdict(float)
    for item in items:
        markers = (each for each in _TAKES_S if item.get_closest_marker(each))
        takes_s[item.path] += max((_TAKES_S[each] for each in markers), default=0.01)
    return sorted(items, key=lambda item: (-takes_s[item.path], str(item.path)))
