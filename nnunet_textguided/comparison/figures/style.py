"""What all figures share: colours, markers and lines of systems, and empty figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from nnunet_textguided.figure_text import literal

WIDTH = 10.5
"""Inches of a figure that fills the page."""
FONT_SIZE = 9.0
INK, SOFT, GRID = "#16181d", "#5b6270", "#d8dce3"

# Okabe and Ito, Color Universal Design (2008), https://jfly.uni-koeln.de/color/, without yellow, which is too light
# for lines on white paper.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
# A second round through the colours is told apart by dashes, hatches and hollow markers.
_ROUNDS = (("-", ""), ("--", "/////"), (":", "....."))


@dataclass(frozen=True)
class SystemStyle:
    """How a system looks in every figure.

    Attributes:
        colour: Of lines, boxes and markers.
        marker: Of Matplotlib.
        dash: Line style.
        hatch: Of boxes; empty for a plain one.
    """

    colour: str
    marker: str
    dash: str
    hatch: str

    @property
    def line(self) -> dict[str, Any]:
        """Keywords of a line without markers."""
        return {"color": self.colour, "linestyle": self.dash}

    @property
    def dots(self) -> dict[str, Any]:
        """Keywords of markers without a line."""
        fill = self.colour if self.dash == "-" else "white"
        return {"marker": self.marker, "markerfacecolor": fill, "markeredgecolor": self.colour, "linestyle": "none"}


def system_styles(labels: Sequence[str]) -> dict[str, SystemStyle]:
    """Give every system a look of its own; systems up to 21 differ.

    Args:
        labels: Of the systems, in the order of the grid.

    Returns:
        Label -> style.
    """
    styles = {}
    for index, label in enumerate(labels):
        turn, place = divmod(index, len(COLOURS))
        dash, hatch = _ROUNDS[turn % len(_ROUNDS)]
        styles[label] = SystemStyle(COLOURS[place], MARKERS[(place + turn) % len(MARKERS)], dash, hatch)
    return styles


def new_figure(height: float, width: float = WIDTH) -> Figure:
    """Return an empty figure on white paper that draws without a display.

    Args:
        height: Inches.
        width: Inches.
    """
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def tidy(axes: Axes, grid: Literal["x", "y", "both"] = "y") -> None:
    """Take away frame lines that say nothing and draw a light grid behind the data.

    Args:
        axes: To change.
        grid: "x", "y" or "both".
    """
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(SOFT)
    axes.tick_params(labelsize=FONT_SIZE, color=SOFT, labelcolor=INK)
    axes.grid(axis=grid, color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)


def legend_above(figure: Figure, handles: Sequence[Any]) -> None:
    """Put one legend above all panels, in as many columns as fit.

    Args:
        figure: Whose legend.
        handles: Artists with labels.
    """
    style: dict[str, Any] = {
        "frameon": False,
        "fontsize": FONT_SIZE,
        "handlelength": 2.2,
        "loc": "outside upper center",
    }
    room = 0.98 * figure.bbox.width
    for columns in range(len(handles), 0, -1):
        legend = figure.legend(handles=handles, ncols=columns, **style)
        if columns == 1 or legend.get_window_extent().width <= room:
            return
        legend.remove()


def line_handle(label: str, style: SystemStyle, marker: bool = True) -> Line2D:
    """Return a legend entry of a system.

    Args:
        label: The system's.
        style: Its look.
        marker: Whether to show the marker, too.
    """
    dots = {**style.dots, **style.line, "markersize": 5} if marker else style.line
    return Line2D([], [], label=literal(label), **dots)
