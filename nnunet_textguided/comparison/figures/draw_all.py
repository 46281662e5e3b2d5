"""All figures of a comparison, in the order of the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nnunet_textguided.comparison.figures.case_lines import case_lines
from nnunet_textguided.comparison.figures.differences import difference_plot
from nnunet_textguided.comparison.figures.finding_curves import finding_curves
from nnunet_textguided.comparison.figures.illustration import Illustration
from nnunet_textguided.comparison.figures.structure_boxes import structure_boxes

if TYPE_CHECKING:
    from nnunet_textguided.comparison.comparison import Comparison


def draw_figures(comparison: Comparison) -> list[Illustration]:
    """Draw what the comparison has numbers for.

    Args:
        comparison: Without statistics (one case) there is no difference plot, without findings no curve.

    Returns:
        Figures with captions.
    """
    differences = difference_plot(comparison)
    return [
        *([] if differences is None else [differences]),
        case_lines(comparison),
        structure_boxes(comparison, "iou"),
        *finding_curves(comparison),
    ]
