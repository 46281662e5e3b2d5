"""What stopped a prediction, in words: an image, memory, the disk or a worker process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nnunet_textguided.errors import UserError
from nnunet_textguided.faults import explanation
from nnunet_textguided.inference.input_cases import InputError, find_unreadable

if TYPE_CHECKING:
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor


def told(error: Exception, predictor: nnUNetPredictor, images: Sequence[Path], output: Path) -> Exception:
    """Return the error to raise in place of one that stopped nnU-Net's prediction; itself where nothing is known.

    Args:
        error: OSError, MemoryError or RuntimeError.
        predictor: With its network loaded.
        images: All files that were to be read.
        output: Folder of the predictions.
    """
    if isinstance(error, RuntimeError):
        # Headers were fine, but a worker may have met an image that is cut short; nnU-Net only says that it died.
        problem = find_unreadable(list(images))
        if problem is not None:
            return InputError(f"{problem}. Replace or remove it and run the same command with --continue_prediction.")
    text = explanation(error, _less_memory(predictor), "Lower -npp and -nps; 0 for both starts no process at all.")
    if text is None and isinstance(error, OSError):
        text = f"{error.strerror or error}."
    if text is None:
        return error
    return UserError(
        f"Prediction into {output} stopped: {text} Whole files there are good: mend the cause and run the same command "
        "with --continue_prediction."
    )


def _less_memory(predictor: nnUNetPredictor) -> str:
    configuration = predictor.configuration_manager
    patch = " x ".join(map(str, configuration.patch_size))
    return (
        f"The model takes patches of {patch}, one at a time, on {predictor.device}. See whether other processes hold "
        "memory; collect results in main memory (--not_on_device), lower -npp and -nps, or use -device cpu. Where one "
        "patch is too large, train with plans for less (nnUNetv2_plan_experiment -gpu_memory_target)."
    )
