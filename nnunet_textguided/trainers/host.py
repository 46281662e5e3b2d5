"""What mixins for nnU-Net's trainers stand on, as type checkers see it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer as TrainerHost
else:
    TrainerHost = object
    """At run time a mixin has no base: the trainer that mixes it in brings nnU-Net's."""
