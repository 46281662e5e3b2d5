from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from small_volumes import codes_in, write_image, write_mask

from nnunet_textguided.cli.main import main
from nnunet_textguided.dataset_conversion.base.conversion import RunSettings
from nnunet_textguided.dataset_conversion.generic import GenericOptions, convert_generic
from nnunet_textguided.dataset_conversion.generic_labels import read_labels
from nnunet_textguided.errors import UserError

SPINE_MAP = {"45": "L5", "44": "L4", "100": "L5/S", "1": "background"}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "source"


def label_map(tmp_path: Path, content: object) -> Path:
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(content))
    return path


def test_masks_get_the_codes_of_the_shared_spine_label_set_and_say_what_they_lack(tmp_path, source, nnunet_raw):
    write_image(source / "images" / "a.nii.gz")
    write_mask(source / "labels" / "a.nii.gz", (45, 44, 100, 1))
    folder, manifest = convert_generic(source, label_map(tmp_path, SPINE_MAP), 7, "Mine")
    assert codes_in(folder / "labelsTr" / "mine_a.nii.gz") == {0, 2, 3, 11}
    content = json.loads((folder / "dataset.json").read_text())
    missing = content["text_guidance"]["missing"]["mine"]
    assert len(missing) == 16
    assert not {"L5", "L4", "L5/S"} & set(missing)
    assert manifest.complete


def test_other_structures_get_consecutive_codes_in_the_order_of_the_source(tmp_path, source, nnunet_raw):
    write_image(source / "images" / "a.mha")
    write_mask(source / "labels" / "a.mha", (7, 3, 12))
    labels = label_map(tmp_path, {"tail": [7, 12], "head": 3})
    folder, _ = convert_generic(source, labels, 7, "Mine")
    assert json.loads((folder / "dataset.json").read_text())["labels"] == {"background": 0, "head": 1, "tail": 2}
    assert codes_in(folder / "labelsTr" / "mine_a.nii.gz") == {0, 1, 2}


def test_channels_and_patients_are_found_in_the_names(tmp_path, source, nnunet_raw):
    for case in ("p1-a", "p1-b", "p2-a"):
        for channel in ("t1", "t2"):
            write_image(source / "images" / case / f"{case}_{channel}.nrrd", seed=len(case + channel))
        write_mask(source / "labels" / f"{case}_seg.nrrd", (1,))
    options = GenericOptions(
        image_name="{case}_{channel}", mask_name="{case}_seg", channels=("t2", "t1"), patient=r"^(p\d+)-"
    )
    folder, manifest = convert_generic(source, label_map(tmp_path, {"1": "L5"}), 7, "Mine", options)
    first = sitk.GetArrayFromImage(sitk.ReadImage(str(source / "images" / "p2-a" / "p2-a_t2.nrrd")))
    written = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "imagesTr" / "mine_p2-a_0000.nii.gz")))
    assert np.array_equal(np.sort(first, axis=None), np.sort(written, axis=None))
    assert manifest.splits == "2 by patient"
    splits = json.loads((folder / "splits_final.json").read_text())
    assert all(("mine_p1-a" in split["val"]) == ("mine_p1-b" in split["val"]) for split in splits)


def test_what_does_not_pair_is_named_and_the_rest_converts(tmp_path, source, nnunet_raw):
    write_image(source / "images" / "good.nii.gz")
    write_mask(source / "labels" / "good.nii.gz", (1,))
    write_image(source / "images" / "lonely image.nii.gz")
    write_mask(source / "labels" / "orphan.nii.gz", (1,))
    write_image(source / "images" / "deep" / "good.mha")
    write_image(tmp_path / "elsewhere.nii.gz")
    (source / "images" / "linked.nii.gz").symlink_to(tmp_path / "elsewhere.nii.gz")
    write_image(source / "images" / "漢字.nii.gz")
    _, manifest = convert_generic(source, label_map(tmp_path, {"1": "L5"}), 7, "Mine")
    assert list(manifest.cases) == ["mine_good"]
    lines = "\n".join(manifest.problems.values())
    for expected in (
        "lonely_image: image without mask",
        "orphan: mask without image",
        "same case and channel",
        "linked.nii.gz: is a link to",
        "expected letters or digits",
    ):
        assert expected in lines
    assert len(manifest.problems) == 5
    assert not manifest.complete


