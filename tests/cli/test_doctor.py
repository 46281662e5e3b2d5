"""The doctor's checks, each on a machine made ill in one way."""

from __future__ import annotations

import argparse
import json
import os
import shutil
from collections import namedtuple
from importlib import metadata

import pytest

from nnunet_textguided.cli import doctor
from nnunet_textguided.cli.doctor_checks import folders, installation, trainers, weights
from nnunet_textguided.cli.doctor_checks.check import Check
from nnunet_textguided.cli.doctor_checks.dataset import check_dataset, judge_training, orientations
from nnunet_textguided.errors import UserError
from nnunet_textguided.ext_path import VARIABLE, ext_dir

PIR = (0, 0, -1, 1, 0, 0, 0, -1, 0)  # first axis to posterior, second to inferior, third to right; columns are axes
RAS_LIKE = (-1, 0, 0, 0, -1, 0, 0, 0, 1)


def write_image(path, direction, size=(4, 5, 6)):
    sitk = pytest.importorskip("SimpleITK")
    image = sitk.Image(size, sitk.sitkUInt8)
    if len(size) == 3:
        image.SetDirection(direction)
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))


@pytest.fixture
def dataset(tmp_path, monkeypatch):
    """A raw data set of two cases, declared and stored as PIR."""
    monkeypatch.setenv("nnUNet_raw", str(tmp_path))
    folder = tmp_path / "Dataset501_Toy"
    for case in ("a", "b"):
        write_image(folder / "imagesTr" / f"{case}_0000.nii.gz", PIR)
    write_dataset_json(folder, {"orientation": "PIR"})
    return folder


def write_dataset_json(folder, text_guidance):
    content = {"file_ending": ".nii.gz", "labels": {"background": 0}, "text_guidance": text_guidance}
    (folder / "dataset.json").write_text(json.dumps(content))


def statuses(checks):
    return [check.status for check in checks]


def test_dataset_as_declared_is_ok(dataset):
    [check] = check_dataset(501)
    assert check.status == "OK"
    assert "2 x PIR" in check.found


def test_training_image_of_another_orientation_fails_and_is_named(dataset):
    write_image(dataset / "imagesTr" / "b_0000.nii.gz", RAS_LIKE)
    [check] = check_dataset(501)
    assert check.status == "FAIL"
    assert "b_0000.nii.gz" in check.found
    assert check.mend


def test_mixed_orientations_without_declaration_are_a_warning(dataset):
    write_dataset_json(dataset, {})
    write_image(dataset / "imagesTr" / "b_0000.nii.gz", RAS_LIKE)
    assert statuses(check_dataset(501)) == ["WARN"]


def test_test_images_of_another_orientation_warn_about_stock_predict(dataset):
    write_image(dataset / "imagesTs" / "c_0000.nii.gz", RAS_LIKE)
    training, test = check_dataset(501)
    assert (training.status, test.status) == ("OK", "WARN")
    assert "nnUNetv2_predict ignores orientation" in test.mend


def test_folder_to_be_predicted_is_compared_with_training(dataset, tmp_path):
    write_image(tmp_path / "new" / "x_0000.nii.gz", PIR)
    assert statuses(check_dataset(501, tmp_path / "new")) == ["OK", "OK"]
    assert statuses(check_dataset(501, tmp_path / "nothing")) == ["OK", "FAIL"]


def test_broken_header_fails_and_names_the_file(dataset):
    (dataset / "imagesTr" / "b_0000.nii.gz").write_bytes(b"no image")
    [check] = check_dataset(501)
    assert check.status == "FAIL"
    assert "b_0000.nii.gz" in check.found


def test_missing_and_ambiguous_datasets_fail(dataset):
    assert statuses(check_dataset(77)) == ["FAIL"]
    (dataset.parent / "Dataset501_Other").mkdir()
    assert statuses(check_dataset(501)) == ["FAIL"]


@pytest.mark.parametrize("content", ["{", "{}", "[]"])
def test_broken_dataset_json_fails(dataset, content):
    (dataset / "dataset.json").write_text(content)
    assert statuses(check_dataset(501)) == ["FAIL"]


def test_dataset_without_raw_folder_fails(monkeypatch):
    monkeypatch.delenv("nnUNet_raw", raising=False)
    assert statuses(check_dataset(501)) == ["FAIL"]


def test_2d_images_have_no_orientation(tmp_path):
    write_image(tmp_path / "a.png", None, size=(4, 5))
    found = orientations([tmp_path / "a.png"])
    assert found == {"none": ["a.png"]}
    assert judge_training("toy", found, None).status == "OK"


def test_orientations_refuse_what_is_no_image(tmp_path):
    (tmp_path / "a.mha").write_text("not an image")
    with pytest.raises(UserError, match=r"a\.mha"):
        orientations([tmp_path / "a.mha"])


