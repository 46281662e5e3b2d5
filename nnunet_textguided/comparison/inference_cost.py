"""The time of a prediction, measured the same way for every system: from image files to a label array."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnunet_textguided.comparison.checkpoint import final_checkpoint
from nnunet_textguided.comparison.costs import INFERENCE_COST_FILE
from nnunet_textguided.comparison.folders import Folders
from nnunet_textguided.comparison.grid import Run
from nnunet_textguided.comparison.splits import validation_cases
from nnunet_textguided.errors import UserError
from nnunet_textguided.files import file_sha256, save_json_atomic

if TYPE_CHECKING:
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor


def measure_inference(
    run: Run, folders: Folders, records: Path, cases: int = 3, device: str | None = None, threads: int | None = None
) -> dict[str, Any]:
    """Predict the first validation cases one by one and write the median time.

    Reading, preprocessing, the network over all tiles and mirrored passes the model was trained for, and resampling
    to the image's grid count; writing a file and loading the model do not. The first case warms up and counts only
    where it is the only one. Run this in a process of its own: the peak of memory is the process's.

    Args:
        run: A finished one.
        folders: nnU-Net's; raw images are read.
        records: Folder of all records; the cost goes to `<run's name>/inference_cost.json` in it.
        cases: How many are predicted at most.
        device: "cpu", "cuda" or "mps"; None for cuda where there is one and else the CPU.
        threads: Of the CPU; None for OMP_NUM_THREADS, or all cores.

    Returns:
        What was written: checkpoint (SHA-256), seconds_per_case, cases (measured), warmed_up, peak_memory_mb, device,
        threads, mirror_axes.

    Raises:
        UserError: Images are not there, the model does not load, or it is the second stage of a cascade.
    """
    from nnunet_textguided.comparison.resource_use import device_name, peak_memory_mb, set_threads, start_measuring
    from nnunet_textguided.inference.model_folder import check_model_folder, load_predictor
    from nnunet_textguided.inference.predict_settings import choose_device

    chosen = choose_device(device)
    used = set_threads(chosen, threads)
    wanted = validation_cases(folders.preprocessed / run.dataset, run.fold)[:cases]
    images = image_files(folders.raw / run.dataset, wanted)
    model = check_model_folder(run.model_folder(folders.results), run.fold)
    on_gpu = chosen.type == "cuda"
    predictor = load_predictor(model, device=chosen, perform_everything_on_device=on_gpu, allow_tqdm=False)
    if predictor.configuration_manager.previous_stage_name is not None:
        raise UserError(f"{run.name} is the second stage of a cascade: its time cannot be measured. Add --no-costs.")
    start_measuring(chosen)
    seconds = [_seconds(predictor, files) for files in images.values()]
    measured = dict(zip(images, seconds, strict=True))
    if len(measured) > 1:
        measured.pop(next(iter(images)))
    cost = {
        "checkpoint": file_sha256(final_checkpoint(run, folders.results)),
        "seconds_per_case": statistics.median(measured.values()),
        "cases": measured,
        "warmed_up": len(images) > 1,
        "peak_memory_mb": peak_memory_mb(chosen),
        "device": device_name(chosen),
        "threads": used,
        "mirror_axes": list(predictor.allowed_mirroring_axes or ()),
    }
    save_json_atomic(cost, records / run.name / INFERENCE_COST_FILE)
    return cost


def _seconds(predictor: nnUNetPredictor, files: list[str]) -> float:
    start = time.monotonic()
    reader = predictor.plans_manager.image_reader_writer_class()
    image, properties = reader.read_images(files)
    predictor.predict_single_npy_array(image, properties)  # returns an array, so a GPU has finished as well
    return time.monotonic() - start


def image_files(raw: Path, cases: Sequence[str]) -> dict[str, list[str]]:
    """Return the images of training cases: case -> one file a channel.

    Args:
        raw: nnUNet_raw/DatasetXXX_Name.
        cases: Their names.

    Raises:
        UserError: One is not there.
    """
    from nnunetv2.utilities.utils import get_filenames_of_train_images_and_targets

    known = get_filenames_of_train_images_and_targets(str(raw)) if (raw / "dataset.json").is_file() else {}
    for case in cases:
        absent = [file for file in known.get(case, {"images": [str(raw / case)]})["images"] if not os.path.isfile(file)]
        if absent:
            raise UserError(
                f"The time of a prediction is measured on images of {raw}, but {absent[0]} is not there. "
                "Bring the images there, or leave the costs out with --no-costs."
            )
    return {case: known[case]["images"] for case in cases}
