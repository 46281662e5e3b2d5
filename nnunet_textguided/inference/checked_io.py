"""nnU-Net's own readers, with a look at what they read and write; for models that do not say their orientation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from nnunet_textguided.image_headers import check_image
from nnunet_textguided.inference.postprocess import Steps, apply_steps
from nnunet_textguided.inference.voxel_values import check_values
from nnunet_textguided.inference.whole_labels import write_labels


class CheckedIO:
    """Any of nnU-Net's readers, whose images are looked at and whose label files are whole or not there.

    Args:
        reader_class: The reader.
        steps: What labels go through before they are written.
    """

    def __init__(self, reader_class: Callable[[], Any], steps: Steps | None = None) -> None:
        self.reader = reader_class()
        self.steps = steps

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

    def read_seg(self, seg_fname: str) -> tuple[np.ndarray, dict[str, Any]]:
        """Read a label file.

        Args:
            seg_fname: The file.

        Returns:
            As the reader.

        Raises:
            UserError: It is cut short (NIfTI), or its header cannot be true.
        """
        check_image(seg_fname)
        return self.reader.read_seg(seg_fname)

    def write_seg(self, seg: np.ndarray, output_fname: str, properties: dict[str, Any]) -> None:
        """Write a label file.

        Args:
            seg: Labels (Z, Y, X).
            output_fname: Where to write.
            properties: From `read_images` or `read_seg`.

        Raises:
            UserError: It cannot be written to its end; the old one stays.
        """
        write_labels(self.reader.write_seg, apply_steps(seg, self.steps), output_fname, properties)


class CheckedPlans(PlansManager):
    """nnU-Net's plans, whose reader is a `CheckedIO`.

    Args:
        plans: Content of plans.json.
        steps: What labels go through before they are written.
    """

    def __init__(self, plans: dict[str, Any], steps: Steps | None = None) -> None:
        super().__init__(plans)
        self.steps = steps

    @property
    def image_reader_writer_class(self) -> Callable[[], CheckedIO]:
        """What nnU-Net calls, without arguments, for a reader."""
        return partial(CheckedIO, super().image_reader_writer_class, self.steps)
