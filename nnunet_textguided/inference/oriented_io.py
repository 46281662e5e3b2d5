"""The one hook of orientation-safe prediction: nnU-Net's image reader, turned into the model's orientation and back.

nnU-Net asks the plans for a reader class, in the main process and in its preprocessing and export workers alike.
`OrientedPlans` answers with one that reads every image in the model's orientation, and that writes every prediction in
the image's own geometry. So nothing is copied to disk, and restarts, parts, cascades and workers stay nnU-Net's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from batchgenerators.utilities.file_and_folder_operations import load_pickle, save_pickle
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from nnunet_textguided.errors import UserError
from nnunet_textguided.files import atomic_path
from nnunet_textguided.inference.postprocess import Steps, apply_steps
from nnunet_textguided.inference.reorient import direction_code, reorient_array, reorient_spacing
from nnunet_textguided.inference.voxel_values import check_values
from nnunet_textguided.inference.whole_labels import write_labels

# Both give arrays (z, y, x) of the file's own grid; nnU-Net's others reorient by themselves or know no direction.
SUPPORTED_READERS = ("SimpleITKIO", "NibabelIO")


class OrientedIO(SimpleITKIO):
    """Reads images into one orientation, writes labels (and probabilities) back into the file's own.

    Args:
        orientation: Code of the arrays it gives and takes.
        file_ending: The data set's, such as ".nii.gz".
        probabilities: Whether nnU-Net writes probabilities beside the labels, which then are turned back too.
        steps: What labels go through, in the file's own geometry, before they are written.
    """

    def __init__(
        self, orientation: str, file_ending: str, probabilities: bool = False, steps: Steps | None = None
    ) -> None:
        self.orientation = orientation
        self.file_ending = file_ending
        self.probabilities = probabilities
        self.steps = steps

    def read_images(self, image_fnames: Sequence[str]) -> tuple[np.ndarray, dict[str, Any]]:
        """Read the channels of a case, each turned into the model's orientation by its own direction.

        Args:
            image_fnames: One file a channel.

        Returns:
            Array (C, Z, Y, X) float32 and nnU-Net's properties; `sitk_stuff` is the first file's own geometry.

        Raises:
            UserError: The channels do not share a grid, or hold values that are no numbers.
        """
        channels, properties = [], []
        for name in image_fnames:
            array, info = super().read_images([name])
            check_values(array, str(name))
            code = direction_code(info["sitk_stuff"]["direction"])
            channels.append(reorient_array(array, code, self.orientation))
            properties.append({**info, "source_orientation": code})
            properties[-1]["spacing"] = reorient_spacing(info["spacing"], code, self.orientation)
        for name, array, info in zip(image_fnames, channels, properties, strict=True):
            if array.shape != channels[0].shape or not np.allclose(info["spacing"], properties[0]["spacing"]):
                raise UserError(
                    f"The channels of a case must share one grid. In {self.orientation} orientation {name} is "
                    f"{array.shape[1:]} voxels of {info['spacing']} mm, {image_fnames[0]} is {channels[0].shape[1:]} "
                    f"of {properties[0]['spacing']}. Resample one onto the other."
                )
        return np.concatenate(channels), properties[0]

    def write_seg(self, seg: np.ndarray, output_fname: str, properties: dict[str, Any]) -> None:
        """Write labels in the image's own geometry, whole or not at all.

        The labels come last, so a case whose label file exists has its probabilities turned back already.

        Args:
            seg: Labels (Z, Y, X) in the model's orientation.
            output_fname: Where to write.
            properties: From `read_images`, or from a .pkl that this class has turned back.

        Raises:
            UserError: The file cannot be written.
        """
        source = properties.get("source_orientation", self.orientation)
        if self.probabilities and source != self.orientation:
            self._restore_probabilities(output_fname, source)
        labels = apply_steps(reorient_array(seg, self.orientation, source), self.steps)
        write_labels(super().write_seg, labels, output_fname, properties)

    def _restore_probabilities(self, output_fname: str, source: str) -> None:
        """Turn the .npz and .pkl nnU-Net has just written beside the labels: nnUNetv2_ensemble reads these two."""
        base = output_fname.removesuffix(self.file_ending)
        with np.load(base + ".npz") as content:
            probabilities = reorient_array(content["probabilities"], self.orientation, source)
        with atomic_path(base + ".npz") as temporary:
            np.savez_compressed(temporary, probabilities=probabilities)
        written = load_pickle(base + ".pkl")
        with atomic_path(base + ".pkl") as temporary:
            # Boxes and shapes of the turned array would be wrong here; nothing after the export reads them.
            restored = {
                "sitk_stuff": written["sitk_stuff"],
                "spacing": reorient_spacing(written["spacing"], self.orientation, source),
            }
            save_pickle(restored, str(temporary))


class OrientedPlans(PlansManager):
    """nnU-Net's plans, but images are read and written through `OrientedIO`.

    Args:
        plans: Content of plans.json.
        orientation: Code the model was trained in.
        file_ending: The data set's, such as ".nii.gz".
        probabilities: Whether probabilities are written too.
        steps: What labels go through before they are written.
    """

    def __init__(
        self,
        plans: dict[str, Any],
        orientation: str,
        file_ending: str,
        probabilities: bool = False,
        steps: Steps | None = None,
    ) -> None:
        super().__init__(plans)
        self.orientation = orientation
        self.file_ending = file_ending
        self.probabilities = probabilities
        self.steps = steps

    @property
    def image_reader_writer_class(self) -> Callable[[], OrientedIO]:
        """What nnU-Net calls, without arguments, for a reader."""
        return partial(OrientedIO, self.orientation, self.file_ending, self.probabilities, self.steps)


def supports_reorientation(plans: dict[str, Any]) -> bool:
    """Tell whether the model's images are read by a reader whose arrays can be turned.

    Args:
        plans: Content of plans.json.
    """
    return plans.get("image_reader_writer") in SUPPORTED_READERS
