"""The picture of a case report: sagittal slices with coloured structures, names, and boxes around what was found."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from nnunet_textguided.inference.name_tags import choose_sides
from nnunet_textguided.inference.overlay import FONT_SIZE, INK, PAPER, choose_slice, draw_labels, new_figure, show_slice

MAX_SLICES = 3
BOX_COLOUR = "#ff5252"
_ROOM = 2.0  # voxels between a finding and its box


@dataclass(frozen=True)
class FindingBox:
    """A present finding in the array of the picture.

    Attributes:
        number: The finding's number in the table.
        low: First index (slice, row, column).
        high: Last index.
    """

    number: int
    low: tuple[float, float, float]
    high: tuple[float, float, float]


def choose_slices(labels: np.ndarray, boxes: Sequence[FindingBox]) -> list[int]:
    """Choose what to show: the slice with most structures, and those that show further findings.

    Args:
        labels: (D, H, W) label codes.
        boxes: Present findings.

    Returns:
        At most MAX_SLICES slices, ascending; each further one shows as many boxes as possible that none shows yet.
    """
    chosen = [choose_slice(labels.shape[0], labels)]
    hidden = [box for box in boxes if not _crosses(box, chosen[0])]
    while hidden and len(chosen) < MAX_SLICES:
        best = max(range(labels.shape[0]), key=lambda index: sum(_crosses(box, index) for box in hidden))
        if not any(_crosses(box, best) for box in hidden):
            break
        chosen.append(best)
        hidden = [box for box in hidden if not _crosses(box, best)]
    return sorted(chosen)


def draw_report(
    image: np.ndarray,
    labels: np.ndarray,
    names: Mapping[int, str],
    spacing: Sequence[float],
    boxes: Sequence[FindingBox],
) -> bytes:
    """Draw the slices as PNG.

    Args:
        image: (D, H, W), sagittal slices first.
        labels: Label codes (D, H, W).
        names: Label code -> name.
        spacing: mm along (D, H, W).
        boxes: Present findings; each is drawn on the slices it crosses.

    Returns:
        The PNG's bytes.
    """
    slices = choose_slices(labels, boxes)
    z, y, x = spacing
    figure = new_figure(len(slices), image.shape[1:], (z, y, x))
    sides = choose_sides(*(labels[index] for index in slices))
    aspect = spacing[1] / spacing[2]
    for axes, index in zip(figure.axes, slices, strict=True):
        show_slice(axes, image[index], aspect)
        axes.set_title(f"slice {index + 1} of {image.shape[0]}", color=INK, fontsize=FONT_SIZE + 2)
        draw_labels(axes, labels[index], names, aspect, sides)
        for box in boxes:
            if _crosses(box, index):
                _draw_box(axes, box)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=100, facecolor=PAPER)
    return stream.getvalue()


def _crosses(box: FindingBox, index: int) -> bool:
    return box.low[0] - 0.5 <= index <= box.high[0] + 0.5


def _draw_box(axes: Axes, box: FindingBox) -> None:
    (_, top, left), (_, bottom, right) = box.low, box.high
    corner = (left - 0.5 - _ROOM, top - 0.5 - _ROOM)
    size = (right - left + 1 + 2 * _ROOM, bottom - top + 1 + 2 * _ROOM)
    axes.add_patch(Rectangle(corner, *size, fill=False, edgecolor=BOX_COLOUR, linewidth=1.4))
    style: dict[str, Any] = {"color": "white", "fontsize": FONT_SIZE - 1, "ha": "left", "va": "bottom"}
    axes.text(corner[0], corner[1], str(box.number), bbox={"facecolor": BOX_COLOUR, "pad": 1, "linewidth": 0}, **style)
