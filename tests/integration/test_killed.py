"""kill -9 (or SIGTERM) in every kind of work, then the same command again: it finishes as an undisturbed one does.

Killed trainings of `compare` are in test_compare_run.py, a killed `pretrain-image` is in test_pretrain_image.py.
"""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from command_line import command, make_environment
from killing import half_written, run_killed
from nnunetv2.postprocessing.remove_connected_components import remove_all_but_largest_component_from_segmentation
from tiny_dataset import SMALL
from toy_model import toy_volume, write_model_folder

pytestmark = pytest.mark.slow

DATASET, PLANS = "Dataset900_Tiny", "nnUNetPlansTextGuided_seeded"
TRAIN = f"train 900 2d 0 -tr TinyTextGuided -p {PLANS} -device cpu"
SLIDE = "nnunetv2.inference.predict_from_raw_data:nnUNetPredictor.predict_sliding_window_return_logits"
STEP = "nnunet_textguided.trainers.interruption:EndsOnSigterm.train_step"


@pytest.fixture(scope="module")
def environment(nnunet_folders: Path, tiny_dataset: Path, tmp_path_factory) -> dict[str, str]:
    """Trainings of two epochs of two iterations, seeded, in this process alone."""
    from nnunet_textguided.trainers.plan import write_text_guided_plans

    write_text_guided_plans(tiny_dataset, name=PLANS, options={**SMALL, "seed": 5})
    return make_environment(tmp_path_factory.mktemp("own_trainers"))


def fold(results: Path) -> Path:
    return results / DATASET / f"TinyTextGuided__{PLANS}__2d" / "fold_0"


def weights(results: Path) -> dict[str, torch.Tensor]:
    return torch.load(fold(results) / "checkpoint_final.pth", weights_only=False)["network_weights"]


def labels(folder: Path) -> dict[str, np.ndarray]:
    return {file.name: sitk.GetArrayFromImage(sitk.ReadImage(str(file))) for file in folder.glob("*.nii.gz")}


def run(line: str, environment: dict[str, str], folder: Path) -> str:
    return command(f"{sys.executable} -m nnunet_textguided.cli.main {line}", environment, folder)


@pytest.fixture(scope="module")
def undisturbed(environment: dict[str, str], nnunet_folders: Path) -> Path:
    """nnUNet_results with a training that nobody interrupted."""
    run(TRAIN, environment, nnunet_folders)
    return nnunet_folders / "nnUNet_results"


@pytest.mark.parametrize(
    ("target", "call", "how", "again"),
    [
        (STEP, 4, "before", "--c"),
        ("torch:save", 3, "half", "--c"),
        (SLIDE, 2, "before", "--val"),
        (SLIDE, 2, "asked", "--val"),
    ],
    ids=["training", "checkpointing", "validation", "SIGTERM in validation"],
)  # fmt: skip
def test_training(environment, undisturbed, tmp_path, target, call, how, again):
    own = {**environment, "nnUNet_results": str(tmp_path)}
    run_killed(TRAIN, target, call, how, own)
    assert (fold(tmp_path).parent / ".fold_0.lock").is_file()  # of a process that is no more
    assert len(half_written(tmp_path)) == (how == "half")
    assert not (fold(tmp_path) / "validation" / "summary.json").exists()
    run(f"{TRAIN} {again}", own, tmp_path)
    expected, found = weights(undisturbed), weights(tmp_path)
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    expected, found = labels(fold(undisturbed) / "validation"), labels(fold(tmp_path) / "validation")
    assert found.keys() == expected.keys() != set()
    assert all(np.array_equal(expected[name], found[name]) for name in expected)
    assert (fold(tmp_path) / "validation" / "summary.json").is_file()
    assert not half_written(tmp_path)
    assert not list(tmp_path.rglob("*.lock"))


def test_sigterm_to_all_processes_of_a_training_ends_it_with_status_143_and_it_goes_on(environment, tmp_path):
    own = {**environment, "nnUNet_results": str(tmp_path), "nnUNet_n_proc_DA": "2"}
    ask = "import os, signal, sys; from nnunet_textguided.trainers.interruption import EndsOnSigterm as E\n"
    ask += "def before(self):\n"
    ask += "    if (self.current_epoch, self.iterations_done) == (1, 0): os.killpg(os.getpid(), signal.SIGTERM)\n"
    ask += "E.before_iteration = before\n"
    ask += "from nnunet_textguided.cli.main import main; sys.exit(main(sys.argv[1:]))"
    line = [sys.executable, "-c", ask, *TRAIN.split()]
    ended = subprocess.run(line, env=own, capture_output=True, text=True, start_new_session=True, timeout=600)
    assert ended.returncode == 128 + signal.SIGTERM, ended.stderr[-2000:]
    assert re.search(r"stopped after iteration [01] of epoch 1", ended.stdout)  # 0 where the workers were gone first
    assert not list(tmp_path.rglob("*.lock"))
    run(f"{TRAIN} --c", own, tmp_path)
    assert (fold(tmp_path) / "validation" / "summary.json").is_file()


