"""The trainer: nnU-Net's loop around the text-guided network."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager
from torch import nn
from torch._dynamo import OptimizedModule

from nnunet_textguided.architectures import (
    NetworkSpec,
    build_text_guided_network,
    load_encoder_weights,
    supervised_strides,
)
from nnunet_textguided.errors import UserError
from nnunet_textguided.files import load_json
from nnunet_textguided.text.conditioning import condition
from nnunet_textguided.trainers.encoder_weights import check_reachable, same_source
from nnunet_textguided.trainers.finding_training import FindingTraining
from nnunet_textguided.trainers.guidance import BLOCK, TextGuidance, agree
from nnunet_textguided.trainers.mirroring import OrderPreservingAugmentation
from nnunet_textguided.trainers.optimisation import PRETRAINED_RATE, MuonWithWarmup
from nnunet_textguided.trainers.short import MediumSchedule, QuickSchedule, ShortSchedule
from nnunet_textguided.trainers.text_bank import ensure_bank


class TextGuidedTrainer(FindingTraining, OrderPreservingAugmentation, MuonWithWarmup, nnUNetTrainer):
    """Class names as segmentation queries on a ConvNeXt V2 encoder, inside nnU-Net's training."""

    restoring = False
    """True while a checkpoint is loaded: it holds encoder and text vectors, so nothing else is read."""

    def initialize(self) -> None:
        """Settle the options, build the network and give it its starting weights."""
        if self.is_cascaded:
            raise UserError(
                f"Configuration {self.configuration_name} is the second stage of a cascade, which "
                f"{self.__class__.__name__} does not support. Train 2d, 3d_fullres or 3d_lowres."
            )
        guidance = TextGuidance.for_dataset(self.dataset_json, self._block())
        if guidance.seed is not None:
            seed_everything(guidance.seed)
        guidance = self._prepare_queries(guidance)
        if not self.restoring:
            check_reachable(guidance)
        self.plans_manager.plans[BLOCK] = guidance.to_block()
        self.guidance = guidance
        scratch = guidance.encoder_weights == "none"
        self.encoder_rate = guidance.encoder_rate or (1.0 if scratch else PRETRAINED_RATE)
        super().initialize()
        if not self.restoring:
            self._load_starting_weights()

    def _block(self) -> dict | None:
        """The block in force: that of the model folder once it holds a checkpoint, else that of the plans."""
        wanted = self.plans_manager.plans.get(BLOCK)
        folder = Path(self.output_folder_base)
        if (folder / "plans.json").is_file() and any(folder.glob("fold_*/checkpoint_*.pth")):
            saved = load_json(folder / "plans.json").get(BLOCK)
            if saved:
                return dict(agree(saved, wanted))
        return wanted

    def _prepare_queries(self, guidance: TextGuidance) -> TextGuidance:
        """Find or make the text bank; a checkpoint brings its vectors along."""
        if self.restoring and guidance.bank:
            return guidance
        folder = Path(self.preprocessed_dataset_folder_base)
        bank, guidance = ensure_bank(guidance, folder, self.plans_manager.plans_name, self.dataset_json)
        self.class_vectors = condition(bank.embeddings, len(guidance.names), guidance.whitening)
        return guidance

    def _load_starting_weights(self) -> None:
        """Fill the text vectors and, unless trained from scratch, the pretrained encoder."""
        network = unwrap(self.network)
        network.set_class_vectors(torch.from_numpy(self.class_vectors).to(self.device))
        self.print_to_log_file(f"text bank: {self.guidance.bank} ({self.guidance.text_model})")
        self._load_encoder()

    def _load_encoder(self) -> None:
        if self.guidance.encoder_weights == "none":
            self.print_to_log_file(f"encoder {self.guidance.encoder}: from scratch")
            return
        info = load_encoder_weights(unwrap(self.network), self.guidance.encoder_weights, self.guidance.encoder)
        self.print_to_log_file(f"encoder {self.guidance.encoder}, rate x {self.encoder_rate:g}: {info}")
        self.guidance = replace(self.guidance, encoder_source=same_source(self.guidance.encoder_source, info))
        self.plans_manager.plans[BLOCK] = self.guidance.to_block()

    @staticmethod
    def build_network_architecture(
        plans_manager: PlansManager,
        configuration_manager: ConfigurationManager,
        num_input_channels: int,
        num_output_channels: int,
        enable_deep_supervision: bool = True,
    ) -> nn.Module:
        """Build the network from the plans alone; also called at prediction, where the checkpoint fills it."""
        return build_from_plans(
            plans_manager, configuration_manager, num_input_channels, num_output_channels, enable_deep_supervision
        )

    def _get_deep_supervision_scales(self) -> list[list[float]] | None:
        """The network declares its own levels."""
        if not self.enable_deep_supervision:
            return None
        strides = supervised_strides(self.configuration_manager.pool_op_kernel_sizes)
        return [[1 / s for s in stride] for stride in strides]

    def load_checkpoint(self, filename_or_checkpoint: dict | str) -> None:
        """Resume or validate: build from the saved options, read no other weights."""
        self.restoring = True
        super().load_checkpoint(filename_or_checkpoint)