def test_images_without_mask_are_kept_as_not_annotated_if_asked_for(tmp_path, source, nnunet_raw):
    write_image(source / "images" / "a.nii.gz")
    (source / "labels").mkdir()
    options = GenericOptions(keep_unlabelled=True)
    folder, _ = convert_generic(source, label_map(tmp_path, {"1": "L5"}), 7, "Mine", options)
    assert json.loads((folder / "dataset.json").read_text())["labels"]["ignore"] == 20
    assert codes_in(folder / "labelsTr" / "mine_a.nii.gz") == {20}


def test_findings_beside_the_images_are_taken_over(tmp_path, source, nnunet_raw):
    for case in ("a b", "c"):
        write_image(source / "images" / f"{case}.nii.gz")
        write_mask(source / "labels" / f"{case}.nii.gz", (1,))
    block = {"bulge": {"term": "bulging", "applies_to": ["L5/S"]}}
    (source / "findings.json").write_text(json.dumps(block))
    (source / "findings.csv").write_text("case,structure,finding,present\na_b,L5/S,bulge,1\n")
    folder, _ = convert_generic(source, label_map(tmp_path, {"1": "L5/S"}), 7, "Mine")
    assert (folder / "findings.csv").read_text().splitlines()[1:] == ["mine_a_b,L5/S,bulge,1,,,"]
    assert json.loads((folder / "dataset.json").read_text())["text_guidance"]["findings"] == block


def test_a_dry_run_finds_the_same_problems_and_writes_nothing(tmp_path, source, nnunet_raw, capsys):
    write_image(source / "images" / "a.nii.gz")
    write_mask(source / "labels" / "a.nii.gz", (1,))
    write_image(source / "images" / "b.nii.gz")
    write_mask(source / "labels" / "b.nii.gz", (9,))
    labels = label_map(tmp_path, {"1": "L5"})
    _, manifest = convert_generic(source, labels, 7, "Mine", settings=RunSettings(dry_run=True))
    assert list(manifest.cases) == ["mine_a"]
    assert "unknown label code 9" in manifest.problems["mine_b"]
    assert not nnunet_raw.exists()
    arguments = ["convert", "generic", str(source), "--labels", str(labels), "-d", "7", "--processes", "1", "--dry-run"]
    assert main(arguments) == 1
    printed = capsys.readouterr()
    assert "would write 1 cases" in printed.out
    assert "unknown label code 9" in printed.err
    assert not nnunet_raw.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "expected"),
        ({}, "expected"),
        ({"a": -1}, "got -1"),
        ({"a": 1.5}, "got 1.5"),
        ({"x": "L5"}, "got 'x'"),
        ({"a": 1, "b": [1]}, "code 1 stands there twice, as 'a' and 'b'"),
        ({"0": "L5"}, "code 0 is background"),
        ({"background": 0}, "at least one structure"),
        ({"a": True}, "got True"),
        ({"a": 70000}, "got 70000"),
    ],
)
def test_a_label_map_that_cannot_be_meant_so_is_an_error(tmp_path, content, message):
    with pytest.raises(UserError, match=message):
        read_labels(label_map(tmp_path, content), ignore=False)


def test_voxels_may_be_declared_as_not_annotated(tmp_path):
    labels = read_labels(label_map(tmp_path, {"1": "L5", "255": "ignore"}), ignore=False)
    assert labels.table == {0: 0, 1: 2, 255: 20}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_name": "image"}, "{case}"),
        ({"image_name": "{case}_{kind}"}, "{case}"),
        ({"channels": ("a", "b")}, "{channel}"),
        ({"images": "../elsewhere"}, "inside"),
        ({"images": "pictures"}, "pictures"),
        ({"patient": "(x"}, "regular expression"),
        ({"patient": "x"}, "finds no patient"),
        ({"patient": "a"}, "one group"),
    ],
)
def test_options_that_do_not_fit_are_errors(tmp_path, source, nnunet_raw, options, message):
    write_image(source / "images" / "a.nii.gz")
    write_mask(source / "labels" / "a.nii.gz", (1,))
    with pytest.raises(UserError, match=message):
        convert_generic(source, label_map(tmp_path, {"1": "L5"}), 7, "Mine", GenericOptions(**options))


def test_the_hippocampus_of_the_decathlon_converts_whole(tmp_path, real_data, nnunet_raw):
    labels = label_map(tmp_path, {"1": "anterior", "2": "posterior"})
    folder, manifest = convert_generic(real_data / "hippocampus", labels, 4, "Hippocampus")
    assert len(manifest.cases) == 43
    assert manifest.complete
    assert codes_in(folder / "labelsTr" / "hippocampus_001.nii.gz") == {0, 1, 2}
