"""Memory of the export is counted in float copies of all classes, against nnU-Net's own export."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nnunet_textguided.benchmark import export
from nnunet_textguided.benchmark.export import PLANNED, TORCH, export_once, measure_export
from nnunet_textguided.comparison import resource_use

COPIES, DIFFERENT = "peak memory over one float copy of all classes", "voxels whose label differs by torch"
SHAPE, FINE = (3, 40, 30), (3, 80, 60)
COPY_MB = 20 * 3 * 80 * 60 * 4 / 1024**2


@pytest.mark.parametrize("configuration", ["2d", "3d_fullres"])
def test_labels_by_torch_are_those_of_the_plans(make_setting, configuration):
    setting = make_setting(configuration=configuration)
    found = export_once(setting, setting.systems[1], TORCH, SHAPE, FINE)
    assert found["scores to label map"] > 0
    assert found[DIFFERENT] < 1e-3 * np.prod(FINE)


def test_labels_that_differ_are_counted(make_setting, monkeypatch):
    setting, made = make_setting(), []

    def exporter(*_):
        def labels(scores, how, shape):
            made.append((tuple(scores.shape), scores.dtype, how, tuple(shape)))
            return np.full(shape, 1 if how == TORCH else 2)

        return labels

    monkeypatch.setattr(export, "_exporter", exporter)
    assert export_once(setting, setting.systems[1], TORCH, SHAPE, FINE)[DIFFERENT] == 3 * 80 * 60
    assert made[1:] == [((20, *SHAPE), torch.half, how, FINE) for how in (TORCH, PLANNED)]
    assert DIFFERENT not in export_once(setting, setting.systems[1], PLANNED, SHAPE, FINE)


@pytest.mark.parametrize(("peak", "copies"), [(100 + COPY_MB, 1), (100 + 3 * COPY_MB, 3), (100, 0)])
def test_peak_is_counted_in_copies_of_the_label_maps_size(make_setting, monkeypatch, peak, copies):
    monkeypatch.setattr(resource_use, "resident_memory_mb", lambda: 100.0)
    monkeypatch.setattr(resource_use, "peak_memory_mb", lambda device: peak)
    setting = make_setting()
    found = export_once(setting, setting.systems[0], PLANNED, SHAPE, FINE)
    assert found[COPIES] == pytest.approx(copies)
    assert found["peak memory above that before"] == pytest.approx(peak - 100)


def test_where_the_system_does_not_say_there_is_no_figure_of_memory(make_setting, monkeypatch):
    monkeypatch.setattr(resource_use, "resident_memory_mb", lambda: None)
    setting = make_setting()
    assert set(export_once(setting, setting.systems[0], PLANNED, SHAPE, FINE)) == {"scores to label map"}


def test_both_ways_are_held_against_what_nnunet_does(bench, monkeypatch):
    copies = {("nnU-Net", PLANNED): 1.0, ("Ours", PLANNED): 1.02, ("Ours", TORCH): 0.5}
    alone = []

    def run_alone(setting, system, how):
        alone.append((system.label, how))
        return {COPIES: copies[alone[-1]], **({DIFFERENT: 3.0} if how == TORCH else {})}

    monkeypatch.setattr(export, "_run_alone", run_alone)
    monkeypatch.setattr(export, "QUANTITIES", {COPIES: "ratio", DIFFERENT: ""})
    rows = measure_export(bench)
    assert sorted(alone) == sorted(copies)
    found = [(row.system, row.at["resampling"], row.quantity, row.values, row.ratios) for row in rows]
    assert found == [
        ("nnU-Net", PLANNED, COPIES, (1.0,), (1.0,)),
        ("Ours", PLANNED, COPIES, (1.02,), (1.02,)),
        ("Ours", TORCH, COPIES, (0.5,), (0.5,)),
        ("Ours", TORCH, DIFFERENT, (3.0,), ()),
    ]
    assert {row.at["classes"] for row in rows} == {20}
