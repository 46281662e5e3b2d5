"""A comparison made by hand: constructed scores of any number of cases and systems, for tests of figures and pages."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from nnunet_textguided.comparison.grid import Grid, System
from nnunet_textguided.spine import SPINE_STRUCTURES

LABELS = ("Text-guided", "Visual only", "nnU-Net")
FINDINGS = ("disc bulge", "Modic change")
STRUCTURES = SPINE_STRUCTURES[:4] + SPINE_STRUCTURES[10:13]  # S, L5, L4, L3, L5/S, L4/L5, L3/L4


def toy_comparison(
    labels: tuple[str, ...] = LABELS, cases: int = 20, findings: bool = True, structures: tuple[str, ...] = STRUCTURES
) -> Any:
    """Return an object with the fields of `Comparison`.

    Scores are random with a fixed seed; each system is 0.08 worse than the one before it. The statistics are simple
    (normal interval, no Wilcoxon): figures and pages print what they are given.
    """
    names = tuple(f"spider_{number:03d}" for number in range(1, cases + 1))
    systems = tuple(
        System(label, f"Trainer{number}", ("plansA", "plansB") if number == 0 else ("plans",))
        for number, label in enumerate(labels)
    )
    grid = Grid("Dataset100_Toy", "2d", (0, 1), systems)
    structure_cases = _structure_cases(labels, names, structures)
    case_scores = _case_scores(structure_cases)
    comparison = SimpleNamespace(
        grid=grid,
        reference=labels[0],
        cases=names,
        overall=_overall(systems, case_scores),
        structures=_structures(structure_cases),
        groups=_groups(structure_cases),
        findings=None,
        costs=_costs(labels),
        statistics=_statistics(labels, case_scores) if cases > 1 else pd.DataFrame(columns=["measure", "system"]),
        upper_lower=pd.DataFrame(),
        spider=_spider(labels),
        case_scores=case_scores,
        structure_cases=structure_cases,
        decisions=None,
        rules=(f"{cases} cases.", "A structure in the truth but not in the prediction scores 0.", "A third rule."),
        notes=("A note on this comparison.",),
        provenance={"versions": {"numpy": "2.0"}, "runs": {"a": {"fingerprints": {"splits": "f" * 64}}}},
    )
    if findings:
        comparison.decisions = _decisions(systems, names)
        comparison.findings = _findings(comparison.decisions)
    return comparison


def changed(comparison: Any, **fields: Any) -> Any:
    """Return a copy with other fields."""
    return SimpleNamespace(**{**vars(comparison), **fields})


def relabelled(comparison: Any, old: str, new: str) -> Any:
    """Return a copy in which a system is called otherwise, in every table."""
    fields = {
        name: table.replace({"system": {old: new}})
        for name, table in vars(comparison).items()
        if isinstance(table, pd.DataFrame) and "system" in table
    }
    systems = tuple(dataclasses.replace(s, label=new if s.label == old else s.label) for s in comparison.grid.systems)
    reference = new if comparison.reference == old else comparison.reference
    return changed(
        comparison, **fields, grid=dataclasses.replace(comparison.grid, systems=systems), reference=reference
    )


def _structure_cases(labels: tuple[str, ...], cases: tuple[str, ...], structures: tuple[str, ...]) -> pd.DataFrame:
    draw = np.random.default_rng(0)
    rows = []
    for case in cases:
        hard = draw.normal(0, 0.06)
        for name in structures:
            for number, label in enumerate(labels):
                iou = float(np.clip(0.8 - 0.08 * number + hard + draw.normal(0, 0.06), 0, 1))
                rows.append({"system": label, "case": case, "structure": name, "iou": iou, "dice": 2 * iou / (1 + iou)})
    return pd.DataFrame(rows)


def _case_scores(structure_cases: pd.DataFrame) -> pd.DataFrame:
    wide = structure_cases.groupby(["system", "case"], sort=False)[["iou", "dice"]].mean()
    wide = wide.rename(columns={"iou": "miou", "dice": "mdice"})
    wide["hd95_mm"], wide["assd_mm"] = 20 * (1 - wide["miou"]), 5 * (1 - wide["miou"])
    long = wide.reset_index().melt(["system", "case"], var_name="measure", value_name="value")
    return long


def _overall(systems: tuple[System, ...], scores: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for system in systems:
        own = scores[scores["system"] == system.label].groupby("measure")["value"]
        row = {"system": system.label, "trainer": system.trainer, "plans": ", ".join(system.plans)}
        row |= {"repeats": len(system.plans), "cases": scores["case"].nunique(), "missed": 1.5, "false_structures": 2}
        row |= {f"{m}_mean": v for m, v in own.mean().items()} | {f"{m}_sd": v for m, v in own.std(ddof=1).items()}
        rows.append({**row, "miou_repeats_sd": 0.01 if len(system.plans) > 1 else np.nan, "recall_mean": 0.8})
    return pd.DataFrame(rows)


def _structures(cases: pd.DataFrame) -> pd.DataFrame:
    by = cases.groupby(["system", "structure"], sort=False)
    table = by[["iou", "dice"]].mean()
    table[["iou_sd", "dice_sd"]] = by[["iou", "dice"]].std(ddof=1)
    table = table.assign(hd95_mm=3.25, hd95_mm_sd=1.0, n=by.size(), missed=0).reset_index()
    table.loc[0, "missed"] = 2
    return table


def _groups(cases: pd.DataFrame) -> pd.DataFrame:
    group = cases["structure"].str.contains("/").map({True: "discs", False: "vertebrae"})
    by = cases.assign(group=group).groupby(["system", "group"], sort=False)[["iou", "dice"]]
    return by.mean().add_suffix("_mean").join(by.std(ddof=1).add_suffix("_sd")).reset_index()


def _costs(labels: tuple[str, ...]) -> pd.DataFrame:
    rows = [{"system": label, "parameters": 28_600_000 - 1_000_000 * i} for i, label in enumerate(labels)]
    rows = [{**row, "seconds_per_epoch": None, "seconds_per_case": 1.25, "device": "cpu"} for row in rows]
    return pd.DataFrame([{**row, "training_memory_mb": None, "inference_memory_mb": 900.0} for row in rows])


def _statistics(labels: tuple[str, ...], scores: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for measure, part in scores.groupby("measure", sort=False):
        wide = part.pivot(index="case", columns="system", values="value")
        for label in labels[1:]:
            difference = wide[labels[0]] - wide[label]
            half = 1.96 * difference.std(ddof=1) / np.sqrt(len(difference))
            mean = difference.mean()
            row = {"measure": measure, "system": label, "n": len(difference), "difference": mean}
            row |= {"low": mean - half, "high": mean + half, "wilcoxon_p": 0.0002, "wilcoxon_p_holm": 0.0004}
            rows.append({**row, "t_p": 0.02, "t_p_holm": 0.04, "d_z": mean / difference.std(ddof=1), "cohens_d": 0.5})
    return pd.DataFrame(rows)


def _spider(labels: tuple[str, ...]) -> pd.DataFrame:
    rows = [{"system": label, "dice_vertebrae_mean": 0.9, "dice_vertebrae_sd": 0.05} for label in labels]
    return pd.DataFrame([{**row, "asd_mm_canal_mean": np.nan, "level_shift_share": 0.1} for row in rows])


def _decisions(systems: tuple[System, ...], cases: tuple[str, ...]) -> pd.DataFrame:
    draw = np.random.default_rng(1)
    rows = []
    for case in cases:
        for finding in FINDINGS:
            truth = draw.random() < 0.4
            for number, system in enumerate(systems[:-1]):  # the last system decides on no finding
                for repeat in system.plans:
                    probability = float(np.clip(draw.normal(0.35 + (0.35 - 0.1 * number) * truth, 0.2), 0, 1))
                    row = {"system": system.label, "repeat": repeat, "case": case, "structure": "L5/S"}
                    row |= {"finding": finding, "truth": truth, "probability": probability}
                    rows.append({**row, "positive": probability >= 0.5})
    return pd.DataFrame(rows)


def _findings(decisions: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for system in dict.fromkeys(decisions["system"]):
        for finding in (*FINDINGS, "all findings"):
            row = {"system": system, "finding": finding, "n": 20, "n_present": 8}
            for measure in ("auroc", "recall", "fpr", "precision"):
                row |= {measure: 0.7, f"{measure}_low": 0.6, f"{measure}_high": 0.8}
            rows.append(row)
    return pd.DataFrame(rows)
