"""From finished runs to files: score, check, compare, write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from nnunet_textguided.comparison.fairness import check_fair
from nnunet_textguided.comparison.folders import Folders
from nnunet_textguided.comparison.gather import gather
from nnunet_textguided.comparison.grid import Grid

if TYPE_CHECKING:
    from nnunet_textguided.comparison.comparison import CompareOptions, Comparison

MARKDOWN_FILE, PAGE_FILE, FIGURES = "comparison.md", "comparison.html", "figures"


@dataclass(frozen=True)
class WrittenComparison:
    """A comparison and where it was written.

    Attributes:
        comparison: All tables.
        files: Markdown and page first.
    """

    comparison: Comparison
    files: Sequence[Path]


def compare_grid(
    grid: Grid,
    folders: Folders,
    records: Path,
    options: CompareOptions,
    different_plans: bool = False,
    num_processes: int = 1,
) -> Comparison:
    """Score what is new, check that the comparison is fair, and make all tables.

    Args:
        grid: What is compared.
        folders: nnU-Net's.
        records: Folder of all records.
        options: Reference, cut, excluded structures.
        different_plans: List plans that differ outside `text_guidance` instead of refusing them.
        num_processes: Processes that score cases.

    Raises:
        UserError: Runs are missing, unfinished or not comparable, or an option names what there is not.
    """
    from nnunet_textguided.comparison.comparison import compare

    found = gather(grid, folders, records, num_processes)
    notes = check_fair(grid, found, different_plans)
    comparison = compare(grid, found, options)
    return replace(comparison, notes=(*comparison.notes, *notes))


def write_comparison(comparison: Comparison, folders: Folders, out: Path, pictures: bool = True) -> WrittenComparison:
    """Write Markdown, page, tables and figures.

    Args:
        comparison: All tables.
        folders: nnU-Net's; images and predictions are read for the pictures of cases.
        out: `<dataset>_<configuration>` is made in it.
        pictures: Whether to draw cases.

    Raises:
        UserError: The folder cannot be written to, or an image is damaged.
    """
    from nnunet_textguided.comparison.case_pictures import case_pictures
    from nnunet_textguided.comparison.figures.draw_all import draw_figures
    from nnunet_textguided.comparison.figures.illustration import save_illustrations
    from nnunet_textguided.comparison.markdown import write_markdown
    from nnunet_textguided.comparison.page import write_page
    from nnunet_textguided.comparison.tables_out import write_tables

    folder = out / f"{comparison.grid.dataset}_{comparison.grid.configuration}"
    drawn = draw_figures(comparison)
    cases = case_pictures(comparison, folders) if pictures else []
    files = [
        write_markdown(comparison, folder / MARKDOWN_FILE),
        write_page(comparison, drawn, cases, folder / PAGE_FILE),
        *write_tables(comparison, folder),
        *save_illustrations([*drawn, *cases], folder / FIGURES),
    ]
    return WrittenComparison(comparison, files)
