"""nnUNetv2_predict's options, and the device they run on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nnunet_textguided.errors import UserError

if TYPE_CHECKING:
    import torch

DEVICES = ("cpu", "cuda", "mps")
RESAMPLINGS = ("plans", "torch")


@dataclass(frozen=True)
class PredictSettings:
    """nnUNetv2_predict's options, with its defaults.

    Attributes:
        step_size: Of the sliding window, as a part of the patch (0 to 1].
        disable_tta: No mirroring.
        verbose: nnU-Net's own talk.
        save_probabilities: Write .npz and .pkl beside the labels, for nnUNetv2_ensemble.
        continue_prediction: Leave out the cases that are already there.
        npp: Preprocessing processes.
        nps: Export processes; both 0 = no extra processes at all.
        prev_stage_predictions: Folder of the low-resolution predictions a cascade needs.
        num_parts: Calls the folder is shared between.
        part_id: Which of these calls this is, from 0.
        device: "cpu", "cuda", "mps", or None for cuda where there is one and else the CPU.
        disable_progress_bar: No progress bar.
        not_on_device: Collect results in main memory.
        postprocessing: nnU-Net's postprocessing.pkl, applied to the label files before findings are read.
        names_in_order: Name vertebrae and discs as one column before findings are read (`inference.name_order`).
        trust: Let checkpoints and postprocessing.pkl run code when they are loaded.
        resampling: How scores are brought to the image's own grid: "plans" as the plans say, or "torch", nnU-Net's
            resampling by torch class by class, which interpolates between the same points.
    """

    step_size: float = 0.5
    disable_tta: bool = False
    verbose: bool = False
    save_probabilities: bool = False
    continue_prediction: bool = False
    npp: int = 3
    nps: int = 3
    prev_stage_predictions: str | None = None
    num_parts: int = 1
    part_id: int = 0
    device: str | None = None
    disable_progress_bar: bool = False
    not_on_device: bool = False
    postprocessing: str | None = None
    names_in_order: bool = False
    trust: bool = False
    resampling: str = "plans"

    def __post_init__(self) -> None:
        """Check ranges.

        Raises:
            UserError: A value is out of range.
        """
        if not 0 < self.step_size <= 1:
            raise UserError(f"Expected -step_size above 0 and at most 1, got {self.step_size}.")
        if not 0 <= self.part_id < self.num_parts:
            raise UserError(f"Expected 0 <= -part_id < -num_parts, got part {self.part_id} of {self.num_parts}.")
        if self.resampling not in RESAMPLINGS:
            raise UserError(f"Expected --resampling out of {', '.join(RESAMPLINGS)}, got {self.resampling!r}.")
        if min(self.npp, self.nps) < 0 or (self.npp == 0) != (self.nps == 0):
            raise UserError(f"Expected -npp and -nps at least 1, or both 0; got {self.npp} and {self.nps}.")


def choose_device(name: str | None = None) -> torch.device:
    """Return the device to compute on.

    Args:
        name: "cpu", "cuda" or "mps"; None for cuda where there is one and else the CPU.

    Raises:
        UserError: Unknown, or not there.
    """
    import torch

    if name is None:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    kind = name.split(":")[0]
    if kind not in DEVICES:
        raise UserError(f"Expected a device out of {', '.join(DEVICES)}, got {name!r}.")
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there[kind]:
        raise UserError(f"There is no {kind} device here. Use -device cpu, or leave the option out.")
    return torch.device(name)
