"""Writing a draft for every case that has no mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import SimpleITK as sitk
from tqdm import tqdm

from nnunet_textguided.dataset_conversion.base.geometry import write_volume
from nnunet_textguided.dataset_conversion.base.problems import CaseError
from nnunet_textguided.dataset_conversion.completion.draft_folder import DraftFolder
from nnunet_textguided.dataset_conversion.completion.draft_sources import DraftSource
from nnunet_textguided.dataset_conversion.completion.grid import read_on_grid
from nnunet_textguided.dataset_conversion.completion.mask_files import find_masks
from nnunet_textguided.dataset_conversion.completion.raw_dataset import Annotated, RawDataset
from nnunet_textguided.files import file_sha256


@dataclass
class DraftSummary:
    """What a call did.

    Attributes:
        written: Cases with a new draft.
        kept: Cases whose draft lay there already, or that somebody corrected.
        not_covered: Cases without a mask that the source has nothing for; a named one is a problem.
        problems: Case -> why it has no draft.
    """

    written: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    not_covered: list[str] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)


def write_drafts(drafts: DraftFolder, source: DraftSource, cases: Sequence[str] | None = None) -> DraftSummary:
    """Write the drafts; a call that was interrupted goes on where it stopped.

    What is annotated stays as it is: only voxels with the ignore label are filled.

    Args:
        drafts: Where to.
        source: What makes them.
        cases: Cases without a mask or with a partial one; every case without any mask where None.

    Raises:
        UserError: A case is named that does not exist, or nothing can be written.
    """
    summary = DraftSummary()
    todo = _choose(drafts, source, cases, summary)
    if todo:
        drafts.save()  # first, so that a restarted call knows what lies in the folder
        summary.problems |= source.write(todo, drafts.untouched(todo[0]).parent)
    for case in (case for case in todo if case not in summary.problems):
        try:
            _finish(drafts, case)
            summary.written.append(case)
        except CaseError as problem:
            summary.problems[case] = f"{case}: {problem}"
    return summary


def _choose(drafts: DraftFolder, source: DraftSource, cases: Sequence[str] | None, summary: DraftSummary) -> list[str]:
    """Return the cases that need a draft now; the others go into the summary."""
    dataset, todo = drafts.dataset, []
    there = find_masks(drafts.path, dataset.ending)
    for case in tqdm(dataset.choose(cases), desc="look at the label maps", unit="case", leave=False):
        try:
            annotated = dataset.annotated(dataset.read_labels(case))
            if annotated != Annotated.NOTHING and cases is None:
                continue
            if not source.covers(case) and cases is None:
                summary.not_covered.append(case)
                continue
            origin = {**source.origin(case), **_known(dataset, case, annotated)}
        except CaseError as problem:
            summary.problems[case] = f"{case}: {problem}"
            continue
        if drafts.keeps(case, there.get(case, []), origin):
            summary.kept.append(case)
            continue
        if drafts.origins.get(case) != origin:
            drafts.forget(case)
            drafts.origins[case] = origin
        todo.append(case)
    return todo


def _known(dataset: RawDataset, case: str, annotated: Annotated) -> dict[str, Any]:
    """What a draft takes over from the label map, for its origin."""
    if annotated == Annotated.ALL:
        raise CaseError(f"{dataset.label_path(case)} leaves nothing to fill: no voxel has the ignore label")
    return {} if annotated == Annotated.NOTHING else {"annotated": file_sha256(dataset.label_path(case))}


def _finish(drafts: DraftFolder, case: str) -> None:
    """Put what is annotated into a draft, which changes nothing if it was done before, and lay it out."""
    dataset, path = drafts.dataset, drafts.untouched(case)
    known = dataset.read_labels(case)
    if known is not None and "annotated" in drafts.origins[case]:
        draft = read_on_grid(path, known, dataset.label_path(case))
        codes = sitk.GetArrayFromImage(known)
        unknown = codes == dataset.ignore
        codes[unknown] = sitk.GetArrayViewFromImage(draft)[unknown]
        filled = sitk.GetImageFromArray(codes.astype(np.int32))
        filled.CopyInformation(known)
        write_volume(dataset.storable(filled), path)
    drafts.put(case)
