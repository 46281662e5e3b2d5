"""Pictures of the best, the median and the worst case of the reference, with every system's prediction."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk

from nnunet_textguided.comparison.figures.case_lines import case_table
from nnunet_textguided.comparison.figures.illustration import Illustration
from nnunet_textguided.comparison.figures.style import literal
from nnunet_textguided.comparison.measure_words import number
from nnunet_textguided.dataset_json import read_dataset_json
from nnunet_textguided.errors import UserError
from nnunet_textguided.image_headers import read_image
from nnunet_textguided.inference.name_tags import choose_sides
from nnunet_textguided.inference.overlay import FONT_SIZE, INK, choose_slice, draw_labels, new_figure, show_slice
from nnunet_textguided.inference.reorient import to_orientation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from nnunet_textguided.comparison.comparison import Comparison
    from nnunet_textguided.comparison.folders import Folders
    from nnunet_textguided.comparison.grid import Grid, System

ORIENTATION = "PIR"
"""Sagittal slices first, from head to foot and from front to back, as in case reports."""
_COLUMNS = 5
_PANEL = (2.2, 4.6)  # inches: width that a panel has, height that it is kept below
_HEAD = 0.5
_TITLE_LETTERS = 34  # that fit above a panel


def case_pictures(comparison: Comparison, folders: Folders) -> list[Illustration]:
    """Draw the cases; the first repeat of every system is shown.

    Args:
        comparison: Says which cases and whose predictions.
        folders: imagesTr and labelsTr are read from nnUNet_raw, predictions from fold_X/validation in nnUNet_results.

    Returns:
        A picture a case; one whose files are not on this machine has no figure and says so.

    Raises:
        UserError: A file is damaged, or a prediction has another size than its truth.
    """
    raw = folders.raw / comparison.grid.dataset
    if not (raw / "dataset.json").is_file():
        return [_skipped("cases", "Pictures of cases", f"not drawn, as {raw.name} is not on this machine.")]
    return [_picture(comparison, folders, rank, case) for rank, case in chosen_cases(comparison).items()]


def chosen_cases(comparison: Comparison) -> dict[str, str]:
    """Choose cases by the reference's mIoU.

    Args:
        comparison: With `case_scores`.

    Returns:
        "best", "median" (the lower of two), "worst" -> case; fewer where there are fewer cases.
    """
    cases = [str(case) for case in case_table(comparison).index]
    if not cases:
        return {}
    chosen = {"best": cases[-1], "median": cases[(len(cases) - 1) // 2], "worst": cases[0]}
    if len(cases) < 3:
        del chosen["median"]
    return chosen if len(cases) > 1 else {"only": cases[0]}


def _picture(comparison: Comparison, folders: Folders, rank: str, case: str) -> Illustration:
    grid, name = comparison.grid, f"case_{rank}"
    title = f"The {rank} case of {comparison.reference}: {case}"
    raw = folders.raw / grid.dataset
    content = read_dataset_json(raw / "dataset.json")
    ending = content["file_ending"]
    image_file, truth_file = raw / "imagesTr" / f"{case}_0000{ending}", raw / "labelsTr" / f"{case}{ending}"
    lacking = [file.name for file in (image_file, truth_file) if not file.is_file()]
    if lacking:
        return _skipped(name, title, f"not drawn, as {' and '.join(lacking)} are not on this machine.")
    found = {s.label: _prediction_file(grid, s, folders, case, ending) for s in grid.systems}
    files = {label: file for label, file in found.items() if file is not None}
    predictions = {label: read_image(file) for label, file in files.items()}
    if not predictions:
        return _skipped(name, title, "not drawn, as no system's prediction is on this machine.")
    truth = read_image(truth_file)
    for label, prediction in predictions.items():
        _check_size(case, files[label], prediction, truth)
    codes = {"truth": _array(truth), **{label: _array(one) for label, one in predictions.items()}}
    image = _array(read_image(image_file))
    index = choose_slice(image.shape[0], codes["truth"])
    spacing = to_orientation(truth, ORIENTATION).GetSpacing()[::-1]
    titles = _titles(comparison, case, list(predictions))
    figure = _draw(image[index], {key: one[index] for key, one in codes.items()}, titles, _names(content), spacing)
    absent = [label for label in found if label not in predictions]
    lost = f" No prediction on this machine: {', '.join(absent)}." if absent else ""
    caption = (
        f"Slice {index + 1} of {image.shape[0]}, the one with most labelled voxels: the image, the truth and every "
        "system's prediction with the mIoU of the case. Of systems with repeats the first is shown, and the mIoU is "
        f"the mean of all.{lost}"
    )
    alt = f"{case}: image, truth and predictions of {', '.join(predictions)} side by side, structures coloured."
    return Illustration(name, "cases", title, caption, alt, figure, raster=True)


def _prediction_file(grid: Grid, system: System, folders: Folders, case: str, ending: str) -> Path | None:
    runs = grid.runs_of(system)[system.plans[0]]
    files = [run.predictions(folders.results) / f"{case}{ending}" for run in runs]
    return next((file for file in files if file.is_file()), None)


def _titles(comparison: Comparison, case: str, labels: list[str]) -> dict[str, str]:
    scores = case_table(comparison).loc[case]
    names = {label: "\n".join(textwrap.wrap(label, _TITLE_LETTERS, max_lines=2)) for label in labels}
    return {label: f"{literal(name)}\nmIoU {number(scores[label])}" for label, name in names.items()}


def _draw(
    image: np.ndarray,
    codes: Mapping[str, np.ndarray],
    titles: Mapping[str, str],
    names: Mapping[int, str],
    spacing: tuple[float, float, float],
) -> Figure:
    width, highest = _PANEL
    height = min(highest, width * image.shape[0] * spacing[1] / (image.shape[1] * spacing[2]))
    figure = new_figure(len(codes) + 1, image.shape, spacing, _COLUMNS, height, _HEAD)
    aspect, sides = spacing[1] / spacing[2], choose_sides(*codes.values())
    panels = [("image", None), *codes.items()]
    for axes, (key, labels) in zip(figure.axes, panels, strict=True):
        show_slice(axes, image, aspect)
        axes.set_title(titles.get(key, key), color=INK, fontsize=FONT_SIZE)
        if labels is not None:
            draw_labels(axes, labels, names, aspect, sides, height)
    return figure


def _names(content: Mapping[str, Mapping[str, int]]) -> dict[int, str]:
    labels = content["labels"]
    return {code: name for name, code in labels.items() if isinstance(code, int) and code > 0 and name != "ignore"}


def _array(image: sitk.Image) -> np.ndarray:
    return sitk.GetArrayFromImage(to_orientation(image, ORIENTATION))


def _check_size(case: str, file: Path, prediction: sitk.Image, truth: sitk.Image) -> None:
    if prediction.GetSize() != truth.GetSize():
        raise UserError(
            f"{case}: the truth has {truth.GetSize()} voxels, {file} has {prediction.GetSize()}. The prediction is of "
            "another image: run the validation of that model again."
        )


def _skipped(name: str, title: str, why: str) -> Illustration:
    return Illustration(name, "cases", title, why, "", None)
