"""Taking masks into labelsTr: checked, the former label map kept, and recorded."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from tqdm import tqdm

from nnunet_textguided.dataset_conversion.base.geometry import write_volume
from nnunet_textguided.dataset_conversion.base.problems import CaseError
from nnunet_textguided.dataset_conversion.completion.completion_record import CompletionRecord
from nnunet_textguided.dataset_conversion.completion.draft_folder import DraftFolder
from nnunet_textguided.dataset_conversion.completion.grid import read_on_grid
from nnunet_textguided.dataset_conversion.completion.review import read_usable, review_masks
from nnunet_textguided.files import atomic_path, file_sha256

BEFORE = "labelsTr_before"
"""Folder beside labelsTr with the label maps as they were before the first mask was accepted."""


@dataclass
class AcceptSummary:
    """What a call did.

    Attributes:
        accepted: Case -> its entry in completion.json.
        left_out: Doubtful cases that were not asked for.
        problems: Case (or file) -> why its mask was not accepted.
    """

    accepted: dict[str, dict[str, Any]] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)


def accept_masks(
    drafts: DraftFolder, cases: Sequence[str] | None = None, only_plausible: bool = False
) -> AcceptSummary:
    """Take masks into the data set.

    Args:
        drafts: The folder of drafts.
        cases: These only; a case that is annotated throughout is replaced only if it is named here.
        only_plausible: Leave out masks with any doubt.

    Raises:
        UserError: A named case does not exist or has no mask, or nothing can be written.
    """
    masks, problems = drafts.masks()
    if cases is not None:
        chosen = drafts.dataset.choose(cases)
        masks = {case: path for case, path in masks.items() if case in chosen}
        problems = {case: problem for case, problem in problems.items() if case in chosen}
        problems |= {
            case: f"{case}: {drafts.path} has no mask of it" for case in chosen if case not in masks | problems
        }
    summary = AcceptSummary(problems=problems)
    if only_plausible:
        reviews, unusable = review_masks(drafts, masks)
        summary.problems |= unusable
        summary.left_out = sorted(review.case for review in reviews if review.doubts)
        masks = {review.case: masks[review.case] for review in reviews if not review.doubts}
    record = CompletionRecord.open(drafts.dataset)
    try:
        for case, path in tqdm(sorted(masks.items()), desc="accept masks", unit="case", leave=False):
            try:
                summary.accepted[case] = _accept(drafts, record, case, path, named=cases is not None)
            except CaseError as problem:
                summary.problems[case] = f"{case}: {problem}"
    finally:
        record.save()
    return summary


def _accept(drafts: DraftFolder, record: CompletionRecord, case: str, path: Path, named: bool) -> dict[str, Any]:
    dataset, target = drafts.dataset, drafts.dataset.label_path(case)
    mask = read_usable(dataset, case, path)
    codes = sitk.GetArrayViewFromImage(mask)
    if dataset.ignore is not None and np.all(codes == dataset.ignore):
        raise CaseError(f"{path} annotates nothing: every voxel has the ignore label")
    former = read_usable(dataset, case, target) if target.is_file() else None
    known = _known_codes(former, dataset.ignore, codes.shape)
    if (known >= 0).all() and not named and case not in record.cases:
        raise CaseError(f"{target} is annotated throughout already; to replace it all the same, name it with --cases")
    entry = {
        **_source(drafts, case, mask),
        "changed_annotated_voxels": int(np.count_nonzero((known >= 0) & (known != codes))),
        "mask": path.name,
    }
    if former is not None:
        _back_up(target, dataset.folder / BEFORE / target.name)
    write_volume(dataset.storable(mask), target)
    record.add(case, {**entry, "sha256": file_sha256(target)})
    return record.cases[case]


def _source(drafts: DraftFolder, case: str, mask: sitk.Image) -> dict[str, Any]:
    """Where a mask comes from: a draft, corrected or not, or somebody's own work."""
    untouched = drafts.untouched(case)
    if case not in drafts.origins or not untouched.is_file():
        return {"source": "drawn by hand", "corrected_voxels": None}
    draft = read_on_grid(untouched, mask, drafts.dataset.images[case][0])
    corrected = sitk.GetArrayViewFromImage(draft) != sitk.GetArrayViewFromImage(mask)
    return {
        "source": f"{drafts.origins[case]['kind']} draft",
        "corrected_voxels": int(np.count_nonzero(corrected)),
        "draft": drafts.origins[case],
    }


def _known_codes(former: sitk.Image | None, ignore: int | None, shape: tuple[int, ...]) -> np.ndarray:
    """Codes (D, H, W) that were annotated before, -1 elsewhere."""
    if former is None:
        return np.full(shape, -1)
    codes = sitk.GetArrayFromImage(former)
    return codes if ignore is None else np.where(codes == ignore, -1, codes)


def _back_up(path: Path, copy: Path) -> None:
    """Keep the label map there was before anything was accepted; later ones are somebody's drafts."""
    if not copy.is_file():
        with atomic_path(copy) as temporary:
            shutil.copyfile(path, temporary)
