"""nnU-Net's own readers, for models that do not say their orientation: images with impossible values are refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from nnunet_textguided.inference.voxel_values import check_values


class CheckedIO:
    """Any of nnU-Net's readers, whose images are looked at.

    Args:
        reader_class: The reader.
    """

    def __init__(self, reader_class: Callable[[], Any]) -> None:
        self.reader = reader_class()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.reader, name)

    def read_images(self, image_fnames: Sequence[str]) -> tuple[np.ndarray, dict[str, Any]]:
        """Read the channels of a case.

        Args:
            image_fnames: One file a channel.

        Returns:
            As the reader.

        Raises:
            UserError: A channel has values that are no numbers.
        """
        array, properties = self.reader.read_images(image_fnames)
        for channel, name in zip(array, image_fnames, strict=True):
            check_values(channel, str(name))
        return array, properties


class CheckedPlans(PlansManager):
    """nnU-Net's plans, whose reader looks at the values it reads; for models that do not say their orientation."""

    @property
    def image_reader_writer_class(self) -> Callable[[], CheckedIO]:
        """What nnU-Net calls, without arguments, for a reader."""
        return partial(CheckedIO, super().image_reader_writer_class)
