"""The Mixed Transformer U-Net as a baseline, inside nnU-Net's training."""

from __future__ import annotations

from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager
from torch import nn

from nnunet_textguided.architectures.mixed_transformer import mixed_transformer_unet, patch_spec
from nnunet_textguided.errors import UserError
from nnunet_textguided.trainers.host import TrainerHost
from nnunet_textguided.trainers.shared_recipe import SharedRecipe, num_findings
from nnunet_textguided.trainers.short import ShortSchedule


class SingleLevel(TrainerHost):
    """Mixin for nnU-Net trainers whose network has one supervised level, at full resolution.

    nnU-Net gives the coarsest level no weight. With one level nothing would be left and the weights be 0 / 0, so its
    loss is built as for no deep supervision and wrapped with the weight 1.
    """

    enable_deep_supervision: bool

    def _get_deep_supervision_scales(self) -> list[list[float]] | None:
        """Full resolution."""
        return [[1.0] * len(self.configuration_manager.patch_size)] if self.enable_deep_supervision else None

    def _build_loss(self) -> nn.Module:
        """nnU-Net's loss over a list of one output."""
        supervised = self.enable_deep_supervision
        self.enable_deep_supervision = False
        try:
            loss = super()._build_loss()
        finally:
            self.enable_deep_supervision = supervised
        return DeepSupervisionWrapper(loss, [1.0]) if supervised else loss


class MixedTransformerUNetTrainer(SharedRecipe, SingleLevel, nnUNetTrainer):
    """Mixed Transformer U-Net at its published widths, trained the way the text-guided network is; 2D plans only.

    Where the plans name findings, its encoder gets the head that `MultiTaskUNetTrainer` has.
    """

    @staticmethod
    def build_network_architecture(
        plans_manager: PlansManager,
        configuration_manager: ConfigurationManager,
        num_input_channels: int,
        num_output_channels: int,
        enable_deep_supervision: bool = True,
    ) -> nn.Module:
        """The network for the plan's patch, and its head.

        Raises:
            UserError: The configuration is not 2D.
        """
        patch_size = tuple(configuration_manager.patch_size)
        if len(patch_size) != 2:
            raise UserError(
                f"The Mixed Transformer U-Net is a 2D network and takes 2D plans only, got a patch of {patch_size}. "
                "Train configuration 2d."
            )
        spec = patch_spec(num_output_channels, num_input_channels, patch_size, enable_deep_supervision)
        return mixed_transformer_unet(spec, num_findings(plans_manager.plans))


class MixedTransformerUNetTrainer_short(ShortSchedule, MixedTransformerUNetTrainer):
    """300 iterations of `MixedTransformerUNetTrainer`."""
