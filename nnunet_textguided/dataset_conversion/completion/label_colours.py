"""Names and colours of the labels for ITK-SNAP and 3D Slicer, the colours of our own pictures.

ITK-SNAP: one line a label, `IDX R G B A VIS MSH "LABEL"` with colours from 0 to 255, A, VIS and MSH from 0 to 1;
3D Slicer (developer guide, colours): `index name R G B A` from 0 to 255, no blanks in names. `#` begins a comment.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from nnunet_textguided.files import atomic_path
from nnunet_textguided.inference.overlay import colour

ITKSNAP_FILE = "labels_itksnap.txt"
SLICER_FILE = "labels_slicer.ctbl"
_GREY = (128, 128, 128)


def write_label_colours(labels: Mapping[str, int], ignore: int | None, folder: Path) -> list[Path]:
    """Write both files.

    Args:
        labels: Name -> code as in dataset.json; code 0 is background and is drawn transparent.
        ignore: Code of voxels that nobody annotated, drawn grey; None where there is no such label.
        folder: Where to.

    Raises:
        UserError: The folder cannot be written to.
    """
    entries = [
        (code, name, _GREY if code == ignore else tuple(round(255 * value) for value in colour(code)))
        for name, code in sorted(labels.items(), key=lambda item: item[1])
        if code != 0
    ]
    written = []
    for name, text in ((ITKSNAP_FILE, _itksnap(entries)), (SLICER_FILE, _slicer(entries))):
        with atomic_path(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8", newline="\n")
        written.append(folder / name)
    return written


def _itksnap(entries: list[tuple[int, str, tuple[int, ...]]]) -> str:
    lines = [
        "# ITK-SNAP label description: code, red, green, blue (0-255), opacity (0-1), shown, shown as a mesh, name",
        "# Open with: Segmentation > Import label descriptions",
        '0 0 0 0 0 0 0 "Clear Label"',
    ]
    lines += [f'{code} {r} {g} {b} 1 1 1 "{_unquoted(name)}"' for code, name, (r, g, b) in entries]
    return "\n".join(lines) + "\n"


def _slicer(entries: list[tuple[int, str, tuple[int, ...]]]) -> str:
    lines = [f"# Color table file {SLICER_FILE}", f"# {len(entries) + 1} values", "0 background 0 0 0 0"]
    lines += [f"{code} {'_'.join(name.split()) or code} {r} {g} {b} 255" for code, name, (r, g, b) in entries]
    return "\n".join(lines) + "\n"


def _unquoted(name: str) -> str:
    return " ".join(name.replace('"', "'").split())
