"""Wire events with something broken in them: what a peer may send that is no friend of ours."""

import copy
import json

from hypothesis import strategies as st

from tests.realtime import golden
from tests.realtime.golden import DIALECTS
from tests.realtime.official import DialectName, Event

MARK = "Geheimnis"
LINES = {name: golden.objects(name, "server") for name in DIALECTS}

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.just(MARK),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4)
    ),
    max_leaves=8,
)


def _nested(depth: int, *, as_list: bool) -> str:
    return "[" * depth + "]" * depth if as_list else '{"a":' * depth + "1" + "}" * depth


# As text: json.dumps itself would not go so deep.
junk = (
    json_values.map(json.dumps)
    | st.builds(_nested, st.integers(0, 5000), as_list=st.booleans())
    | st.sampled_from(["1e400", "-1e400", "NaN", "9" * 5000, '"\\ud800"', '""', "-1", "1.5", "{"])
)


def broken_line(data: st.DataObject, name: DialectName) -> str:
    """Return a golden event with one value, at any depth, taken away or replaced by junk."""
    root: Event = copy.deepcopy(data.draw(st.sampled_from(LINES[name])))
    at: object = root
    while True:
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))  # type: ignore[arg-type]  # a list
        key = data.draw(st.sampled_from([key for key in keys if key != "type" or at is not root]))
        inner = at[key]  # type: ignore[index]  # a dict or a list
        if not inner or not isinstance(inner, dict | list) or data.draw(st.booleans()):
            break
        at = inner
    if isinstance(at, dict) and data.draw(st.booleans()):
        del at[key]
        return json.dumps(root)
    at[key] = MARK * 2  # type: ignore[index]  # a dict or a list
    return json.dumps(root).replace(json.dumps(MARK * 2), data.draw(junk), 1)
