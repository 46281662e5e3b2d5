"""The masks in a folder where people work: which file is whose, and which of two is the corrected one."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from nnunet_textguided.dataset_conversion.base.problems import CaseError

MASK_ENDINGS = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd")
_SLICER_SEGMENTATION = ".seg.nrrd"


def find_masks(folder: Path, ending: str) -> dict[str, list[Path]]:
    """List the masks of a folder by the case they are named after.

    Args:
        folder: Any folder; hidden files are left out.
        ending: Of the data set's own files.

    Returns:
        Case -> its files, the one with the data set's ending first.
    """
    endings = (ending, *(other for other in (_SLICER_SEGMENTATION, *MASK_ENDINGS) if other != ending))
    found: dict[str, list[tuple[int, Path]]] = {}
    for path in sorted(folder.iterdir()):
        number = next((number for number, end in enumerate(endings) if path.name.endswith(end)), None)
        if number is not None and not path.name.startswith("."):
            found.setdefault(path.name.removesuffix(endings[number]), []).append((number, path))
    return {case: [path for _, path in sorted(files)] for case, files in found.items()}


def choose_mask(files: Collection[Path], folder: Path, draft: Path | None = None) -> Path:
    """Return the file that holds a case's mask.

    A draft that lies there untouched gives way to a file of another format: that is the corrected one.

    Args:
        files: All of the case.
        folder: They must lie in it, links followed.
        draft: A copy of the draft that nobody touched, where there is one.

    Raises:
        CaseError: Several could be meant, a link leads elsewhere, or it is 3D Slicer's own format.
    """
    for path in files:
        if path.name.endswith(_SLICER_SEGMENTATION):
            raise CaseError(
                f"{path}: 3D Slicer numbers the segments of this format itself. Export it as a label map (module "
                "Segmentations, Export to files or to a labelmap node, with the colour table) and remove this file"
            )
        if not path.resolve().is_relative_to(folder.resolve()):
            raise CaseError(f"{path}: is a link to {path.resolve()}, out of the folder; put the file itself there")
    chosen = [path for path in files if len(files) == 1 or not is_untouched(path, draft)]
    if len(chosen) != 1:
        names = ", ".join(path.name for path in files)
        raise CaseError(f"{folder}: {names} could all be the corrected mask; keep one of them")
    return chosen[0]


def is_untouched(path: Path, draft: Path | None) -> bool:
    """Tell whether a file is byte by byte the draft that was written.

    Args:
        path: The file.
        draft: A copy that nobody touched, where there is one.
    """
    return draft is not None and draft.is_file() and path.read_bytes() == draft.read_bytes()