class TextGuidedTrainer_short(ShortSchedule, TextGuidedTrainer):
    """300 iterations of `TextGuidedTrainer`."""


class TextGuidedTrainer_quick(QuickSchedule, TextGuidedTrainer):
    """150 iterations of `TextGuidedTrainer`."""


class TextGuidedTrainer_medium(MediumSchedule, TextGuidedTrainer):
    """750 iterations of `TextGuidedTrainer`."""


def build_from_plans(
    plans_manager: PlansManager,
    configuration_manager: ConfigurationManager,
    num_input_channels: int,
    num_output_channels: int,
    deep_supervision: bool,
    learned_queries: bool = False,
) -> nn.Module:
    """Compose the network from plans that hold a complete block `text_guidance`.

    Args:
        plans_manager: Plans with the block.
        configuration_manager: Its strides decide levels and dimension.
        num_input_channels: Channels of the image.
        num_output_channels: nnU-Net's `num_segmentation_heads`.
        deep_supervision: Whether the forward pass returns all supervised levels.
        learned_queries: Learn the queries instead of reading them from text.

    Returns:
        The network, its text vectors not filled yet.

    Raises:
        UserError: The plans name another number of structures than there are outputs, or have no bank yet.
    """
    guidance = TextGuidance.from_plans(plans_manager.plans)
    if len(guidance.names) != num_output_channels - 1:
        raise UserError(
            f"The plans name {len(guidance.names)} structures, the data set has {num_output_channels - 1}. "
            "Make new plans: nnunet_textguided plan -d DATASET_ID --name NEW_NAME"
        )
    if not learned_queries and guidance.bank is None:
        raise UserError("The plans have no text bank yet; make it with: nnunet_textguided embed -d DATASET_ID -p PLANS")
    spec = NetworkSpec(
        encoder=guidance.encoder,
        input_channels=num_input_channels,
        num_classes=num_output_channels,
        embedding_dim=None if learned_queries else guidance.bank["embedding_dim"],
        num_findings=len(guidance.findings),
        pool_op_kernel_sizes=tuple(map(tuple, configuration_manager.pool_op_kernel_sizes)),
        deep_supervision=deep_supervision,
    )
    return build_text_guided_network(spec)


def unwrap(network: nn.Module) -> nn.Module:
    """Take off DDP and torch.compile."""
    if isinstance(network, nn.parallel.DistributedDataParallel):
        network = network.module
    return network._orig_mod if isinstance(network, OptimizedModule) else network


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch. nnU-Net's worker processes stay unseeded (exact with nnUNet_n_proc_DA=0)."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
