"""nnU-Net's planned network with our optimiser and flip rule: tells the network from the recipe."""

from __future__ import annotations

from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from nnunet_textguided.trainers.fault_tolerance import FaultTolerance
from nnunet_textguided.trainers.mirroring import OrderPreservingAugmentation
from nnunet_textguided.trainers.optimisation import MuonWithWarmup
from nnunet_textguided.trainers.partial_labels import PartialLabels
from nnunet_textguided.trainers.short import ShortSchedule


class nnUNetTrainerMatched(FaultTolerance, PartialLabels, OrderPreservingAugmentation, MuonWithWarmup, nnUNetTrainer):
    """The network nnU-Net planned, trained the way the text-guided network is."""


class nnUNetTrainerMatched_short(ShortSchedule, nnUNetTrainerMatched):
    """300 iterations of `nnUNetTrainerMatched`."""
