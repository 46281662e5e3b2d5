"""A constructed result: 20 cases of a spine in two folds, four systems, with every kind of gap a real one has."""

from __future__ import annotations

import numpy as np
import pandas as pd

from nnunet_textguided.comparison.grid import Grid, Run, System
from nnunet_textguided.comparison.record import RunRecord
from nnunet_textguided.spine import SPINE_DISCS, SPINE_STRUCTURES, SPINE_VERTEBRAE

DATASET, CONFIGURATION = "Dataset900_Toy", "2d"
STRUCTURES = (*SPINE_STRUCTURES, "canal")
CASES = tuple(f"toy_{i:03d}" for i in range(20))
FOLDS = {0: CASES[::2], 1: CASES[1::2]}
FINDINGS = ("bulge", "narrowing")
SEED, REPEATS = 4, 25  # of the bootstrap
GRID = Grid(
    DATASET,
    CONFIGURATION,
    (0, 1),
    (
        System("Reference", "RefTrainer", ("plansA",)),
        System("Repeated", "RepTrainer", ("plansB", "plansC")),
        System("Twin", "TwinTrainer", ("plansA",)),
        System("Mute", "MuteTrainer", ("plansM",)),
    ),
)
SKILL = {"RefTrainer/plansA": 4.0, "RepTrainer/plansB": 2.5, "RepTrainer/plansC": 3.0, "TwinTrainer/plansA": 4.0}


def toy_records(grid: Grid = GRID, **changes) -> list[RunRecord]:
    """One record a run; systems of the same skill and plans have the same numbers."""
    return [toy_record(run, FOLDS[run.fold], **changes) for run in grid.runs()]


def toy_record(run: Run, cases: tuple[str, ...], structures: tuple[str, ...] = STRUCTURES) -> RunRecord:
    skill = SKILL.get(f"{run.trainer}/{run.plans}", 2.0)
    # the twin draws the very numbers of the reference, and cases are drawn apart so that a part is a part of the whole
    seed = int(skill * 10) if skill == 4.0 else sum(map(ord, run.trainer + run.plans))
    tables = [_case_tables(case, skill, np.random.default_rng([seed, int(case[-3:])]), structures) for case in cases]
    scores, findings, instances, shifts = (pd.DataFrame([row for t in tables for row in t[k]]) for k in range(4))
    return RunRecord(
        run,
        tuple(cases),
        scores,
        None if run.trainer == "MuteTrainer" else findings,
        instances,
        shifts,
        costs={
            "parameters": 1000 * int(skill * 10),
            "epochs": 5,
            "iterations": 1250,
            "seconds_per_epoch": 2.0 * skill + run.fold,
            "seconds_per_case": None if run.fold else 0.5 * skill,
            "training_memory_mb": None,
            "device": "toy processor",
            "inference_device": "toy processor",
        },
        fingerprints={"splits": "s", "truth": "t"},
        details={"epochs": 5, "plans": {"left": "out"}, "seed": 7},
        provenance={"checkpoint": "c" * 8},
    )


def _case_tables(case: str, skill: float, rng: np.random.Generator, structures: tuple[str, ...]) -> list[list[dict]]:
    number = int(case[-3:])
    scores = [_structure_row(case, number, k, name, skill, rng) for k, name in enumerate(structures)]
    findings = [row for k, disc in enumerate(SPINE_DISCS) for row in _findings(case, number, k, disc, skill, rng)]
    instances = [_instance(case, name, skill, rng) for name in structures]
    shift = float(rng.integers(-1, 2)) if number % 7 else float("nan")
    return [scores, findings, instances, [{"case": case, "shift": shift}]]


def _structure_row(case: str, number: int, k: int, name: str, skill: float, rng: np.random.Generator) -> dict:
    size, tp = 100 + 10 * k, 0
    tp = int(size * rng.beta(skill, 1))
    fp, missed, false = int(size * rng.random() / 3), rng.random() < 0.08, rng.random() < 0.3
    if name == "S" and number % 5 == 0:
        status = "not annotated"
    elif name in ("T9", "T9/T10") and number % 3 == 0:
        status = "false structure" if false else "absent"
    else:
        status = "missed" if missed else "scored"
    tp, fp, size = {
        "not annotated": (0, 0, 0),
        "false structure": (0, fp + 1, 0),
        "absent": (0, 0, 0),
        "missed": (0, 0, size),
        "scored": (tp, fp + 1, size),
    }[status]
    fn, nan, known = size - tp, float("nan"), status in ("scored", "missed", "false structure")
    distance = float(rng.gamma(2.0, 10 / skill))
    return {
        **{"case": case, "structure": name, "code": str(k + 1), "status": status},
        "iou": tp / (tp + fp + fn) if known else nan,
        "dice": 2 * tp / (2 * tp + fp + fn) if known else nan,
        "recall": tp / size if known and size else nan,
        "precision": tp / (tp + fp) if known and tp + fp else nan,
        **{"tp": tp, "fp": fp, "fn": fn, "n_ref": size, "n_pred": tp + fp},
        "hd95_mm": distance if status == "scored" else nan,
        "assd_mm": distance / 4 if status == "scored" else nan,
    }


def _findings(case: str, number: int, k: int, disc: str, skill: float, rng: np.random.Generator) -> list[dict]:
    rows = []
    for j, finding in enumerate(FINDINGS):
        truth = float((number * (k + 2) + 3 * j) % 3 == 0) if (number + k + j) % 6 else float("nan")
        raised = rng.random() + (0.1 * skill if truth == 1 else 0.0)
        rows.append(
            {
                **{"case": case, "structure": disc, "finding": finding, "truth": truth},
                "probability": round(min(raised / 1.4, 1.0), 2),  # rounded, so that some tie
            }
        )
    return rows


def _instance(case: str, name: str, skill: float, rng: np.random.Generator) -> dict:
    group = "canal" if name == "canal" else "vertebrae" if name in SPINE_VERTEBRAE else "discs"
    overlap, dice, distance = rng.random() < 0.9, float(rng.beta(skill, 1)), float(rng.gamma(2.0, 1.0))
    detected, nan = overlap and dice > 0.3, float("nan")
    return {
        **{"case": case, "group": group, "structure": name, "matched": name if overlap else ""},
        "dice": dice if overlap else 0.0,
        "detected": detected,
        "asd_mm": distance if overlap else nan,
        "asd_official_mm": distance / 3 if overlap else nan,
    }
