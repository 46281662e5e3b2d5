"""nnU-Net as it is, but for the flip rule: tells the gain of the rule from that of everything else."""

from __future__ import annotations

from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from nnunet_textguided.trainers.fault_tolerance import FaultTolerance
from nnunet_textguided.trainers.mirroring import OrderPreservingAugmentation
from nnunet_textguided.trainers.short import ShortSchedule


class nnUNetTrainerOrderPreserving(FaultTolerance, OrderPreservingAugmentation, nnUNetTrainer):
    """nnU-Net's network, optimiser and loss, with the flip rule of the plans."""


class nnUNetTrainer_short(ShortSchedule, nnUNetTrainerOrderPreserving):
    """300 iterations of `nnUNetTrainerOrderPreserving`."""
