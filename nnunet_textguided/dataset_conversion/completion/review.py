"""Which masks a person should look at first, as a table."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk
from tqdm import tqdm

from nnunet_textguided.csv_cells import write_rows
from nnunet_textguided.dataset_conversion.base.problems import CaseError
from nnunet_textguided.dataset_conversion.completion.draft_folder import DraftFolder
from nnunet_textguided.dataset_conversion.completion.grid import read_on_grid
from nnunet_textguided.dataset_conversion.completion.measures import Measure, measure_structures
from nnunet_textguided.dataset_conversion.completion.plausibility import Doubt, find_doubts, score
from nnunet_textguided.dataset_conversion.completion.ranges import what_is_usual
from nnunet_textguided.dataset_conversion.completion.raw_dataset import Annotated, RawDataset

REVIEW_FILE = "review.csv"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class CaseReview:
    """What was found odd about the mask of a case.

    Attributes:
        case: Case identifier.
        doubts: The gravest first.
    """

    case: str
    doubts: tuple[Doubt, ...]

    @property
    def score(self) -> int:
        """How doubtful it is; 0 is plausible."""
        return score(self.doubts)

    @property
    def reasons(self) -> str:
        """All reasons in one text."""
        return "; ".join(doubt.reason for doubt in self.doubts)


def review_masks(drafts: DraftFolder, masks: Mapping[str, Path]) -> tuple[list[CaseReview], dict[str, str]]:
    """Check masks against anatomy and against the masks the data set had without them.

    Args:
        drafts: The folder they are in.
        masks: Case -> mask.

    Returns:
        The most doubtful first, and case -> why its mask cannot be used at all.
    """
    dataset, reviews, problems = drafts.dataset, [], {}
    # a draft that was accepted must not vouch for itself
    usual = what_is_usual(_measures_of_masks(dataset, set(dataset.images) - set(masks) - set(drafts.origins)))
    names = dataset.structures
    for case, path in tqdm(sorted(masks.items()), desc="check the masks", unit="case", leave=False):
        try:
            mask = read_usable(dataset, case, path)
        except CaseError as problem:
            problems[case] = f"{case}: {problem}"
        else:
            reviews.append(CaseReview(case, tuple(find_doubts(_measures(mask, names), names.values(), usual))))
    return sorted(reviews, key=lambda review: (-review.score, review.case)), problems


def read_usable(dataset: RawDataset, case: str, path: Path) -> sitk.Image:
    """Read a mask onto its image's grid and check its codes.

    Args:
        dataset: The data set.
        case: Case identifier.
        path: The mask.

    Raises:
        CaseError: Unreadable, on another grid, or codes that are no labels of the data set.
    """
    mask = read_on_grid(path, dataset.read_image(case), dataset.images[case][0])
    dataset.check_codes(mask, path)
    return mask


def write_review(reviews: Sequence[CaseReview], folder: Path) -> Path:
    """Write review.csv: case, doubtful (1/0), score, reasons; in the order given.

    Args:
        reviews: Of `review_masks`.
        folder: The folder of drafts.

    Raises:
        UserError: The folder cannot be written to.
    """
    rows = [(r.case, int(r.score > 0), r.score, r.reasons) for r in reviews]
    path = folder / REVIEW_FILE
    write_rows([("case", "doubtful", "score", "reasons"), *rows], path)
    return path


def _measures_of_masks(dataset: RawDataset, cases: Collection[str]) -> list[dict[str, Measure]]:
    """Measure the label maps that hold a mask; one that cannot be used is left out, as training will name it."""
    measured = []
    for case in tqdm(sorted(cases), desc="measure the masks there are", unit="case", leave=False):
        try:
            labels = dataset.read_labels(case)
            if labels is not None and dataset.annotated(labels) != Annotated.NOTHING:
                measured.append(_measures(labels, dataset.structures))
        except CaseError:
            continue
    return measured


def _measures(mask: sitk.Image, names: Mapping[int, str]) -> dict[str, Measure]:
    return measure_structures(sitk.GetArrayViewFromImage(mask), names, mask.GetSpacing()[::-1], mask.GetDirection())
