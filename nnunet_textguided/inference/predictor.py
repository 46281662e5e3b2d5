"""The Python API of prediction: an array or files in, labels in the same layout out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nnunet_textguided.errors import UserError
from nnunet_textguided.inference.input_cases import InputError, read_header, source_orientation
from nnunet_textguided.inference.model_folder import Fold, ModelFolder, check_model_folder, load_predictor
from nnunet_textguided.inference.predict_settings import choose_device
from nnunet_textguided.inference.reorient import direction_code, reorient_array, reorient_spacing
from nnunet_textguided.inference.segmentation import Segmentation
from nnunet_textguided.inference.voxel_values import check_values
from nnunet_textguided.quiet import quiet

if TYPE_CHECKING:
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    from nnunet_textguided.inference.case_findings import Finding

logger = logging.getLogger(__name__)


class TextGuidedPredictor:
    """A trained model, ready to segment one image after another in memory.

    It takes every nnU-Net model, text-guided or not. Images may be in any orientation if the model says which one it
    was trained in; nothing but axis swaps and flips is done to them outside nnU-Net's own preprocessing.

    Example:
        >>> from nnunet_textguided import TextGuidedPredictor  # doctest: +SKIP
        >>> predictor = TextGuidedPredictor.from_model_folder(  # doctest: +SKIP
        ...     "nnUNet_results/Dataset501_SPIDER/TextGuidedTrainer__nnUNetPlansTextGuided__2d", folds=0
        ... )
        >>> image = SimpleITK.ReadImage("lumbar_t2.nii.gz")  # doctest: +SKIP
        >>> result = predictor.predict(  # doctest: +SKIP
        ...     SimpleITK.GetArrayFromImage(image), spacing=image.GetSpacing()[::-1], direction=image.GetDirection()
        ... )
        >>> result.mask("L4/L5").sum()  # doctest: +SKIP
        >>> predictor.predict("case_0000.nii.gz").labels.shape  # doctest: +SKIP

    Args:
        model: A checked model folder.
        predictor: nnU-Net's predictor with its network loaded.
    """

    def __init__(self, model: ModelFolder, predictor: nnUNetPredictor) -> None:
        self.model = model
        self.predictor = predictor
        self.names = _label_names(model)

    @classmethod
    def from_model_folder(
        cls,
        folder: str | Path,
        folds: Sequence[Fold] | Fold | None = None,
        checkpoint: str = "checkpoint_final.pth",
        device: str | None = None,
        step_size: float = 0.5,
        mirroring: bool = True,
        trust: bool = False,
    ) -> TextGuidedPredictor:
        """Load a trained model.

        Args:
            folder: TRAINER__PLANS__CONFIGURATION, with plans.json, dataset.json and fold_X.
            folds: Folds to average, "all" for the model trained on all cases, None for every numbered fold there.
            checkpoint: File name of the checkpoints.
            device: "cpu", "cuda" or "mps"; None for cuda where there is one and else the CPU.
            step_size: Of the sliding window, as a part of the patch.
            mirroring: Average over mirrored images, along the axes the model was trained with.
            trust: Let checkpoints run code when they are loaded.

        Raises:
            UserError: The folder lacks something, a checkpoint would run code, or the device is not there.
        """
        model = check_model_folder(folder, folds, checkpoint, trust)
        chosen = choose_device(device)
        with quiet(logger):
            predictor = load_predictor(
                model,
                tile_step_size=step_size,
                use_mirroring=mirroring,
                device=chosen,
                perform_everything_on_device=chosen.type == "cuda",
                allow_tqdm=False,
            )
        if predictor.configuration_manager.previous_stage_name is not None:
            raise UserError(f"{folder} is the second stage of a cascade: use `nnunet_textguided predict` on files.")
        return cls(model, predictor)

    @property
    def orientation(self) -> str | None:
        """Code the model was trained in; None where it does not say, and images then are taken as they are."""
        return self.model.orientation

    def predict(
        self,
        image: np.ndarray | str | Path | Sequence[str | Path],
        spacing: Sequence[float] | None = None,
        direction: np.ndarray | Sequence[float] | None = None,
        probabilities: bool = False,
    ) -> Segmentation:
        """Segment one image.

        Args:
            image: Array (C, Z, Y, X) or, for one channel, (Z, Y, X), in SimpleITK's axis order; or the path of a file;
                or one path a channel. Files bring spacing and direction with them.
            spacing: (z, y, x) in mm, in the order of the array's axes; with an array only.
            direction: 3 x 3 cosines as `SimpleITK.Image.GetDirection` gives them: column 0, 1, 2 is where the x, y, z
                axis (the array's last, middle, first) runs in LPS world; with an array only. None: the array is in the
                model's orientation already.
            probabilities: Return them too.

        Raises:
            UserError: Wrong number of channels or dimensions, spacing missing or not positive, unreadable file, NaN.
        """
        code: str | None = None
        origin: Sequence[float] = (0.0, 0.0, 0.0)
        if isinstance(image, np.ndarray):
            array, mm = self._check_array(image, spacing)
            if direction is not None and self.orientation is not None:
                code = direction_code(direction)
        elif spacing is not None or direction is not None:
            raise InputError("Files bring their own spacing and direction: give these two with arrays only.")
        else:
            paths = [image] if isinstance(image, str | Path) else list(image)
            array, mm, code = self._read([Path(path) for path in paths])
            header = read_header(Path(paths[0]))
            direction, origin = header.direction, header.origin
        labels, maps, raw = self._predict_array(array, mm, code or self.orientation, probabilities)
        findings = () if raw is None else self._findings(labels, mm, direction, origin, raw)
        return Segmentation(labels, dict(self.names), mm, maps, findings)

    def _predict_array(
        self, array: np.ndarray, spacing: tuple[float, ...], code: str | None, probabilities: bool
    ) -> tuple[np.ndarray, np.ndarray | None, tuple[np.ndarray, dict[str, Any]] | None]:
        """Labels and probabilities in the array's layout, and finding maps with nnU-Net's properties."""
        target = self.orientation
        turned, turned_spacing = array, list(spacing)
        if target is not None and code is not None:  # a model that knows its orientation always has a code to compare
            turned, turned_spacing = reorient_array(array, code, target), reorient_spacing(spacing, code, target)
        turned, raw = turned.astype(np.float32, copy=False), None
        with quiet(logger):
            if hasattr(self.predictor, "predict_array"):
                *outputs, finding_maps, properties = self.predictor.predict_array(turned, turned_spacing, probabilities)
                raw = (finding_maps, properties)
            else:
                result = self.predictor.predict_single_npy_array(
                    turned, {"spacing": turned_spacing}, None, None, probabilities
                )
                outputs = result if probabilities else (result, None)
        labels, maps = (
            out if out is None or target is None or code is None else reorient_array(np.asarray(out), target, code)
            for out in outputs
        )
        return labels, maps, raw

    def _findings(
        self,
        labels: np.ndarray,
        spacing: tuple[float, ...],
        direction: np.ndarray | Sequence[float] | None,
        origin: Sequence[float],
        raw: tuple[np.ndarray, dict[str, Any]],
    ) -> tuple[Finding, ...]:
        import SimpleITK as sitk

        from nnunet_textguided.inference.model_grid import ModelGrid
        from nnunet_textguided.inference.predict_findings import finding_reader

        image = sitk.GetImageFromArray(labels)
        image.SetSpacing(spacing[::-1])
        image.SetOrigin([float(mm) for mm in origin])
        if direction is None and self.orientation is not None:
            direction = sitk.DICOMOrientImageFilter.GetDirectionCosinesFromOrientation(self.orientation)
        if direction is not None:
            image.SetDirection(np.asarray(direction, dtype=float).ravel().tolist())
        maps, properties = raw
        reader = finding_reader(
            self.model.plans, self.model.dataset_json, self.predictor.configuration_manager, self.orientation
        )
        grid = ModelGrid.of_case(maps.shape[1:], properties, self.model.plans["transpose_forward"])
        return tuple(reader.read(maps, image, grid))

    def _check_array(
        self, image: np.ndarray, spacing: Sequence[float] | None
    ) -> tuple[np.ndarray, tuple[float, float, float]]:
        channels = self.model.num_channels
        array = image[None] if image.ndim == 3 and channels == 1 else image
        if array.ndim != 4 or array.shape[0] != channels or 0 in array.shape:
            raise InputError(
                f"Expected an array ({channels}, Z, Y, X){' or (Z, Y, X)' if channels == 1 else ''} for a model of "
                f"{channels} channel(s), got shape {image.shape}."
            )
        if not (np.issubdtype(array.dtype, np.number) or array.dtype == bool) or np.iscomplexobj(array):
            raise InputError(f"Expected an array of real numbers, got {array.dtype}.")
        if spacing is None or len(spacing) != 3 or not all(np.isfinite(mm) and mm > 0 for mm in spacing):
            raise InputError(f"Expected spacing=(z, y, x) in mm, all above 0, got {spacing}.")
        check_values(array, "The image")
        return array, (float(spacing[0]), float(spacing[1]), float(spacing[2]))

    def _read(self, files: list[Path]) -> tuple[np.ndarray, tuple[float, float, float], str | None]:
        """Return a case's array, spacing (z, y, x) and orientation code, in the layout of its first channel."""
        import SimpleITK as sitk

        if len(files) != self.model.num_channels:
            found = ", ".join(map(str, files))
            raise InputError(f"Expected {self.model.num_channels} file(s), one a channel, got {len(files)}: {found}.")
        code = source_orientation(files[0].name, files)
        channels = []
        for file in files:
            own = direction_code(read_header(file).direction)
            try:
                channels.append(reorient_array(sitk.GetArrayFromImage(sitk.ReadImage(str(file))), own, code))
            except RuntimeError as error:
                raise InputError(f"{file} is not a readable image: {error}") from error
            check_values(channels[-1], str(file))
        x, y, z = read_header(files[0]).spacing
        return np.stack(channels), (z, y, x), code


def _label_names(model: ModelFolder) -> dict[int, str]:
    """Code -> name. With regions a voxel's code is the region's in regions_class_order."""
    labels = {name: value for name, value in model.dataset_json["labels"].items() if name != "ignore"}
    order = model.dataset_json.get("regions_class_order")
    if order is not None and any(isinstance(value, list) for value in labels.values()):
        regions = [name for name in labels if name != "background"]
        return {0: "background", **{int(code): name for code, name in zip(order, regions, strict=True)}}
    return {int(value): name for name, value in labels.items()}
