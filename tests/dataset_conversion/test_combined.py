from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_volumes import codes_in, write_image, write_mask

from nnunet_textguided.cli.main import main
from nnunet_textguided.dataset_conversion.combined import combine
from nnunet_textguided.dataset_conversion.generic import GenericOptions, convert_generic
from nnunet_textguided.errors import UserError


def make(tmp_path: Path, number: int, name: str, labels: dict, mask: bool = True, finding: str = "bulge") -> None:
    source = tmp_path / name
    (source / "labels").mkdir(parents=True)
    for patient in ("a", "b"):
        write_image(source / "images" / f"{patient}.nii.gz", seed=number)
        if mask:
            write_mask(source / "labels" / f"{patient}.nii.gz", tuple(int(code) for code in labels))
    (source / "findings.json").write_text(json.dumps({finding: {"term": finding, "applies_to": ["L5/S"]}}))
    (source / "findings.csv").write_text(f"case,structure,finding,present\na,L5/S,{finding},1\n")
    (source / "map.json").write_text(json.dumps(labels))
    convert_generic(source, source / "map.json", number, name, GenericOptions(keep_unlabelled=not mask))


def test_labels_findings_and_folds_are_joined(tmp_path: Path, nnunet_raw: Path):
    make(tmp_path, 1, "One", {"1": "L5", "2": "canal"})
    make(tmp_path, 2, "Two", {"1": "S"}, mask=False, finding="node")
    folder, manifest = combine([1, 2], 3)
    content = json.loads((folder / "dataset.json").read_text())
    assert list(content["labels"])[-2:] == ["canal", "ignore"]
    assert codes_in(folder / "labelsTr" / "one_a.nii.gz") == {0, 2, 20}
    assert codes_in(folder / "labelsTr" / "two_a.nii.gz") == {21}
    block = content["text_guidance"]
    assert "canal" in block["missing"]["two"]
    assert "canal" not in block["missing"]["one"]
    assert list(block["findings"]) == ["bulge", "node"]
    rows = (folder / "findings.csv").read_text().splitlines()[1:]
    assert rows == ["one_a,L5/S,bulge,1,,,", "two_a,L5/S,node,1,,,"]
    splits = json.loads((folder / "splits_final.json").read_text())
    assert [len(split["val"]) for split in splits] == [2, 2]
    assert manifest.complete


def test_the_command_combines(tmp_path: Path, nnunet_raw: Path):
    make(tmp_path, 1, "One", {"1": "L5"})
    make(tmp_path, 2, "Two", {"1": "S"})
    assert main(["convert", "combined", "1", "2", "-d", "3", "--processes", "1"]) == 0
    missing = json.loads((nnunet_raw / "Dataset003_Combined" / "dataset.json").read_text())["text_guidance"]["missing"]
    assert "S" in missing["one"]
    assert "L5" in missing["two"]


def test_data_sets_that_do_not_fit_are_refused(tmp_path: Path, nnunet_raw: Path):
    make(tmp_path, 1, "One", {"1": "L5"})
    make(tmp_path, 2, "Two", {"1": "S"})
    with pytest.raises(UserError, match="two data sets or more"):
        combine([1], 3)
    with pytest.raises(UserError, match="Expected one finished data set 9"):
        combine([1, 9], 3)
    path = nnunet_raw / "Dataset002_Two" / "dataset.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"channel_names": {"0": "T1", "1": "T2"}}))
    with pytest.raises(UserError, match="1 and 2 channels"):
        combine([1, 2], 3)
    turned = content | {"text_guidance": {**content["text_guidance"], "orientation": "LPS"}}
    path.write_text(json.dumps(turned))
    with pytest.raises(UserError, match="orientations PIR and LPS"):
        combine([1, 2], 3)


def test_what_is_held_out_in_a_part_stays_held_out(tmp_path: Path, nnunet_raw: Path):
    make(tmp_path, 1, "One", {"1": "L5"})
    make(tmp_path, 2, "Two", {"1": "S"})
    only_fold = [{"train": ["one_a"], "val": ["one_b"]}]
    (nnunet_raw / "Dataset001_One" / "splits_final.json").write_text(json.dumps(only_fold))
    folder, _ = combine([1, 2], 3)
    (split,) = json.loads((folder / "splits_final.json").read_text())
    assert "one_b" in split["val"]
    assert sorted(split["train"] + split["val"]) == ["one_a", "one_b", "two_a", "two_b"]
    (nnunet_raw / "Dataset002_Two" / "splits_final.json").unlink()
    folder, _ = combine([1, 2], 4, "Again")
    (split,) = json.loads((folder / "splits_final.json").read_text())
    assert split == {"train": ["one_a", "two_a", "two_b"], "val": ["one_b"]}