def test_second_training_of_a_fold_is_refused_while_the_first_one_runs(environment, undisturbed, tmp_path):
    own = {**environment, "nnUNet_results": str(tmp_path)}
    wait = "import sys; from nnunet_textguided.trainers.interruption import EndsOnSigterm as E\n"
    wait += "E.before_iteration = lambda self: (print('WAITING', flush=True), sys.stdin.read())\n"
    wait += "from nnunet_textguided.cli.main import main; sys.exit(main(sys.argv[1:]))"
    first = subprocess.Popen(
        [sys.executable, "-c", wait, *TRAIN.split()],
        env=own, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        assert any("WAITING" in line for line in first.stdout)
        second = [sys.executable, "-m", "nnunet_textguided.cli.main", *TRAIN.split()]
        refused = subprocess.run(second, env=own, capture_output=True, text=True)
        assert refused.returncode == 2
        assert f"is being trained or validated already: process {first.pid} on" in refused.stderr
        assert not list(fold(tmp_path).glob("*.pth"))
    finally:
        first.kill()
        first.communicate()


@pytest.mark.parametrize(("target", "call", "how"), [("SimpleITK:WriteImage", 2, "half")])
def test_prediction(environment, undisturbed, tmp_path, target, call, how):
    images = tmp_path / "images"
    images.mkdir()
    for case in ("case_00", "case_01", "case_02"):
        source = undisturbed.parent / "nnUNet_raw" / DATASET / "imagesTr" / f"{case}_0000.nii.gz"
        shutil.copy(source, images)
    line = f"predict -i {images} -m {fold(undisturbed).parent} -f 0 -device cpu -npp 0 -nps 0 -o {tmp_path}"
    run(f"{line}/whole", environment, tmp_path)
    run_killed(f"{line}/cut", target, call, how, environment)
    assert len(list((tmp_path / "cut").glob("*.nii.gz"))) == len(half_written(tmp_path / "cut")) == 1
    assert "1 were there already" in run(f"{line}/cut --continue_prediction", environment, tmp_path)
    expected, found = labels(tmp_path / "whole"), labels(tmp_path / "cut")
    assert found.keys() == expected.keys()
    assert len(found) == 3
    assert all(np.array_equal(expected[name], found[name]) for name in expected)
    assert not half_written(tmp_path / "cut")


@pytest.mark.parametrize(("orientation", "how"), [("PIR", "half"), (None, "half"), (None, "before")])
def test_prediction_of_metaimages_with_postprocessing(tmp_path, orientation, how):
    """No reader tells that a compressed .mha is cut short before it is read in full."""
    model = write_model_folder(tmp_path / "model", orientation)
    content = json.loads((model / "dataset.json").read_text())
    (model / "dataset.json").write_text(json.dumps({**content, "file_ending": ".mha"}))
    (tmp_path / "images").mkdir()
    for number in range(3):
        sitk.WriteImage(toy_volume(number), str(tmp_path / "images" / f"c{number}_0000.mha"))
    steps = ([remove_all_but_largest_component_from_segmentation], [{"labels_or_regions": [1, 2]}])
    (tmp_path / "steps.pkl").write_bytes(pickle.dumps(steps))
    line = (
        f"predict -i {tmp_path}/images -m {model} -f 0 -device cpu -npp 0 -nps 0 --postprocessing {tmp_path}/steps.pkl"
    )
    run(f"{line} -o {tmp_path}/whole", dict(os.environ), tmp_path)
    run_killed(f"{line} -o {tmp_path}/cut", "SimpleITK:WriteImage", 2, how)
    assert [file.name for file in (tmp_path / "cut").glob("*.mha")] == ["c0.mha"]
    assert "1 were there already" in run(f"{line} -o {tmp_path}/cut --continue_prediction", dict(os.environ), tmp_path)
    for number in range(3):
        whole, cut = (sitk.ReadImage(str(tmp_path / name / f"c{number}.mha")) for name in ("whole", "cut"))
        assert np.array_equal(sitk.GetArrayFromImage(whole), sitk.GetArrayFromImage(cut))
    assert not half_written(tmp_path / "cut")


def spider_tree(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    for sub in ("images", "masks"):
        (folder / sub).mkdir(parents=True)
    for patient in range(1, 5):
        mask = np.zeros((4, 8, 8), np.int16)
        mask[1:3, 1:4], mask[1:3, 5:7] = 1, 201
        for array, sub in ((rng.integers(0, 900, mask.shape).astype(np.int16), "images"), (mask, "masks")):
            sitk.WriteImage(sitk.GetImageFromArray(array), str(folder / sub / f"{patient}_t2.mha"))
    return folder


@pytest.mark.parametrize(
    ("target", "call", "how"),
    [("os:replace", 5, "before"), ("SimpleITK:WriteImage", 4, "half")],
    ids=["between writing and naming", "while writing"],
)
def test_conversion(tmp_path, target, call, how):
    source = spider_tree(tmp_path / "source")
    line = f"convert spider {source} -d 501 --processes 1"
    environments = {}
    for name in ("whole", "cut"):
        environments[name] = {**os.environ, "nnUNet_raw": str(tmp_path / name)}
        for other in ("nnUNet_preprocessed", "nnUNet_results"):
            environments[name].pop(other, None)
    run(line, environments["whole"], tmp_path)
    run_killed(line, target, call, how, environments["cut"])
    assert len(half_written(tmp_path / "cut")) == 1
    assert not list((tmp_path / "cut").rglob("dataset.json"))
    run(line, environments["cut"], tmp_path)
    whole, cut = (
        {str(file.relative_to(tmp_path / name)): file.read_bytes() for file in (tmp_path / name).rglob("*.*")}
        for name in ("whole", "cut")
    )
    assert cut == whole


def test_embedding(environment, tiny_dataset, tmp_path):
    def bank(base: str) -> tuple[dict[str, str], Path]:
        folder = tmp_path / base / DATASET
        folder.mkdir(parents=True)
        for name in (f"{PLANS}.json", "dataset.json"):
            shutil.copy(tiny_dataset / name, folder)
        plans = json.loads((folder / f"{PLANS}.json").read_text())
        plans["text_guidance"]["bank"] = None
        (folder / f"{PLANS}.json").write_text(json.dumps(plans))
        return {**environment, "nnUNet_preprocessed": str(tmp_path / base)}, folder

    line = f"embed -d 900 -p {PLANS}"
    (whole, straight), (cut, folder) = bank("whole"), bank("cut")
    run(line, whole, tmp_path)
    run_killed(line, "os:replace", 1, "before", cut)
    assert not list(folder.glob("*.safetensors")) or half_written(folder)
    run(line, cut, tmp_path)
    names = {file.name for file in straight.iterdir()}
    assert {file.name for file in folder.iterdir()} == names
    assert all((folder / name).read_bytes() == (straight / name).read_bytes() for name in names)


@pytest.mark.parametrize(
    ("target", "call", "how"),
    [("nnunet_textguided.pretraining.text_loop:TextLoop._pass", 3, "before"), ("torch:save", 2, "half")],
    ids=["in a pass", "checkpointing"],
)
def test_pretraining_on_reports(tmp_path, target, call, how):
    import open_clip

    from nnunet_textguided.synthetic.reports import write_report_file

    text = {"context_length": 32, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
    image = {"image_size": 32, "patch_size": 32, "width": 64, "head_width": 64, "layers": 1}
    config = {"embed_dim": 32, "text_cfg": text, "vision_cfg": image}
    (tmp_path / "tiny.json").write_text(json.dumps(config))
    torch.manual_seed(0)
    torch.save(open_clip.CLIP(**config).state_dict(), tmp_path / "tiny.pt")
    tower = f"--text-model {tmp_path}/tiny.json --text-weights {tmp_path}/tiny.pt"
    reports = write_report_file(tmp_path / "reports.jsonl", 8)
    line = f"pretrain-text -i {reports} {tower} --epochs 3 --batch 4 --accelerator cpu -o {tmp_path}"
    run(f"{line}/whole", dict(os.environ), tmp_path)
    run_killed(f"{line}/cut", target, call, how)
    run(f"{line}/cut", dict(os.environ), tmp_path)
    assert not half_written(tmp_path)
    files = [sorted((tmp_path / name).glob("*.pt*")) for name in ("whole", "cut")]
    assert [file.name for file in files[0]] == [file.name for file in files[1]] != []
    assert (tmp_path / "whole" / "progress.csv").read_text() == (tmp_path / "cut" / "progress.csv").read_text()
