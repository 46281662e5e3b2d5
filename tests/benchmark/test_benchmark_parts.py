"""Every part on the tiny data set, one round: what is measured, of whom, under which conditions."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from nnunet_textguided.benchmark import lone_process, start_up
from nnunet_textguided.benchmark.bench import Bench
from nnunet_textguided.benchmark.classes import measure_classes
from nnunet_textguided.benchmark.compilation import measure_compilation
from nnunet_textguided.benchmark.epochs import measure_epochs
from nnunet_textguided.benchmark.inference import measure_inference_stages
from nnunet_textguided.benchmark.loading import measure_loading, seconds_per_batch
from nnunet_textguided.benchmark.models import common_axes, make_models
from nnunet_textguided.benchmark.steps import measure_steps
from nnunet_textguided.benchmark.turns import Stopwatch
from nnunet_textguided.benchmark.whole_predict import measure_predict
from nnunet_textguided.comparison.grid import System
from nnunet_textguided.errors import UserError

BOTH = ["nnU-Net", "Ours"]


def of(rows, quantity):
    return {row.system: row for row in rows if row.quantity == quantity}


def test_steps_of_both_are_set_in_relation(bench):
    rows = of(measure_steps(bench), "training step")
    assert list(rows) == BOTH
    assert rows["nnU-Net"].ratios == (1.0,)
    assert rows["Ours"].ratios[0] == pytest.approx(rows["Ours"].values[0] / rows["nnU-Net"].values[0])


def test_classes_cost_is_that_of_networks_with_so_many_and_the_data_set_stays(bench, tiny_dataset: Path, monkeypatch):
    bench.trainers()  # makes a text bank where there was none, as a training does
    before, built, build = sorted(tiny_dataset.rglob("*")), [], bench.build
    monkeypatch.setattr(bench, "build", lambda *args: built.append(build(*args)) or built[-1])
    rows = measure_classes(bench)
    assert [one.label_manager.num_segmentation_heads for one in built] == [6, 6]
    assert sorted(tiny_dataset.rglob("*")) == before
    steps = [(row.at["classes"], row.at["encoder"], row.system) for row in rows if row.quantity == "training step"]
    assert steps == [(5, "convnextv2_atto", system) for system in BOTH]
    shares = [row for row in rows if row.unit == "share"]
    assert [(row.system, row.at["queries"]) for row in shares] == [("Ours", 6)]
    assert all(0 < value < 1 for row in shares for value in row.values)


@pytest.mark.slow
def test_epochs_run_with_and_without_loading(bench):
    rows = measure_epochs(bench)
    for words in ("with", "without"):
        epochs = of(rows, f"epoch {words} data loading")
        fastest = of(rows, f"fastest epoch {words} data loading")
        assert list(epochs) == BOTH
        assert all(fastest[name].values[0] == min(epochs[name].values) > 0 for name in BOTH)


def test_stages_of_a_real_case_count_tiles_and_mirrored_passes(bench):
    rows = measure_inference_stages(bench)
    passes = of(rows, "forward passes")
    axes = passes["Ours"].at["mirror axes"].split()
    flips = 1 if axes == ["none"] else 2 ** len(axes)
    slices, tiles = 6, 2 * 2  # of 40 x 36 voxels in patches of 32 x 32
    assert [passes[name].values for name in BOTH] == [(float(slices * tiles * flips),)] * 2
    assert (passes["Ours"].at["image"], passes["Ours"].at["findings"]) == ("real", 0)
    one, network = of(rows, "forward pass"), of(rows, "network")
    assert all(0 < one[name].values[0] < network[name].values[0] for name in BOTH)
    assert all(of(rows, stage)["Ours"].values[0] > 0 for stage in ("preprocess", "resample and export"))
    assert [one.values for one in of(rows, "voxels whose label differs by torch").values()] == [(0.0,)] * 2


def test_labels_by_torch_are_compared_with_those_as_planned(bench, monkeypatch):
    exported = []

    def export(logits, properties, configuration, plans, dataset_json, file):
        labels = np.zeros(properties["shape_before_cropping"], np.uint8)
        labels[0, 0, : 3 * len(exported)] = 1  # the first of a system is as planned
        exported.append(type(configuration))
        plans.image_reader_writer_class().write_seg(labels, f"{file}.nii.gz", properties)
        if len(exported) == 2:
            exported.clear()

    monkeypatch.setattr("nnunetv2.inference.export_prediction.export_prediction_from_logits", export)
    rows = of(measure_inference_stages(bench), "voxels whose label differs by torch")
    assert [rows[name].values for name in BOTH] == [(3.0,)] * 2


@pytest.mark.slow
def test_whole_predict_writes_the_cases_it_is_timed_for(bench):
    rows = of(measure_predict(bench), "whole predict")
    assert list(rows) == BOTH
    assert rows["Ours"].at["cases"] == 1
    assert [path.name for path in (bench.scratch / "whole").glob("*.nii.gz")] == ["case000.nii.gz"]


def test_findings_of_a_model_are_among_the_conditions(make_setting, finding_plans, tmp_path):
    systems = (
        System("Plain", "nnUNetTrainer", (finding_plans,)),
        System("Found", "TextGuidedTrainer", (finding_plans,)),
    )
    bench = Bench(make_setting(systems=systems, reference="Plain"), tmp_path / "scratch")
    for rows in (measure_steps(bench), measure_predict(bench)):
        assert {row.system: row.at["findings"] for row in rows} == {"Plain": 0, "Found": 2}
    assert (tmp_path / "scratch" / "whole" / "case000_findings.json").is_file()


def test_without_raw_images_noise_of_the_median_size_is_predicted(make_setting, tmp_path):
    setting = make_setting()
    setting = replace(setting, folders=replace(setting.folders, raw=tmp_path / "nothing"))
    models = make_models(Bench(setting, tmp_path / "scratch"))
    ((case, (file,)),) = models.images.items()
    image = sitk.ReadImage(file)
    assert (case, models.real) == ("noise", False)
    assert image.GetSize() == (36, 40, 6)
    assert image.GetSpacing() == (1.0, 1.0, 4.0)
    folder = models.link_images(tmp_path / "images", 3)
    assert sorted(path.name for path in folder.iterdir()) == [f"case00{n}_0000.nii.gz" for n in range(3)]


@pytest.mark.parametrize(
    ("allowed", "common"), [([(0, 1), (1,)], (1,)), ([(0, 1), None], ()), ([(1, 0)], (0, 1)), ([], ())]
)
def test_all_models_mirror_what_each_allows(allowed, common):
    assert common_axes(allowed) == common


def test_loader_is_timed_after_what_it_had_ready():
    time = itertools.count()
    drawn = []
    loader = (drawn.append(number) or number for number in itertools.count())
    watch = Stopwatch(torch.device("cpu"), lambda: 10.0 * next(time))
    assert seconds_per_batch(loader, ahead=5, together=2, rounds=3, stopwatch=watch) == [5.0] * 3
    assert len(drawn) == 5 + 2 * 3


def test_loading_is_set_beside_the_step(make_setting, tmp_path):
    rows = measure_loading(Bench(make_setting(workers=(0,)), tmp_path / "scratch"))
    batch, share = of(rows, "batch of the loader alone"), of(rows, "loader over step")
    assert list(batch) == list(share) == BOTH
    assert all(row.at == {"workers": 0} and row.values[0] > 0 for row in (*batch.values(), *share.values()))


def test_on_the_cpu_nothing_is_compiled(bench):
    assert measure_compilation(bench) == []


def test_first_steps_say_how_long_each_took_and_the_peak(bench, monkeypatch):
    clock = itertools.chain([100.0], [100.0, 103.0, 107.0])
    started = next(clock)
    monkeypatch.setattr(lone_process.time, "time", lambda: next(clock, 107.0))
    found = lone_process.first_steps(bench.setting, bench.setting.systems[0], str(bench.scratch), started)
    assert set(found) == set(lone_process.QUANTITIES)
    assert found["first step"] > 0
    assert found["peak memory"] >= found["peak memory above that of the imports"]


def test_a_command_that_fails_is_named(bench, monkeypatch):
    monkeypatch.setattr(start_up, "COMMANDS", {"bad": ("x", ("-c", "raise SystemExit('no such thing')"))})
    with pytest.raises(UserError, match=r"`bad` ended with status 1:\nno such thing"):
        start_up.measure_start_up(bench)
