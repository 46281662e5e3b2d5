from __future__ import annotations

import gzip
import json
import os
import pickle
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk

from nnunet_textguided.cli.main import main
from nnunet_textguided.errors import UserError
from nnunet_textguided.inference.predict import predict_folder
from nnunet_textguided.inference.predict_settings import PredictSettings
from nnunet_textguided.inference.reorient import orientation_code, restore_geometry, to_orientation

HERE = PredictSettings(device="cpu", npp=0, nps=0, disable_progress_bar=True)


def write_case(folder: Path, case: str, *channels: sitk.Image) -> Path:
    folder.mkdir(exist_ok=True)
    for number, image in enumerate(channels):
        sitk.WriteImage(image, str(folder / f"{case}_{number:04d}.nii.gz"))
    return folder


def read(folder: Path, case: str) -> sitk.Image:
    return sitk.ReadImage(str(folder / f"{case}.nii.gz"))


def oblique(image: sitk.Image) -> sitk.Image:
    """The same voxels, the patient tilted by 20 degrees in the scanner."""
    c, s = np.cos(np.deg2rad(20)), np.sin(np.deg2rad(20))
    tilted = sitk.Image(image)
    turn = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    tilted.SetDirection((turn @ np.reshape(image.GetDirection(), (3, 3))).ravel().tolist())
    return tilted


@pytest.fixture
def images(tmp_path: Path, volume: sitk.Image) -> Path:
    """The same volume in the model's orientation, in another one, and in a third and tilted."""
    folder = tmp_path / "images"
    write_case(folder, "pir", volume)
    write_case(folder, "lps", to_orientation(volume, "LPS"))
    return write_case(folder, "tilted", to_orientation(oblique(volume), "IRA"))


@pytest.mark.parametrize("configuration", ["2d", "3d_fullres"])
def test_turned_twins_get_the_same_labels_voxel_by_voxel(
    make_model: Callable[..., Path], images: Path, tmp_path: Path, configuration: str
) -> None:
    model = make_model(configuration_name=configuration)
    summary = predict_folder(model, images, tmp_path / "out", settings=HERE)
    assert summary.reoriented == {"lps": "LPS", "tilted": "IRA"}
    expected = sitk.GetArrayFromImage(read(tmp_path / "out", "pir"))
    assert np.bincount(expected.ravel(), minlength=3).min() > 20  # every class occurs: equality says something
    for case in ("lps", "tilted"):
        prediction, original = read(tmp_path / "out", case), read(images, f"{case}_0000")
        assert prediction.GetSize() == original.GetSize()
        np.testing.assert_array_equal(sitk.GetArrayFromImage(to_orientation(prediction, "PIR")), expected)


def test_predictions_have_the_geometry_of_their_images(model_folder: Path, images: Path, tmp_path: Path) -> None:
    predict_folder(model_folder, images, tmp_path / "out", settings=HERE)
    for case in ("pir", "lps", "tilted"):
        prediction, original = read(tmp_path / "out", case), read(images, f"{case}_0000")
        assert prediction.GetSpacing() == original.GetSpacing()
        assert prediction.GetOrigin() == original.GetOrigin()
        assert prediction.GetDirection() == original.GetDirection()
        assert prediction.GetPixelID() == sitk.sitkUInt8


def test_without_an_orientation_in_the_plans_images_are_taken_as_they_are(
    make_model: Callable[..., Path], images: Path, tmp_path: Path
) -> None:
    model = make_model(orientation=None)
    summary = predict_folder(model, images, tmp_path / "out", settings=HERE)
    assert summary.reoriented == {}
    turned = sitk.GetArrayFromImage(to_orientation(read(tmp_path / "out", "lps"), "PIR"))
    assert (turned != sitk.GetArrayFromImage(read(tmp_path / "out", "pir"))).any()


