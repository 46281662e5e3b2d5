"""What the fuzz tests feed to parsers: any bytes, any tables and JSON, and sound documents with a change."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from nnunet_textguided.errors import UserError

COMMON = {
    "derandomize": True,
    "database": None,
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
}
FAST = settings(max_examples=12, **COMMON)
SLOW = settings(max_examples=400, **COMMON)

LETTERS = "abL5/ .-_'\"=\t\r\n\x00\x85\u2028é²\uff1d\U0001f600"
"""Those that parsers trip over; all of Unicode would take longer to load than the tests take."""
CELLS = st.sampled_from(
    [
        *("", " ", "0", "1", "1.0", "-3", "nan", "inf", "1e999", "9" * 5000, "=1+1", "²", "é", "\u2028"),
        *("'", '"', '""', "\x00", "\r", "\t", ";", "L5", "L4/L5", "bulge", "x" * 200_000),
    ]
) | st.text(LETTERS, max_size=8)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**400)
    | st.floats()
    | st.text(LETTERS, max_size=5)
    | st.sampled_from(["../../x", "/etc/passwd", ".nii.gz", "\ud800", "background", "L5", "a\x00b", "", "x" * 300])
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(LETTERS, max_size=4), inner, max_size=3),
    max_leaves=6,
)
BYTES = st.binary(max_size=400)


def tables(header: str) -> st.SearchStrategy[bytes]:
    """CSV of any cells, with or without a sound header."""
    rows = st.lists(st.lists(CELLS, max_size=8), max_size=5)
    heads = st.sampled_from([header, header.replace(",", ";"), header + ",extra", header.rpartition(",")[0], ""])
    return st.builds(
        lambda head, body, comma, end: (head + end + end.join(comma.join(cells) for cells in body)).encode(),
        heads,
        rows,
        st.sampled_from([",", ",", ";", "\t"]),
        st.sampled_from(["\n", "\r\n", "\r"]),
    )


@st.composite
def changed(draw: st.DrawFn, sound: Any, changes: int = 2) -> Any:
    """A sound JSON document with a part replaced, removed or added."""
    document = copy.deepcopy(sound)
    for _ in range(draw(st.integers(1, changes))):
        places = list(_places(document))
        if not places:
            return draw(VALUES)
        holder, key = draw(st.sampled_from(places))
        if draw(st.integers(0, 4)) == 0:
            del holder[key]
        elif isinstance(holder, dict) and draw(st.integers(0, 4)) == 0:
            holder[draw(st.text(LETTERS, max_size=4))] = draw(VALUES)
        else:
            holder[key] = draw(VALUES)
    return document


def documents(sound: Any) -> st.SearchStrategy[bytes]:
    """JSON files: any bytes, any JSON, and sound documents with a change."""
    return BYTES | st.one_of(VALUES, changed(sound), changed(sound)).map(lambda value: json.dumps(value).encode())


def survives(call: Callable[[], Any]) -> Any:
    """Return what a parser makes of its input; a UserError is an answer too, anything else fails the test."""
    try:
        return call()
    except UserError:
        return None


def _places(part: Any):
    keys = part if isinstance(part, dict) else range(len(part)) if isinstance(part, list) else ()
    for key in list(keys):
        yield part, key
        yield from _places(part[key])
