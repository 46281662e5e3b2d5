"""How long a case takes from image files to a label file, stage by stage."""

from __future__ import annotations

import logging
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from nnunet_textguided.benchmark.bench import Bench
from nnunet_textguided.benchmark.measurement import FINDINGS, Measurement, compared, with_condition
from nnunet_textguided.benchmark.models import Models, make_models
from nnunet_textguided.benchmark.turns import Stopwatch, in_turns
from nnunet_textguided.inference.model_folder import check_model_folder, load_predictor
from nnunet_textguided.inference.resampling import TorchResampling
from nnunet_textguided.quiet import quiet

if TYPE_CHECKING:
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

logger = logging.getLogger(__name__)

PART = "inference"
PASS = "forward pass"
DIFFERENT = "voxels whose label differs by torch"
QUANTITIES = {
    "preprocess": "s",
    "network": "s",
    "resample and export": "s",
    "resample and export by torch": "s",
    "forward passes": "",
    PASS: "s",
    DIFFERENT: "",
}
ROUNDS = 3


def measure_inference_stages(bench: Bench) -> list[Measurement]:
    """Predict the first case with every system in turns; the models are loaded before.

    Args:
        bench: Builds the models.
    """
    models = make_models(bench)
    case, files = next(iter(models.images.items()))
    tasks: dict[str, Callable[[], Any]] = {}
    for label, folder in models.folders.items():
        with quiet(logger):
            predictor = _predictor(folder, bench.setting.fold, bench.setting.device)
        target = bench.scratch / "predicted" / str(len(tasks)) / case
        target.parent.mkdir(parents=True, exist_ok=True)
        tasks[label] = partial(stages, predictor, files, target, bench.stopwatch)
    effort = bench.setting.effort
    with quiet(logger):
        found = in_turns(tasks, min(ROUNDS, effort.rounds), warm_up=min(1, effort.warm_up))
    at = {"image": "real" if models.real else "noise", "mirror axes": _words(models)}
    rows = []
    for quantity, unit in QUANTITIES.items():
        values = {label: [one[quantity] for one in own] for label, own in found.items()}
        rows += compared(PART, quantity, unit, values, bench.setting.reference, at)
    return with_condition(rows, FINDINGS, bench.findings())


def stages(predictor: nnUNetPredictor, files: list[str], target: Path, stopwatch: Stopwatch) -> dict[str, float]:
    """Predict one case and time the stages, which are nnU-Net's own functions.

    Args:
        predictor: With its network.
        files: One a channel.
        target: Of the label file, without ending.
        stopwatch: Of the device.

    Returns:
        The `QUANTITIES`; a forward pass is the median over all tiles and mirrored passes.
    """
    from nnunetv2.inference.export_prediction import export_prediction_from_logits

    plans, configuration = predictor.plans_manager, predictor.configuration_manager
    start = stopwatch.now()
    preprocessor = configuration.preprocessor_class(verbose=False)
    data, _, properties = preprocessor.run_case(files, None, plans, configuration, predictor.dataset_json)
    preprocessed = stopwatch.now()
    passes: list[float] = []
    handles = _timed_passes(predictor.network, stopwatch, passes)
    try:
        logits = predictor.predict_logits_from_preprocessed_data(torch.from_numpy(data)).cpu()
    finally:
        for handle in handles:
            handle.remove()
    predicted = stopwatch.now()
    export_prediction_from_logits(logits, properties, configuration, plans, predictor.dataset_json, str(target))
    exported = stopwatch.now()
    quick, by_torch = TorchResampling(configuration.configuration), f"{target}_torch"
    export_prediction_from_logits(logits, properties, quick, plans, predictor.dataset_json, by_torch)
    times = (preprocessed - start, predicted - preprocessed, exported - predicted, stopwatch.now() - exported)
    reader, ending = plans.image_reader_writer_class(), predictor.dataset_json["file_ending"]
    planned, quickly = (reader.read_seg(f"{file}{ending}")[0] for file in (target, by_torch))
    different = float((planned != quickly).sum())
    return dict(zip(QUANTITIES, (*times, float(len(passes)), statistics.median(passes), different), strict=True))


def _timed_passes(network: torch.nn.Module, stopwatch: Stopwatch, passes: list[float]) -> list[Any]:
    starts: list[float] = []

    def begin(*_: Any) -> None:
        starts.append(stopwatch.now())

    def end(*_: Any) -> None:
        passes.append(stopwatch.now() - starts.pop())

    return [network.register_forward_pre_hook(begin), network.register_forward_hook(end)]


def _predictor(folder: Path, fold: int, device: torch.device) -> nnUNetPredictor:
    model = check_model_folder(folder, fold)
    on_gpu = device.type == "cuda"
    return load_predictor(model, device=device, perform_everything_on_device=on_gpu, allow_tqdm=False)


def _words(models: Models) -> str:
    return " ".join(map(str, models.mirror_axes)) or "none"
