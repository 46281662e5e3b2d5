"""Predict a folder of images with nnU-Net's predictor, whatever orientation they are in."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from nnunet_textguided.errors import UserError
from nnunet_textguided.files import remove_leftovers
from nnunet_textguided.image_headers import check_image
from nnunet_textguided.inference.input_cases import (
    InputError,
    find_cases,
    read_header,
    source_orientation,
)
from nnunet_textguided.inference.model_folder import Fold, ModelFolder, check_model_folder, has_findings, load_predictor
from nnunet_textguided.inference.name_order import Column, order_files
from nnunet_textguided.inference.postprocess import Steps, load_steps
from nnunet_textguided.inference.predict_findings import FindingOutput
from nnunet_textguided.inference.predict_settings import PredictSettings, choose_device
from nnunet_textguided.inference.prediction_faults import told
from nnunet_textguided.nifti import IncompleteFileError, check_complete

if TYPE_CHECKING:
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    from nnunet_textguided.inference.finding_predictor import FindingPredictor

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PredictSummary:
    """What a call did.

    Attributes:
        predicted: Cases predicted.
        skipped: Cases that were there already (continue_prediction).
        reoriented: Predicted cases whose image was turned, with their orientation codes.
        output_folder: Where the predictions are.
        orientation: The model's orientation, or None where it has none.
    """

    predicted: list[str]
    skipped: list[str]
    reoriented: dict[str, str] = field(default_factory=dict)
    output_folder: Path = Path()
    orientation: str | None = None


def predict_folder(
    model_folder: str | Path,
    input_folder: str | Path,
    output_folder: str | Path,
    folds: Sequence[Fold] | Fold | None = None,
    checkpoint: str = "checkpoint_final.pth",
    settings: PredictSettings | None = None,
) -> PredictSummary:
    """Predict every case of a folder; labels are written in each image's own geometry.

    Everything that can be checked is checked before the network is loaded.

    Args:
        model_folder: Trained model.
        input_folder: CASE_0000<file_ending>, ... in any orientation.
        output_folder: Made if missing.
        folds: As for `check_model_folder`.
        checkpoint: File name of the checkpoints.
        settings: nnUNetv2_predict's options.

    Raises:
        UserError: Model, input or output is not usable; the text names the file.
    """
    settings = settings or PredictSettings()
    steps = load_steps(settings.postprocessing, settings.trust) if settings.postprocessing else None
    model = check_model_folder(model_folder, folds, checkpoint, settings.trust)
    column = Column.of_labels(model.dataset_json["labels"]) if settings.names_in_order else None
    device = choose_device(settings.device)
    ending = model.dataset_json["file_ending"]
    cases = find_cases(input_folder, ending, model.num_channels)
    cases = dict(list(cases.items())[settings.part_id :: settings.num_parts])
    output = writable_folder(output_folder)
    remove_leftovers(output)
    findings = has_findings(model)
    skipped = [c for c in cases if settings.continue_prediction and _is_done(output, c, ending, settings, findings)]
    todo = {case: files for case, files in cases.items() if case not in skipped}
    codes = _check_images(model, todo)
    turned = {case: code for case, code in codes.items() if code != model.orientation}
    if column is not None:  # an earlier call may have ended before it came to that; doing it again changes nothing
        _order_names(model, [output / f"{case}{ending}" for case in skipped], column)
    if todo:
        predictor = load_predictor(model, **_predictor_options(settings, device))
        _check_previous_stage(predictor, settings, todo, ending)
        _use_own_reader(predictor, model, settings, steps)
        if settings.resampling == "torch":
            from nnunet_textguided.inference.resampling import TorchResampling

            predictor.configuration_manager = TorchResampling(predictor.configuration_manager.configuration)
        kept = _keep_findings(predictor, model, output) if findings else None
        # which cases are left is settled already; nnU-Net would keep files that are cut short
        _run(predictor, todo, output, replace(settings, continue_prediction=False))
        if column is not None:
            _order_names(model, [output / f"{case}{ending}" for case in todo], column)
        if kept is not None:
            kept.finish(list(todo))
    return PredictSummary(list(todo), skipped, turned, output, model.orientation)


def _order_names(model: ModelFolder, files: Sequence[Path], column: Column) -> None:
    """Change label files after the network, before findings are read off them."""
    from nnunet_textguided.inference.checked_io import CheckedPlans

    # the files lie in their own geometry, so nnU-Net's reader is the right one, not one that turns them
    order_files([(file, file) for file in files], column, CheckedPlans(model.plans).image_reader_writer_class())


def writable_folder(folder: str | Path) -> Path:
    """Make a folder and try to write to it.

    Args:
        folder: Made if missing.

    Raises:
        UserError: It cannot be made or written to.
    """
    path = Path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise UserError(f"Cannot write to the output folder {path}: {error.strerror or error}.") from error
    return path


def _is_done(output: Path, case: str, ending: str, settings: PredictSettings, findings: bool) -> bool:
    endings = [ending, *([".npz", ".pkl"] if settings.save_probabilities else [])]
    endings += ["_findings.json"] if findings else []
    return all((output / f"{case}{end}").is_file() for end in endings) and _is_whole(output / f"{case}{ending}")


def _is_whole(file: Path) -> bool:
    """Tell whether a label file was written to its end; nnU-Net writes it after the probabilities."""
    try:
        check_complete(file)
    except IncompleteFileError:
        logger.warning("%s is cut short and is predicted again.", file)
        return False
    return True


def _check_images(model: ModelFolder, cases: dict[str, list[Path]]) -> dict[str, str]:
    """Return case -> orientation code where the model has an orientation; check every header either way."""
    from nnunet_textguided.inference.oriented_io import supports_reorientation

    if not supports_reorientation(model.plans):
        if model.orientation is not None:
            logger.warning(
                "The model reads images with %s, which cannot be turned: they must be in %s orientation already.",
                model.plans["image_reader_writer"],
                model.orientation,
            )
        for file in (file for files in cases.values() for file in files):
            check_image(file)
        return {}
    if model.orientation is not None:
        return {case: source_orientation(case, files) for case, files in cases.items()}
    # A model trained on single slices (an axis of one voxel) takes 2D files too, as nnU-Net itself does.
    flat = 1 in [round(n) for n in model.plans.get("original_median_shape_after_transp", [])]
    for file in (file for files in cases.values() for file in files):
        read_header(file, (2, 3) if flat else (3,))
    return {}


def _check_previous_stage(
    predictor: nnUNetPredictor, settings: PredictSettings, cases: dict[str, list[Path]], ending: str
) -> None:
    stage = predictor.configuration_manager.previous_stage_name
    if stage is None:
        return
    if settings.prev_stage_predictions is None:
        raise InputError(
            f"This is the second stage of a cascade: predict with configuration {stage} first and give that output "
            "folder with -prev_stage_predictions."
        )
    folder = Path(settings.prev_stage_predictions)
    missing = [case for case in cases if not (folder / f"{case}{ending}").is_file()]
    if missing:
        raise InputError(f"{folder} lacks the {stage} predictions of: {', '.join(missing)}.")
    for case in cases:
        check_image(folder / f"{case}{ending}")


def _predictor_options(settings: PredictSettings, device: torch.device) -> dict[str, object]:
    return {
        "tile_step_size": settings.step_size,
        "use_gaussian": True,
        "use_mirroring": not settings.disable_tta,
        "perform_everything_on_device": not settings.not_on_device,
        "device": device,
        "verbose": settings.verbose,
        "verbose_preprocessing": settings.verbose,
        "allow_tqdm": not settings.disable_progress_bar,
    }


def _use_own_reader(
    predictor: nnUNetPredictor, model: ModelFolder, settings: PredictSettings, steps: Steps | None
) -> None:
    from nnunet_textguided.inference.checked_io import CheckedPlans
    from nnunet_textguided.inference.oriented_io import OrientedPlans, supports_reorientation

    if model.orientation is not None and supports_reorientation(model.plans):
        ending = model.dataset_json["file_ending"]
        save = settings.save_probabilities
        predictor.plans_manager = OrientedPlans(model.plans, model.orientation, ending, save, steps)
    else:
        predictor.plans_manager = CheckedPlans(model.plans, steps)


def _keep_findings(predictor: FindingPredictor, model: ModelFolder, output: Path) -> FindingOutput:
    orientation = getattr(predictor.plans_manager, "orientation", None)
    findings = FindingOutput.of_model(model, predictor.configuration_manager, output, orientation)
    predictor.keep = findings.keep
    return findings


def _run(predictor: nnUNetPredictor, cases: dict[str, list[Path]], output: Path, settings: PredictSettings) -> None:
    images = [[str(file) for file in files] for files in cases.values()]
    targets = [str(output / case) for case in cases]
    common = {
        "save_probabilities": settings.save_probabilities,
        "overwrite": not settings.continue_prediction,
        "folder_with_segs_from_prev_stage": settings.prev_stage_predictions,
    }
    try:
        if settings.npp == 0:
            predictor.predict_from_files_sequential(images, targets, **common)
        else:
            workers = {"num_processes_preprocessing": settings.npp, "num_processes_segmentation_export": settings.nps}
            predictor.predict_from_files(images, targets, **common, **workers)
    except (OSError, MemoryError, RuntimeError) as error:
        raise told(error, predictor, [Path(file) for files in images for file in files], output) from error
