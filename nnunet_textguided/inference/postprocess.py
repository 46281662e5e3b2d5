"""nnU-Net's postprocessing, applied to labels before their file is written.

A file then is postprocessed or not there. Of one that is there nobody could tell, and steps may not be repeated: where
the largest part of everything is kept first and then of one label, a second pass can take more away.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nnunet_textguided.errors import UserError
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


def apply_steps(labels: np.ndarray, steps: Steps | None) -> np.ndarray:
    """Postprocess labels as nnUNetv2_apply_postprocessing does their file.

    Args:
        labels: (Z, Y, X) as nnU-Net's reader would read them from the file.
        steps: Of `load_steps`; None changes nothing.
    """
    if steps is None:
        return labels
    from nnunetv2.postprocessing.remove_connected_components import apply_postprocessing

    return np.asarray(apply_postprocessing(labels.astype(np.float32), *steps))  # the type that labels are read as
