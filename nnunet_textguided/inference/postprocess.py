"""nnU-Net's postprocessing, applied to predictions before anything is read off them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nnunet_textguided.errors import UserError
from nnunet_textguided.files import atomic_path
from nnunet_textguided.safe_pickle import ARRAYS, load_small_pickle

Steps = tuple[list[Any], list[dict[str, Any]]]
_STEPS = (
    "nnunetv2.postprocessing.remove_connected_components",
    "remove_all_but_largest_component_from_segmentation",
)
"""The one function that nnU-Net writes into postprocessing.pkl."""


def load_steps(file: str | Path, trust: bool = False) -> Steps:
    """Read nnU-Net's postprocessing.pkl.

    Args:
        file: Of nnUNetv2_find_best_configuration or nnUNetv2_determine_postprocessing.
        trust: Let the file run code.

    Raises:
        UserError: There is no such file, it is something else, or it would run code.
    """
    path = Path(file)
    content = load_small_pickle(path, "nnU-Net's postprocessing.pkl", {*ARRAYS, _STEPS}, trust)
    try:
        functions, arguments = content
        return list(functions), list(arguments)
    except (TypeError, ValueError) as error:
        raise UserError(f"{path} is not nnU-Net's postprocessing.pkl: {error}") from error


def postprocess_files(files: Iterable[Path], steps: Steps, reader_writer: Any) -> None:
    """Replace label files by their postprocessed form, each as a whole or not at all.

    Args:
        files: Label files.
        steps: Of `load_steps`.
        reader_writer: nnU-Net's, which reads and writes label files in their own geometry.
    """
    from nnunetv2.postprocessing.remove_connected_components import load_postprocess_save

    for file in files:
        with atomic_path(file) as temporary:
            load_postprocess_save(str(file), str(temporary), reader_writer, *steps)
