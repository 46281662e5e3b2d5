"""A whole prediction, model and images from disk, files written: against the number of cases."""

from __future__ import annotations

import logging
import shutil
from functools import partial
from pathlib import Path

from nnunet_textguided.benchmark.bench import Bench
from nnunet_textguided.benchmark.measurement import FINDINGS, Measurement, compared, with_condition
from nnunet_textguided.benchmark.models import Models, is_reference, make_models
from nnunet_textguided.benchmark.setting import Setting
from nnunet_textguided.benchmark.turns import in_turns
from nnunet_textguided.comparison.grid import System
from nnunet_textguided.inference.predict import predict_folder
from nnunet_textguided.inference.predict_settings import PredictSettings
from nnunet_textguided.quiet import quiet

logger = logging.getLogger(__name__)

PART = "predict"
QUANTITY = "whole predict"
ROUNDS = 3


def measure_predict(bench: Bench) -> list[Measurement]:
    """Predict folders of cases with every system in turns, with equal mirror axes and no extra processes.

    The reference is predicted by nnU-Net's predictor, as nnUNetv2_predict uses it, the others as `nnunet_textguided
    predict` does, findings and reorientation included.

    Args:
        bench: Builds the models.
    """
    setting, models = bench.setting, make_models(bench)
    axes = " ".join(map(str, models.mirror_axes)) or "none"
    rows = []
    for number in setting.cases:
        images = models.link_images(bench.scratch / f"images_{number}", number)
        tasks = {
            system.label: partial(
                bench.stopwatch.seconds, _predict, setting, system, models, images, bench.scratch / "whole"
            )
            for system in setting.systems
        }
        with quiet(logger):
            seconds = in_turns(tasks, min(ROUNDS, setting.effort.rounds), warm_up=min(1, setting.effort.warm_up))
        at = {"cases": number, "image": "real" if models.real else "noise", "mirror axes": axes}
        rows += compared(PART, QUANTITY, "s", seconds, setting.reference, at)
    return with_condition(rows, FINDINGS, bench.findings())


def _predict(setting: Setting, system: System, models: Models, images: Path, output: Path) -> None:
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    folder = models.folders[system.label]
    if is_reference(setting, system):
        _predict_as_nnunet(setting, folder, images, output)
        return
    settings = PredictSettings(npp=0, nps=0, device=setting.device.type, disable_progress_bar=True)
    predict_folder(folder, images, output, setting.fold, settings=settings)


def _predict_as_nnunet(setting: Setting, folder: Path, images: Path, output: Path) -> None:
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    on_gpu = setting.device.type == "cuda"
    predictor = nnUNetPredictor(device=setting.device, perform_everything_on_device=on_gpu, allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(str(folder), (setting.fold,))
    predictor.predict_from_files_sequential(str(images), str(output))
