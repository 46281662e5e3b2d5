"""What the way from scores of many classes to a label map takes of memory, each in a process of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

from nnunet_textguided.benchmark.measurement import Measurement, compared
from nnunet_textguided.benchmark.turns import in_turns

if TYPE_CHECKING:
    import numpy as np
    import torch

    from nnunet_textguided.benchmark.bench import Bench
    from nnunet_textguided.benchmark.setting import Setting
    from nnunet_textguided.comparison.grid import System

PART = "export"
CLASSES = 20
"""With the background."""
SCORES, IMAGE = (12, 320, 256), (12, 640, 512)
"""Voxels of the scores, which are in float16 as nnU-Net's are, and of the label map."""
PLANNED, TORCH = "as the plans say", "torch"
SECONDS, ABOVE = "scores to label map", "peak memory above that before"
COPIES, DIFFERENT = "peak memory over one float copy of all classes", "voxels whose label differs by torch"
QUANTITIES = {SECONDS: "s", ABOVE: "MB", COPIES: "ratio", DIFFERENT: ""}
ROUNDS = 3


def measure_export(bench: Bench) -> list[Measurement]:
    """Export the same scores as every system's plans say, and all but the reference's with torch too, in turns.

    Ratios are to what the reference's plans say: that is nnU-Net's own export.

    Args:
        bench: Knows the systems; none of its trainers is used.
    """
    setting = bench.setting
    tasks = {(PLANNED, system.label): partial(_run_alone, setting, system, PLANNED) for system in setting.systems}
    others = [system for system in setting.systems if system.label != setting.reference]
    tasks |= {(TORCH, system.label): partial(_run_alone, setting, system, TORCH) for system in others}
    found = in_turns(tasks, min(ROUNDS, setting.effort.rounds))
    rows = []
    for how in (PLANNED, TORCH):
        chosen = {label: own for (way, label), own in found.items() if how == way or label == setting.reference}
        for quantity, unit in QUANTITIES.items():
            values = {label: [one[quantity] for one in own] for label, own in chosen.items() if quantity in own[0]}
            made = compared(PART, quantity, unit, values, setting.reference, {"classes": CLASSES, "resampling": how})
            rows += [row for row in made if how == PLANNED or row.system != setting.reference]
    return rows


def _run_alone(setting: Setting, system: System, how: str) -> dict[str, float]:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(export_once, setting, system, how).result()


def export_once(
    setting: Setting, system: System, how: str, shape: Sequence[int] = SCORES, new_shape: Sequence[int] = IMAGE
) -> dict[str, float]:
    """Export scores of noise that varies slowly; run in a process that has done nothing else.

    Args:
        setting: Of the benchmark.
        system: One of its systems, whose plans say how scores are resampled.
        how: `PLANNED` or `TORCH`.
        shape: Of the scores.
        new_shape: Of the label map.

    Returns:
        The `QUANTITIES`, without those of memory where the system does not say, and voxels that differ for torch only.
    """
    import torch

    from nnunet_textguided.benchmark.turns import Stopwatch
    from nnunet_textguided.comparison.resource_use import peak_memory_mb, resident_memory_mb

    export, cpu = _exporter(setting, system), torch.device("cpu")
    export(_smooth_scores((2, 8, 8)), how, (2, 16, 16))  # what is loaded at first use is none of the copies
    scores = _smooth_scores(shape)
    labels: list[np.ndarray] = []
    before = resident_memory_mb()
    seconds = Stopwatch(cpu).seconds(lambda: labels.append(export(scores, how, new_shape)))
    peak = peak_memory_mb(cpu)
    found = {SECONDS: seconds}
    if before is not None and peak is not None:
        copy_mb = CLASSES * math.prod(new_shape) * torch.finfo(torch.float32).bits / 8 / 1024**2
        found |= {ABOVE: peak - before, COPIES: (peak - before) / copy_mb}
    if how == TORCH:
        found[DIFFERENT] = float((labels[0] != export(scores, PLANNED, new_shape)).sum())
    return found


def _exporter(setting: Setting, system: System) -> Callable[[torch.Tensor, str, Sequence[int]], np.ndarray]:
    """Scores, how, shape of the label map -> label map, by nnU-Net's own function."""
    from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    from nnunet_textguided.benchmark.class_count import with_classes
    from nnunet_textguided.files import load_json
    from nnunet_textguided.inference.resampling import TorchResampling

    dataset_json = load_json(setting.folders.preprocessed / setting.dataset / "dataset.json")
    content, dataset_json = with_classes(load_json(setting.plans_file(system)), dataset_json, CLASSES - 1)
    plans = PlansManager(content)
    planned = plans.get_configuration(setting.configuration)
    ways = {PLANNED: planned, TORCH: TorchResampling(planned.configuration)}
    label_manager = plans.get_label_manager(dataset_json)

    def export(scores: torch.Tensor, how: str, shape: Sequence[int]) -> np.ndarray:
        return convert_predicted_logits_to_segmentation_with_correct_shape(
            scores, plans, ways[how], label_manager, _properties(content, planned.spacing, shape)
        )

    return export


def _smooth_scores(shape: Sequence[int]) -> torch.Tensor:
    """Class by class, so that nothing larger is in memory before the export is."""
    import torch

    from nnunet_textguided.benchmark.bench import SEED

    random = torch.Generator().manual_seed(SEED)
    scores = torch.empty(CLASSES, *shape, dtype=torch.half)
    for one in scores:
        coarse = torch.randn(1, 1, shape[0], *(max(1, n // 10) for n in shape[1:]), generator=random)
        one.copy_(torch.nn.functional.interpolate(coarse, size=tuple(shape), mode="trilinear")[0, 0])
    return scores


def _properties(plans: Mapping[str, Any], spacing: Sequence[float], shape: Sequence[int]) -> dict[str, Any]:
    """What nnU-Net's preprocessing would say of an image twice as fine within a slice as the plans' spacing."""
    thickness = spacing[0] if len(spacing) == len(shape) else plans["original_median_spacing_after_transp"][0]
    fine = [thickness, *(mm / 2 for mm in spacing[-2:])]
    return {
        "spacing": [fine[axis] for axis in plans["transpose_backward"]],
        "shape_before_cropping": tuple(shape),
        "shape_after_cropping_and_before_resampling": tuple(shape),
        "bbox_used_for_cropping": [[0, n] for n in shape],
    }
