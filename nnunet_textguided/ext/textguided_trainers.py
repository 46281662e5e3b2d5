"""The trainers under the names that nnU-Net looks up; the only module in the folder `nnUNet_extTrainer` points at.

nnU-Net imports every module of that folder by its bare name and then drops it from `sys.modules`. A class defined here
would be a new, unpicklable class at every lookup; a class re-exported from the package keeps its one true home.
"""

from nnunet_textguided.trainers import (
    MixedTransformerUNetTrainer,
    MixedTransformerUNetTrainer_short,
    MultiTaskUNetTrainer,
    MultiTaskUNetTrainer_short,
    TextGuidedTrainer,
    TextGuidedTrainer_medium,
    TextGuidedTrainer_quick,
    TextGuidedTrainer_short,
    TextGuidedTrainer_twice,
    VisualOnlyTrainer,
    VisualOnlyTrainer_short,
    nnUNetTrainer_short,
    nnUNetTrainerMatched,
    nnUNetTrainerMatched_short,
    nnUNetTrainerOrderPreserving,
)

__all__ = [
    "MixedTransformerUNetTrainer",
    "MixedTransformerUNetTrainer_short",
    "MultiTaskUNetTrainer",
    "MultiTaskUNetTrainer_short",
    "TextGuidedTrainer",
    "TextGuidedTrainer_medium",
    "TextGuidedTrainer_quick",
    "TextGuidedTrainer_short",
    "TextGuidedTrainer_twice",
    "VisualOnlyTrainer",
    "VisualOnlyTrainer_short",
    "nnUNetTrainerMatched",
    "nnUNetTrainerMatched_short",
    "nnUNetTrainerOrderPreserving",
    "nnUNetTrainer_short",
]
