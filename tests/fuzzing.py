"""What the fuzz tests feed to parsers: any bytes, any tables and JSON, and sound documents with a change."""

from __future__ import annotations

import copy
import io
import json
import re
import zipfile
from collections.abc import Callable
from functools import cache
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
FAST_IMAGES = settings(max_examples=40, **COMMON)
"""Headers are read in a millisecond."""
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
_XML_VALUE = re.compile(rb'(?<=")[^"<>]*(?=")|(?<=>)[^<>]+(?=<)')
_XML_TEXTS = st.sampled_from(
    ["", "0", "-1", "9" * 30, "1e999", "nan", "A0", "A1048576", "XFD1", "XFD1048576", "ZZZZ1", "x", "&#0;", "\r", "<a>"]
)


def tables(header: str, sound: str = "") -> st.SearchStrategy[bytes]:
    """CSV of any cells, with or without a sound header; with a sound row, rows are also that with cells replaced."""
    row = st.lists(CELLS, max_size=8)
    if sound:
        row |= st.tuples(*(st.just(cell) | st.just(cell) | CELLS for cell in sound.split(","))).map(list)
    rows = st.lists(row, max_size=5)
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


@st.composite
def damaged(draw: st.DrawFn, sound: bytes, changes: int = 3) -> bytes:
    """A sound file with bytes replaced, and sometimes without its end."""
    content = bytearray(sound)
    for _ in range(draw(st.integers(1, changes))):
        start = draw(st.integers(0, len(content) - 1))
        piece = draw(st.binary(min_size=1, max_size=4))
        content[start : start + len(piece)] = piece
    end = draw(st.integers(0, len(content))) if draw(st.integers(0, 3)) == 0 else len(content)
    return bytes(content[:end])


@cache
def sheet(header: str, *rows: str) -> dict[str, bytes]:
    """The parts of a sound spreadsheet, as pandas writes it."""
    import pandas as pd

    stream = io.BytesIO()
    pd.DataFrame([row.split(",") for row in rows], columns=header.split(",")).to_excel(stream, index=False)
    with zipfile.ZipFile(stream) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(parts: dict[str, bytes]) -> bytes:
    """Return the zip file of some parts."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return stream.getvalue()


@st.composite
def sheets(draw: st.DrawFn, header: str, *rows: str) -> bytes:
    """Spreadsheets: a sound one with values of its parts replaced, parts damaged or left out, or the zip damaged."""
    parts = dict(sheet(header, *rows))
    for _ in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from([*parts, *["xl/worksheets/sheet1.xml"] * (2 * len(parts))]))
        kind, content = draw(st.integers(0, 5)), parts.get(name, b"")
        places = [match.span() for match in _XML_VALUE.finditer(content)]
        if kind == 0:
            parts.pop(name, None)
        elif kind == 1 and content:
            parts[name] = draw(damaged(content))
        elif places:
            start, end = draw(st.sampled_from(places))
            parts[name] = content[:start] + draw(_XML_TEXTS).encode() + content[end:]
    return draw(damaged(zipped(parts))) if draw(st.integers(0, 9)) == 0 else zipped(parts)


def modest(part: Any, largest: int = 32) -> bool:
    """Tell whether no number in a document is large: where it is a size, so much memory would be taken."""
    if isinstance(part, dict | list):
        return all(modest(entry, largest) for entry in (part.values() if isinstance(part, dict) else part))
    return not isinstance(part, int | float) or abs(part) <= largest


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
