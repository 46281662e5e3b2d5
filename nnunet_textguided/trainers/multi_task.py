"""The baseline that finds without text: nnU-Net's planned U-Net with a second head."""

from __future__ import annotations

from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager

from nnunet_textguided.architectures import MultiTaskUNet, multi_task_unet
from nnunet_textguided.errors import UserError
from nnunet_textguided.trainers.shared_recipe import SharedRecipe, num_findings
from nnunet_textguided.trainers.short import ShortSchedule


class MultiTaskUNetTrainer(SharedRecipe, nnUNetTrainer):
    """`nnUNetTrainerMatched` with a head for findings; the same where the plans name none."""

    @staticmethod
    def build_network_architecture(
        plans_manager: PlansManager,
        configuration_manager: ConfigurationManager,
        num_input_channels: int,
        num_output_channels: int,
        enable_deep_supervision: bool = True,
    ) -> MultiTaskUNet:
        """The network of the plans, and its head.

        Raises:
            UserError: The plans name a network that is no U-Net.
        """
        unet = nnUNetTrainer.build_network_architecture(
            plans_manager, configuration_manager, num_input_channels, num_output_channels, enable_deep_supervision
        )
        encoder, decoder = getattr(unet, "encoder", None), getattr(unet, "decoder", None)
        if not (hasattr(encoder, "strides") and hasattr(encoder, "output_channels") and hasattr(decoder, "stages")):
            raise UserError(
                f"MultiTaskUNetTrainer needs plans with a U-Net (PlainConvUNet or ResidualEncoderUNet), got "
                f"{configuration_manager.network_arch_class_name}. Plan with nnUNetv2_plan_experiment."
            )
        return multi_task_unet(unet, num_findings(plans_manager.plans))


class MultiTaskUNetTrainer_short(ShortSchedule, MultiTaskUNetTrainer):
    """300 iterations of `MultiTaskUNetTrainer`."""