def test_images_in_the_models_orientation_give_what_nnunet_gives(
    model_folder: Path, images: Path, tmp_path: Path
) -> None:
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    predict_folder(model_folder, images, tmp_path / "ours", settings=HERE)
    stock = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
    stock.initialize_from_trained_model_folder(str(model_folder), (0,))
    (tmp_path / "stock").mkdir()
    stock.predict_from_files_sequential([[str(images / "pir_0000.nii.gz")]], str(tmp_path / "stock"))
    expected, ours = read(tmp_path / "stock", "pir"), read(tmp_path / "ours", "pir")
    np.testing.assert_array_equal(sitk.GetArrayFromImage(ours), sitk.GetArrayFromImage(expected))
    assert ours.GetDirection() == expected.GetDirection()


def test_channels_in_different_orientations_are_brought_together(
    make_model: Callable[..., Path], volume: sitk.Image, tmp_path: Path
) -> None:
    model = make_model(channels=2)
    second = sitk.Exp(volume / 100)
    write_case(tmp_path / "i", "same", volume, second)
    write_case(tmp_path / "i", "mixed", to_orientation(volume, "LPS"), to_orientation(second, "RAI"))
    predict_folder(model, tmp_path / "i", tmp_path / "out", settings=HERE)
    mixed = read(tmp_path / "out", "mixed")
    assert orientation_code(mixed) == "LPS"
    expected = sitk.GetArrayFromImage(read(tmp_path / "out", "same"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(to_orientation(mixed, "PIR")), expected)


def test_probabilities_follow_the_labels_and_ensemble(
    make_model: Callable[..., Path], images: Path, tmp_path: Path
) -> None:
    from nnunetv2.ensembling.ensemble import merge_files
    from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    settings = PredictSettings(device="cpu", npp=0, nps=0, disable_progress_bar=True, save_probabilities=True)
    folders = [tmp_path / "one", tmp_path / "two"]
    for seed, folder in enumerate(folders):
        predict_folder(make_model(seed=seed), images, folder, settings=settings)
    for case in ("lps", "tilted"):
        maps = np.load(folders[0] / f"{case}.npz")["probabilities"]
        np.testing.assert_array_equal(maps.argmax(0), sitk.GetArrayFromImage(read(folders[0], case)))
        properties = pickle.loads((folders[0] / f"{case}.pkl").read_bytes())
        assert properties["spacing"] == pytest.approx(read(folders[0], case).GetSpacing()[::-1])

    plans = PlansManager(json.loads((folders[0] / "plans.json").read_text()))
    labels = plans.get_label_manager(json.loads((folders[0] / "dataset.json").read_text()))
    (tmp_path / "merged").mkdir()
    for case in ("pir", "lps", "tilted"):
        files = [str(folder / f"{case}.npz") for folder in folders]
        merge_files(files, str(tmp_path / "merged" / case), ".nii.gz", SimpleITKIO(), labels)
    expected = sitk.GetArrayFromImage(read(tmp_path / "merged", "pir"))
    assert (expected != sitk.GetArrayFromImage(read(folders[0], "pir"))).any()
    for case in ("lps", "tilted"):
        merged, original = read(tmp_path / "merged", case), read(images, f"{case}_0000")
        assert merged.GetDirection() == original.GetDirection()
        np.testing.assert_array_equal(sitk.GetArrayFromImage(to_orientation(merged, "PIR")), expected)


def test_continue_prediction_leaves_finished_cases_alone(
    model_folder: Path, images: Path, tmp_path: Path, volume: sitk.Image
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    sitk.WriteImage(sitk.Cast(volume * 0 + 77, sitk.sitkUInt8), str(out / "lps.nii.gz"))  # no label of the model
    finished = (out / "lps.nii.gz").read_bytes()
    settings = PredictSettings(device="cpu", npp=0, nps=0, disable_progress_bar=True, continue_prediction=True)
    summary = predict_folder(model_folder, images, out, settings=settings)
    assert summary.skipped == ["lps"]
    assert (out / "lps.nii.gz").read_bytes() == finished
    assert (out / "tilted.nii.gz").is_file()
    assert predict_folder(model_folder, images, out, settings=settings).predicted == []


def test_parts_share_the_cases(model_folder: Path, images: Path, tmp_path: Path) -> None:
    done = []
    for part in (0, 1):
        settings = PredictSettings(device="cpu", npp=0, nps=0, num_parts=2, part_id=part, disable_progress_bar=True)
        done.append(predict_folder(model_folder, images, tmp_path / "out", settings=settings).predicted)
    assert done == [["lps", "tilted"], ["pir"]]


@pytest.mark.slow
def test_the_command_works_with_workers_in_a_process_of_its_own(
    model_folder: Path, images: Path, tmp_path: Path
) -> None:
    results = tmp_path / "results" / "Dataset999_Toy"
    results.mkdir(parents=True)
    (results / "nnUNetTrainer__nnUNetPlans__2d").symlink_to(model_folder)
    environment = {**os.environ, "nnUNet_results": str(tmp_path / "results"), "OMP_NUM_THREADS": "1"}
    environment.pop("nnUNet_extTrainer", None)
    options = ["-d", "999", "-c", "2d", "-f", "0", "-device", "cpu", "-npp", "1", "-nps", "1", "--save_probabilities"]
    command = [
        sys.executable,
        "-m",
        "nnunet_textguided.cli.main",
        "predict",
        *options,
        "-i",
        images,
        "-o",
        tmp_path / "out",
    ]
    done = subprocess.run([str(part) for part in command], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "lps: LPS image, predicted in PIR" in done.stdout
    expected = sitk.GetArrayFromImage(read(tmp_path / "out", "pir"))
    turned = to_orientation(read(tmp_path / "out", "tilted"), "PIR")
    np.testing.assert_array_equal(sitk.GetArrayFromImage(turned), expected)
    assert not [name for name in os.listdir(tmp_path / "out") if name.startswith(".partial")]


@pytest.mark.parametrize("cut", ["compressed stream", "content"])
def test_an_image_that_is_cut_short_is_named(model_folder: Path, images: Path, tmp_path: Path, cut: str) -> None:
    # SimpleITK reads both without a word and fills up with zeros.
    file = images / "lps_0000.nii.gz"
    content = file.read_bytes()
    half = gzip.decompress(content)
    broken = content[: len(content) // 2] if cut == "compressed stream" else gzip.compress(half[: len(half) // 2])
    file.write_bytes(broken)
    with pytest.raises(UserError, match=r"lps_0000.nii.gz is not a readable image: it is cut short"):
        predict_folder(model_folder, images, tmp_path / "out", settings=HERE)


@pytest.mark.parametrize("orientation", ["PIR", None])
def test_unreadable_and_flat_images_are_named_before_computing(
    make_model: Callable[..., Path], images: Path, tmp_path: Path, orientation: str | None
) -> None:
    model = make_model(orientation=orientation)
    (images / "bad_0000.nii.gz").write_bytes(b"not an image")
    with pytest.raises(UserError, match=r"bad_0000.nii.gz is not a readable image"):
        predict_folder(model, images, tmp_path / "out", settings=HERE)
    write_case(images, "bad", sitk.Image(8, 8, sitk.sitkFloat32))
    with pytest.raises(UserError, match=r"bad_0000.nii.gz: expected a 3D image"):
        predict_folder(model, images, tmp_path / "out", settings=HERE)
    assert not list((tmp_path / "out").glob("*.nii.gz"))


def announcing_too_much(file: Path) -> None:
    """Another size in a header, with no voxel more."""
    content = bytearray(gzip.decompress(file.read_bytes()))
    struct.pack_into("<3h", content, 42, 20_000, 20_000, 20_000)
    file.write_bytes(gzip.compress(content))


def test_images_that_only_nnunets_own_reader_can_read_are_judged_by_their_header_too(
    make_model: Callable[..., Path], images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model(orientation=None)
    plans = json.loads((model / "plans.json").read_text())
    (model / "plans.json").write_text(json.dumps({**plans, "image_reader_writer": "NibabelIOWithReorient"}))
    announcing_too_much(images / "lps_0000.nii.gz")
    monkeypatch.setattr("nnunet_textguided.inference.predict.load_predictor", lambda *_, **__: pytest.fail("loaded"))
    with pytest.raises(UserError, match=r"lps_0000.nii.gz: its header says 20000 x 20000 x 20000 voxels"):
        predict_folder(model, images, tmp_path / "out", settings=HERE)


def test_predictions_of_the_stage_before_are_judged_by_their_header(
    model_folder: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for case in ("pir", "lps", "tilted"):
        write_case(tmp_path / "before", case, read(images, f"{case}_0000"))
        (tmp_path / "before" / f"{case}_0000.nii.gz").rename(tmp_path / "before" / f"{case}.nii.gz")
    announcing_too_much(tmp_path / "before" / "lps.nii.gz")
    cascade = SimpleNamespace(configuration_manager=SimpleNamespace(previous_stage_name="3d_lowres"))
    monkeypatch.setattr("nnunet_textguided.inference.predict.load_predictor", lambda *_, **__: cascade)
    settings = replace(HERE, prev_stage_predictions=str(tmp_path / "before"))
    with pytest.raises(UserError, match=r"before/lps.nii.gz: its header says 20000 x 20000 x 20000 voxels"):
        predict_folder(model_folder, images, tmp_path / "out", settings=settings)


def test_channels_of_different_grids_are_refused(
    make_model: Callable[..., Path], volume: sitk.Image, tmp_path: Path
) -> None:
    write_case(tmp_path / "i", "case", volume, volume[:-1])
    with pytest.raises(UserError, match="share one grid"):
        predict_folder(make_model(channels=2), tmp_path / "i", tmp_path / "out", settings=HERE)


def test_an_output_folder_that_cannot_be_written_is_told_before_loading_the_model(
    model_folder: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr("nnunet_textguided.inference.predict.load_predictor", lambda *_, **__: pytest.fail("loaded"))
    with pytest.raises(UserError, match="Cannot write to the output folder"):
        predict_folder(model_folder, images, tmp_path / "file" / "out", settings=HERE)


def test_the_reader_travels_to_worker_processes(model_folder: Path, images: Path) -> None:
    from nnunet_textguided.inference.oriented_io import OrientedPlans

    plans = OrientedPlans(json.loads((model_folder / "plans.json").read_text()), "PIR", ".nii.gz", True)
    reader = pickle.loads(pickle.dumps(plans)).image_reader_writer_class()
    array, properties = reader.read_images([str(images / "lps_0000.nii.gz")])
    assert array.shape == (1, 6, 21, 18)
    assert properties["spacing"] == pytest.approx([3.0, 1.25, 1.0])
    assert reader.probabilities


def test_a_prediction_cut_short_by_a_full_disk_is_an_error(
    model_folder: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO

    whole = SimpleITKIO.write_seg

    def full_disk(self: SimpleITKIO, seg: np.ndarray, name: str, properties: dict) -> None:
        whole(self, seg, name, properties)
        Path(name).write_bytes(Path(name).read_bytes()[:-40])  # what SimpleITK leaves there, without an error

    monkeypatch.setattr(SimpleITKIO, "write_seg", full_disk)
    with pytest.raises(UserError, match=r"Could not write .*.nii.gz in full"):
        predict_folder(model_folder, images, tmp_path / "out", settings=HERE)
    assert not list((tmp_path / "out").glob("*.nii.gz"))


def test_a_failing_write_leaves_the_old_prediction(
    model_folder: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO

    def full_disk(self: SimpleITKIO, seg: np.ndarray, name: str, properties: dict) -> None:
        Path(name).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "lps.nii.gz").write_bytes(b"old")
    monkeypatch.setattr(SimpleITKIO, "write_seg", full_disk)
    with pytest.raises(UserError, match="No space left"):
        predict_folder(model_folder, images, tmp_path / "out", settings=HERE)
    assert (tmp_path / "out" / "lps.nii.gz").read_bytes() == b"old"
    assert not list((tmp_path / "out").glob(".partial*"))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "there is: nothing"),
        (["case.nii.gz"], "expected names CASE_0000"),
        (["case_0001.nii.gz"], "takes 1 channel"),
        (["case_0000.nii.gz", "case_0001.nii.gz"], "takes 1 channel"),
        (["case_0000.mha"], "The model reads .nii.gz; there is: case_0000.mha"),
    ],
)
def test_input_folders_that_nnunet_cannot_take_are_explained(
    model_folder: Path, tmp_path: Path, files: list[str], message: str
) -> None:
    (tmp_path / "i").mkdir()
    for file in files:
        (tmp_path / "i" / file).touch()
    with pytest.raises(UserError, match=message):
        predict_folder(model_folder, tmp_path / "i", tmp_path / "out", settings=HERE)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-d", "1"], "Name the model"),
        (["-m", "x", "-d", "1", "-c", "2d"], "leave out -d and -c"),
        (["-m", "nowhere", "-device", "cpu"], "Expected a model folder"),
        (["-m", "nowhere", "-device", "cpu", "-step_size", "0"], "step_size"),
        (["-m", "nowhere", "-device", "cpu", "-part_id", "1"], "part 1 of 1"),
    ],
)
def test_the_command_explains_wrong_arguments(
    options: list[str], message: str, capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    assert main(["predict", "-i", str(tmp_path), "-o", str(tmp_path / "out"), *options]) == 2
    assert message in capsys.readouterr().err


def test_every_flag_of_nnunet_is_there() -> None:
    import argparse
    import inspect
    import re

    from nnunetv2.inference import predict_from_raw_data

    from nnunet_textguided.cli import predict

    parser = argparse.ArgumentParser()
    predict.add_arguments(parser)
    ours = {flag for action in parser._actions for flag in action.option_strings}
    source = inspect.getsource(predict_from_raw_data.predict_entry_point)
    theirs = set(re.findall(r"add_argument\('(-{1,2}\w+)'", source))
    assert len(theirs) > 18
    assert theirs <= ours


def test_restored_image_of_a_prediction_matches_its_source(volume: sitk.Image) -> None:
    lps = to_orientation(volume, "LPS")
    assert restore_geometry(volume, lps).GetOrigin() == lps.GetOrigin()


def test_names_are_put_in_order_in_the_files_that_were_written(
    model_folder: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    monkeypatch.setattr("nnunet_textguided.inference.predict.Column.of_labels", lambda labels: dict(labels))

    def order(pairs, column, reader_writer):
        seen.extend((source, target, source.is_file(), column["background"]) for source, target in pairs)

    monkeypatch.setattr("nnunet_textguided.inference.predict.order_files", order)
    predict_folder(model_folder, images, tmp_path / "out", 0, settings=replace(HERE, names_in_order=True))
    files = sorted((tmp_path / "out").glob("*.nii.gz"))
    assert sorted(seen) == [(file, file, True, 0) for file in files]


def test_a_prediction_that_ended_before_names_were_in_order_is_brought_to_its_end(
    model_folder: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict_folder(model_folder, images, tmp_path / "out", 0, settings=HERE)
    seen = []
    monkeypatch.setattr("nnunet_textguided.inference.predict.Column.of_labels", lambda labels: dict(labels))
    monkeypatch.setattr(
        "nnunet_textguided.inference.predict.order_files", lambda pairs, *rest: seen.extend(pair[1] for pair in pairs)
    )
    settings = replace(HERE, names_in_order=True, continue_prediction=True)
    summary = predict_folder(model_folder, images, tmp_path / "out", 0, settings=settings)
    assert summary.predicted == []
    assert sorted(seen) == sorted((tmp_path / "out").glob("*.nii.gz"))


def test_labels_that_have_no_order_are_refused_before_the_network_is_loaded(
    model_folder: Path, images: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="by the discs"):
        predict_folder(model_folder, images, tmp_path / "out", 0, settings=replace(HERE, names_in_order=True))
    assert not (tmp_path / "out").exists()
