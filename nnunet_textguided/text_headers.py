"""Headers of MetaImage and NRRD, which are lines of text: what makes ITK crash is refused before ITK reads it."""

from __future__ import annotations

import re
from pathlib import Path

from nnunet_textguided.errors import UserError

NRRD_ENDINGS = (".nrrd", ".nhdr")
TEXT_ENDINGS = (".mha", ".mhd", *NRRD_ENDINGS)
_USUAL_BYTES, _MOST_BYTES = 1 << 16, 1 << 22
_LONGEST_FIELD = 1000
"""ITK's NRRD reader puts a field into an error message that has room for 1024 bytes, and writes on behind it."""
_OPEN_END = re.compile(rb"#|content:|[^:\n]*:=")
"""Lines of NRRD that may be longer: comments, and what programs note under keys of their own."""
_AXES = re.compile(rb"^\s*(?:NDims\s*[=:]|dimension\s*:)[^\S\n]*([^\n]*)", re.IGNORECASE | re.MULTILINE)
_END_OF_METAIMAGE = re.compile(rb"^[^\S\n]*ElementDataFile\s*[=:]", re.MULTILINE)
_END_OF_NRRD = re.compile(rb"\n\n")


def check_text_header(path: Path) -> None:
    """Refuse a header that would make ITK crash.

    Args:
        path: A file with one of `TEXT_ENDINGS`.

    Raises:
        UserError: A number of axes that is none, a field that is too long, or a header without end.
    """
    nrrd = path.name.lower().endswith(NRRD_ENDINGS)
    for axes in _AXES.findall(header := _header(path, _END_OF_NRRD if nrrd else _END_OF_METAIMAGE)):
        if axes.strip() not in (b"1", b"2", b"3", b"4"):
            raise UserError(f"{path}: its header says {ascii(axes.strip()[:20])[2:-1]} axes; expected 2 or 3.")
    for number, line in enumerate(header.split(b"\n") if nrrd else (), start=1):
        if len(line) > _LONGEST_FIELD and not _OPEN_END.match(line):
            raise UserError(
                f"{path}, line {number}: a field of {len(line)} bytes, at most {_LONGEST_FIELD} are read. Export the "
                "image again."
            )


def _header(path: Path, end: re.Pattern[bytes]) -> bytes:
    """Return a header with one kind of line end; whole small files are searched for their end in vain, and returned."""
    with path.open("rb") as stream:
        content = b""
        for size in (_USUAL_BYTES, _MOST_BYTES - _USUAL_BYTES):
            content += stream.read(size)
            text = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            if found := end.search(text):
                return text[: found.start()]
    if len(content) == _MOST_BYTES:
        raise UserError(f"{path}: its header does not end within {_MOST_BYTES >> 20} MB. Export the image again.")
    return text