@pytest.mark.parametrize(("state", "status"), [("unset", "FAIL"), ("absent", "FAIL"), ("file", "FAIL"), ("good", "OK")])
def test_folder_states(tmp_path, monkeypatch, state, status):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: namedtuple("usage", "free")(100 * folders.GIB))
    (tmp_path / "file").touch()
    (tmp_path / "good").mkdir()
    monkeypatch.setenv("nnUNet_raw", "" if state == "unset" else str(tmp_path / state))
    check = folders.check_folder("nnUNet_raw")
    assert check.status == status
    assert bool(check.mend) == (status != "OK")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_folder_without_permission_fails(tmp_path, monkeypatch):
    tmp_path.chmod(0o500)
    monkeypatch.setenv("nnUNet_raw", str(tmp_path))
    assert folders.check_folder("nnUNet_raw").status == "FAIL"


@pytest.mark.parametrize(("gib", "status"), [(0.1, "FAIL"), (5, "WARN"), (100, "OK")])
def test_disk_space(tmp_path, monkeypatch, gib, status):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: namedtuple("usage", "free")(gib * folders.GIB))
    monkeypatch.setenv("nnUNet_results", str(tmp_path))
    assert folders.check_folder("nnUNet_results").status == status


@pytest.mark.parametrize(
    ("value", "status"),
    [(None, "FAIL"), ("/theirs", "FAIL"), (f"/gone{os.pathsep}{ext_dir()}", "WARN"), (str(ext_dir()), "OK")],
)
def test_ext_variable(monkeypatch, value, status):
    monkeypatch.delenv(VARIABLE, raising=False)
    if value:
        monkeypatch.setenv(VARIABLE, value)
    assert folders.check_ext_variable().status == status


@pytest.mark.parametrize(
    ("version", "status"),
    [("1.0.20", "FAIL"), ("1.0.21", "OK"), ("1.0.22.post1", "OK"), ("1.0.23", "FAIL"), ("1.1", "FAIL")],
)
def test_timm_range(monkeypatch, version, status):
    monkeypatch.setattr(metadata, "version", lambda name: version)
    monkeypatch.setattr(installation.importlib, "import_module", lambda name: None)
    assert installation.check_version("timm").status == status


def test_missing_library_fails(monkeypatch):
    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", absent)
    check = installation.check_version("open_clip_torch")
    assert (check.status, check.found) == ("FAIL", "is not installed")


def test_library_that_does_not_load_fails_with_the_reason(monkeypatch):
    def broken(name):
        raise ImportError("libcudart.so.12: no such file")

    monkeypatch.setattr(metadata, "version", lambda name: "2.8.1")
    monkeypatch.setattr(installation.importlib, "import_module", broken)
    check = installation.check_version("nnunetv2")
    assert check.status == "FAIL"
    assert "libcudart" in check.found


@pytest.mark.parametrize(("reachable", "cached", "status"), [(0, 0, "WARN"), (1, 0, "OK"), (0, 1, "OK")])
def test_weights(monkeypatch, tmp_path, reachable, cached, status):
    probe = pytest.importorskip("nnunet_textguided.text.probe")
    monkeypatch.setattr(probe, "can_reach_hub", lambda: bool(reachable))
    monkeypatch.setattr(probe, "cached_file", lambda repo, names: tmp_path / "file" if cached else None)
    assert statuses(weights.check_weights()) == [status, status]


def test_trainer_lookup_reports_a_process_that_dies(monkeypatch):
    monkeypatch.setattr(trainers, "LOOKUP", "raise SystemExit('torch is broken')")
    [check] = trainers.check_trainers()
    assert check.status == "FAIL"
    assert "torch is broken" in check.found


def test_trainer_lookup_reports_each_trainer(monkeypatch):
    answer = {"GoodTrainer": "", "BadTrainer": "ImportError: no module"}
    monkeypatch.setattr(trainers, "LOOKUP", f"print({trainers.MARK + json.dumps(answer)!r})")
    assert {check.name: check.status for check in trainers.check_trainers()} == {
        "GoodTrainer": "OK",
        "BadTrainer": "FAIL",
    }


@pytest.mark.parametrize(("found", "status"), [(["OK", "WARN"], 0), (["OK", "FAIL"], 1)])
@pytest.mark.parametrize("as_json", [False, True])
def test_exit_status_and_output(monkeypatch, capsys, found, status, as_json):
    checks = [Check(f"thing {index}", state, "seen", "do this") for index, state in enumerate(found)]
    monkeypatch.setattr(doctor, "all_checks", lambda dataset, images: iter(checks))
    assert doctor.run(argparse.Namespace(dataset=None, images=None, json=as_json)) == status
    out = capsys.readouterr().out
    if as_json:
        answer = json.loads(out)
        assert answer["ok"] is (status == 0)
        assert [check["status"] for check in answer["checks"]] == found
    else:
        assert [line.split()[0] for line in out.splitlines() if "thing" in line and "seen" in line] == found


def test_a_check_that_breaks_becomes_a_line(monkeypatch):
    def broken():
        raise RuntimeError("half an installation")

    [check] = doctor._guarded("weights", broken)
    assert check.status == "FAIL"
    assert "half an installation" in check.found
