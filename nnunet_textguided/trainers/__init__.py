"""The hooks of nnU-Net that change, nothing more."""

from nnunet_textguided.trainers.matched import nnUNetTrainerMatched, nnUNetTrainerMatched_short
from nnunet_textguided.trainers.mixed_transformer import (
    MixedTransformerUNetTrainer,
    MixedTransformerUNetTrainer_short,
)
from nnunet_textguided.trainers.multi_task import MultiTaskUNetTrainer, MultiTaskUNetTrainer_short
from nnunet_textguided.trainers.order_preserving import nnUNetTrainer_short, nnUNetTrainerOrderPreserving
from nnunet_textguided.trainers.text_guided import (
    TextGuidedTrainer,
    TextGuidedTrainer_medium,
    TextGuidedTrainer_quick,
    TextGuidedTrainer_short,
    TextGuidedTrainer_twice,
)
from nnunet_textguided.trainers.visual_only import VisualOnlyTrainer, VisualOnlyTrainer_short

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
