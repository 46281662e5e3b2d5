"""The whole benchmark: parts one after the other, then one result."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch

from nnunet_textguided.benchmark import (
    classes,
    compilation,
    epochs,
    export,
    inference,
    loading,
    lone_process,
    shares,
    start_up,
    steps,
    whole_predict,
)
from nnunet_textguided.benchmark.bench import SEED, Bench, environment
from nnunet_textguided.benchmark.measurement import Measurement
from nnunet_textguided.benchmark.roles import has_query_head
from nnunet_textguided.benchmark.setting import Setting
from nnunet_textguided.benchmark.targets import check_targets
from nnunet_textguided.comparison.provenance import hardware, versions
from nnunet_textguided.errors import UserError
from nnunet_textguided.files import file_sha256

logger = logging.getLogger(__name__)

PARTS: dict[str, Callable[[Bench], list[Measurement]]] = {
    lone_process.PART: lone_process.measure_processes,
    start_up.PART: start_up.measure_start_up,
    export.PART: export.measure_export,
    steps.PART: steps.measure_steps,
    shares.PART: shares.measure_shares,
    classes.PART: classes.measure_classes,
    epochs.PART: epochs.measure_epochs,
    loading.PART: loading.measure_loading,
    inference.PART: inference.measure_inference_stages,
    whole_predict.PART: whole_predict.measure_predict,
    compilation.PART: compilation.measure_compilation,
}
"""In the order they are measured: processes of their own before this one has grown."""


def run_benchmark(setting: Setting, only: Iterable[str] = ()) -> dict[str, Any]:
    """Measure.

    Args:
        setting: What, on what, how often.
        only: Parts; all if none is named.

    Returns:
        The content of the JSON file: provenance, systems, reference, measurements, targets.

    Raises:
        UserError: There is no such part.
    """
    chosen = list(only) or list(PARTS)
    unknown = [name for name in chosen if name not in PARTS]
    if unknown:
        raise UserError(f"--only {', '.join(unknown)}: there is no such part. There are: {', '.join(PARTS)}.")
    rows: list[Measurement] = []
    with tempfile.TemporaryDirectory() as scratch, environment(nnUNet_results=f"{scratch}/results"):
        bench = Bench(setting, Path(scratch))
        for number, part in enumerate((name for name in PARTS if name in chosen), start=1):
            logger.info("%d/%d %s", number, len(set(chosen)), part)
            rows += PARTS[part](bench)
        guided, findings = _encoders(bench), bench.findings()
        compiled = any(one._do_i_compile() for one in bench.trainers().values())
    targets = check_targets(rows, setting.device.type, setting.dimensions, guided)
    return {
        "provenance": _provenance(setting, compiled),
        "systems": {
            system.label: {
                "trainer": system.trainer,
                "plans": system.plans[0],
                "encoder": guided[system.label],
                "findings": findings[system.label],
            }
            for system in setting.systems
        },
        "reference": setting.reference,
        "parts": [name for name in PARTS if name in chosen],
        "measurements": [row.to_json() for row in rows],
        "targets": targets,
    }


def _encoders(bench: Bench) -> dict[str, str | None]:
    """System -> image encoder of its plans, None for networks without a query head."""
    setting = bench.setting
    return {
        system.label: setting.encoder_of(system) if has_query_head(bench.trainer(system)) else None
        for system in setting.systems
    }


def _provenance(setting: Setting, compiled: bool) -> dict[str, Any]:
    """Where the figures come from; no names of people, machines or folders."""
    configuration = setting.configuration_of(setting.systems[0])
    plans = {system.plans[0]: file_sha256(setting.plans_file(system)) for system in setting.systems}
    on_gpu = setting.device.type == "cuda"
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "measured": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "versions": versions(),
        "hardware": hardware(),
        "device": setting.device.type,
        "threads": torch.get_num_threads(),
        "load_at_the_end": load,
        "amp": on_gpu,
        "compile": compiled,
        "dataset": setting.dataset,
        "configuration": setting.configuration,
        "patch_size": configuration["patch_size"],
        "batch_size": configuration["batch_size"],
        "plans_sha256": plans,
        "effort": vars(setting.effort),
        "seed_of_batches": SEED,
    }
