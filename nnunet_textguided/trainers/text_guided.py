"""The trainer: nnU-Net's loop around the text-guided network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager
from torch import nn
from torch._dynamo import OptimizedModule

from nnunet_textguided.architectures import (
    NetworkSpec,
    TextGuidedNetwork,
    build_text_guided_network,
    load_encoder_weights,
    supervised_strides,
)
from nnunet_textguided.errors import UserError
from nnunet_textguided.text.conditioning import condition
from nnunet_textguided.trainers.encoder_weights import check_reachable, same_source
from nnunet_textguided.trainers.guidance import BLOCK, TextGuidance
from nnunet_textguided.trainers.optimisation import PRETRAINED_RATE
from nnunet_textguided.trainers.shared_recipe import SharedRecipe
from nnunet_textguided.trainers.short import MediumSchedule, QuickSchedule, ShortSchedule, TwiceSchedule
from nnunet_textguided.trainers.text_bank import ensure_bank


class TextGuidedTrainer(SharedRecipe, nnUNetTrainer):
    """Class names as segmentation queries on a ConvNeXt V2 encoder, inside nnU-Net's training."""

    def initialize(self) -> None:
        """Settle the options, build the network and give it its starting weights."""
        super().initialize()
        if not self.restoring:
            self._load_starting_weights()

    def prepare(self, guidance: TextGuidance) -> TextGuidance:
        """Find or make the text bank, and see that the encoder's weights can be had."""
        guidance = self._prepare_queries(guidance)
        if not self.restoring:
            check_reachable(guidance)
        scratch = guidance.encoder_weights == "none"
        self.encoder_rate = guidance.encoder_rate or (1.0 if scratch else PRETRAINED_RATE)
        return guidance

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
        network = cast(TextGuidedNetwork, unwrap(self.network))
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
        """The network declares its own levels; those of which a small patch would leave nothing have no target."""
        if not self.enable_deep_supervision:
            return None
        strides = supervised_strides(self.configuration_manager.pool_op_kernel_sizes)
        scales = [[1 / s for s in stride] for stride in strides]
        size = self.configuration_manager.patch_size
        return [scale for scale in scales if all(round(n * s) > 0 for n, s in zip(size, scale, strict=True))]


class TextGuidedTrainer_short(ShortSchedule, TextGuidedTrainer):
    """300 iterations of `TextGuidedTrainer`."""


class TextGuidedTrainer_quick(QuickSchedule, TextGuidedTrainer):
    """150 iterations of `TextGuidedTrainer`."""


class TextGuidedTrainer_twice(TwiceSchedule, TextGuidedTrainer):
    """600 iterations of `TextGuidedTrainer`."""


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
        embedding_dim=None if learned_queries or guidance.bank is None else guidance.bank["embedding_dim"],
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
