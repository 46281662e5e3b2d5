"""A figure with its words, and how it becomes a file or a part of a page."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib

from nnunet_textguided.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OUR_FIGURES = ("differences", "cases_*", "structures_*", "findings_*", "case_*")
"""Names of figures, as patterns: such a file of an earlier comparison would be taken for one of this."""
_PNG_DPI = 130
# Fonts as paths: the same letters on every machine. A fixed salt: the same figure gives the same file.
_SVG: dict[Any, Any] = {"svg.fonttype": "path", "svg.hashsalt": "nnunet_textguided"}


@dataclass(frozen=True)
class Illustration:
    """A figure with its words.

    Attributes:
        name: File name without ending; unique within a page.
        section: The page's section it belongs to.
        title: A few words.
        caption: What is drawn, and how to read it.
        alt: What a reader who does not see it needs.
        figure: None where it could not be drawn; the caption then says why.
        raster: Whether it holds an image of voxels: PNG instead of SVG.
    """

    name: str
    section: str
    title: str
    caption: str
    alt: str
    figure: Figure | None
    raster: bool = False

    @property
    def suffix(self) -> str:
        """The file's ending."""
        return ".png" if self.raster else ".svg"

    def data(self) -> bytes:
        """Return the figure as the content of a PNG or SVG file.

        Raises:
            ValueError: There is no figure.
        """
        if self.figure is None:
            raise ValueError(f"{self.name} has no figure: {self.caption}")
        if self.figure.get_layout_engine() is not None:
            self.figure.draw_without_rendering()
            self.figure.set_layout_engine("none")  # it would move the panels a little at every drawing
        stream = io.BytesIO()
        style: dict[str, Any] = {"facecolor": self.figure.get_facecolor()}
        if self.raster:
            self.figure.savefig(stream, format="png", dpi=_PNG_DPI, **style)
        else:
            with matplotlib.rc_context(_SVG):
                self.figure.savefig(stream, format="svg", metadata={"Date": None}, **style)
        return stream.getvalue()

    def data_uri(self) -> str:
        """Return the figure as text that an `img` element shows without another file."""
        kind = "png" if self.raster else "svg+xml"
        return f"data:image/{kind};base64,{base64.b64encode(self.data()).decode()}"


def save_illustrations(illustrations: Sequence[Illustration], folder: Path) -> list[Path]:
    """Write every figure to a file of its own, and remove those of an earlier comparison that this one does not have.

    Args:
        illustrations: Those without a figure are passed over.
        folder: Made if missing.

    Returns:
        The written files.

    Raises:
        UserError: The folder cannot be written to.
    """
    written = []
    for illustration in illustrations:
        if illustration.figure is not None:
            path = folder / f"{illustration.name}{illustration.suffix}"
            with atomic_path(path) as temporary:
                temporary.write_bytes(illustration.data())
            written.append(path)
    for pattern in OUR_FIGURES:
        for old in {*folder.glob(f"{pattern}.svg"), *folder.glob(f"{pattern}.png")} - set(written):
            old.unlink()
    return written
