"""The control without text: the same network, its queries learned."""

from __future__ import annotations

from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager
from torch import nn

from nnunet_textguided.trainers.guidance import TextGuidance
from nnunet_textguided.trainers.short import ShortSchedule
from nnunet_textguided.trainers.text_guided import TextGuidedTrainer, build_from_plans


class VisualOnlyTrainer(TextGuidedTrainer):
    """One learned query a class instead of one read from its name."""

    @staticmethod
    def build_network_architecture(
        plans_manager: PlansManager,
        configuration_manager: ConfigurationManager,
        num_input_channels: int,
        num_output_channels: int,
        enable_deep_supervision: bool = True,
    ) -> nn.Module:
        """As for text, with learned queries."""
        return build_from_plans(
            plans_manager,
            configuration_manager,
            num_input_channels,
            num_output_channels,
            enable_deep_supervision,
            learned_queries=True,
        )

    def _prepare_queries(self, guidance: TextGuidance) -> TextGuidance:
        """No text, no bank."""
        return guidance

    def _load_starting_weights(self) -> None:
        self.print_to_log_file("learned queries")
        self._load_encoder()


class VisualOnlyTrainer_short(ShortSchedule, VisualOnlyTrainer):
    """300 iterations of `VisualOnlyTrainer`."""
