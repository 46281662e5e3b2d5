"""Any content gives a result or a UserError: no other exception from any parser of ours."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzzing import (
    BYTES,
    FAST,
    LEAVES,
    LETTERS,
    SLOW,
    VALUES,
    changed,
    documents,
    modest,
    sheet,
    sheets,
    survives,
    tables,
    zipped,
)
from hypothesis import given
from hypothesis import strategies as st

from nnunet_textguided.comparison.grid import Run
from nnunet_textguided.comparison.record import RunRecord
from nnunet_textguided.comparison.splits import cases_by_fold
from nnunet_textguided.dataset_conversion.base.conversion import brought_along
from nnunet_textguided.dataset_conversion.base.manifest import Manifest
from nnunet_textguided.dataset_conversion.base.splits import load_splits
from nnunet_textguided.dataset_conversion.label_maps.from_json import read_label_map
from nnunet_textguided.dataset_conversion.spider_gradings import gradings, read_gradings
from nnunet_textguided.dataset_conversion.tianchi_annotations import read_annotations
from nnunet_textguided.dataset_json import block_of, read_dataset_json
from nnunet_textguided.evaluation.finding_evaluation import read_predictions, read_truth
from nnunet_textguided.evaluation.task import find_dataset_json, read_task
from nnunet_textguided.findings.annotations import read_findings
from nnunet_textguided.findings.vocabulary import FindingVocabulary
from nnunet_textguided.image_headers import read_image_header
from nnunet_textguided.inference.finding_files import load_case_findings, write_tables
from nnunet_textguided.inference.report_page import report_page
from nnunet_textguided.pretraining.plan_spacing import spacing_of_plans
from nnunet_textguided.pretraining.preprocessed_scans import configuration_folder
from nnunet_textguided.pretraining.reports import read_reports
from nnunet_textguided.sources import declared_missing
from nnunet_textguided.text.bank import TextBank, load_bank, save_bank
from nnunet_textguided.text.clip_encoder import build_clip
from nnunet_textguided.text.clip_source import read_config, read_pretraining
from nnunet_textguided.text.glossary import term_for, terms_for
from nnunet_textguided.trainers.guidance import BLOCK, TextGuidance, declared_findings, structure_names

FINDINGS = {"bulge": {"term": "bulging of the disc", "applies_to": ["L4/L5"]}, "fracture": {"applies_to": ["L5"]}}
VOCABULARY = FindingVocabulary.from_block(FINDINGS, ("L5", "L4/L5"))
DATASET = {
    "channel_names": {"0": "T2"},
    "labels": {"background": 0, "L5": 1, "L4/L5": 2, "ignore": 3},
    "file_ending": ".nii.gz",
    "text_guidance": {
        "terms": {"L5": "fifth lumbar vertebra"},
        "findings": FINDINGS,
        "missing": {"spider": ["L5"]},
        "orientation": "PIR",
    },
}
POINT = {"tag": {"identification": "L4-L5", "disc": "v2,v3", "vertebra": ""}, "coord": [5, 6], "zIndex": 3}
TIANCHI = [
    {
        "studyUid": "1.2",
        "version": "v0.1",
        "data": [{"seriesUid": "3", "instanceUid": "4", "annotation": [{"data": {"point": [POINT]}}]}],
    }
]
GRADINGS = "Patient,IVD label,Modic,UP endplate,LOW endplate,Spondylolisthesis,Disc herniation,Disc narrowing"
SPLITS = [{"train": ["a", "b"], "val": ["c"]}, {"train": ["c"], "val": ["a", "b"]}]
RUN = Run("Dataset900_Tiny", "2d", "Trainer", "Plans", 0)
RECORD = {
    "version": 1,
    "run": asdict(RUN),
    "cases": ["a"],
    "has_findings": True,
    **{name: {} for name in ("costs", "fingerprints", "details", "provenance")},
}
PREDICTED = {
    "case": "a",
    "model": {"trainer": "t"},
    "findings": [
        {
            **{"structure": "L5", "finding": "bulge", "probability": 0.5, "threshold": 0.5, "present": True},
            **{"centroid_mm": [1.0, 2.0, 3.0], "box_voxels": [[0, 0, 0], [1, 1, 1]], "volume_mm3": 4.0},
            "box_mm": [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]],
        }
    ],
    "structures": [{"structure": "L5", "volume_mm3": 1.0, "centroid_mm": [1, 2, 3], "extent_mm": [1, 2, 3]}],
}
LABEL_MAP = {"name": "m", "codes": {"1": "L5", "2": "L4/L5", "60": "background"}, "licence": ""}
REPORTS = ("patient,report", "1,a note.", "2,another.")
CLIP = {
    "embed_dim": 8,
    "vision_cfg": {"image_size": 32, "patch_size": 32, "width": 64, "head_width": 64, "layers": 1},
    "text_cfg": {"context_length": 8, "vocab_size": 64, "width": 8, "heads": 2, "layers": 1},
}
PLANS = {
    "plans_name": "nnUNetPlans",
    "transpose_forward": [0, 1, 2],
    "configurations": {
        "2d": {"data_identifier": "nnUNetPlans_2d", "spacing": [1.0, 1.0], "patch_size": [32, 32]},
        "3d_fullres": {"data_identifier": "nnUNetPlans_3d", "spacing": [4.0, 1.0, 1.0]},
    },
}
RECORDED = {
    "files": {"labelsTr/a.nii.gz": 0},
    "sources": {"a.mha": "0"},
    "findings": ["L5,fracture,1", "L4/L5,bulge,0,1,2,3"],
}
MANIFEST = {"format": 1, "converter": "c", "options": {}, "source": "s", "cases": {"a": RECORDED}, "splits": ""}


def bank_metadata() -> dict[str, Any]:
    return {"names": ["a", "b"], "terms": ["a", "b"], "prompts": [["a"], ["b"]], "model": "m", "seed": 1}


def bank_files() -> st.SearchStrategy[bytes]:
    """Banks with any metadata, and sound ones with a byte changed or cut off."""
    from safetensors.numpy import save

    def pack(metadata: Any) -> bytes:
        text = json.dumps(metadata)
        return save({"embeddings": np.eye(2, dtype=np.float32)}, metadata={"text_bank": text})

    def damage(position: int, value: int, keep: int) -> bytes:
        sound = bytearray(pack(bank_metadata()))
        sound[position % len(sound)] = value
        return bytes(sound[: len(sound) - keep])

    metadata = (changed(bank_metadata()) | VALUES).map(pack)
    return BYTES | metadata | st.builds(damage, st.integers(0, 999), st.integers(0, 255), st.integers(0, 40))


def nifti_files() -> st.SearchStrategy[bytes]:
    def build(sizes: list[int], spacing: list[float], bits: int, offset: float, voxels: int) -> bytes:
        header = bytearray(352)
        struct.pack_into("<i", header, 0, 348)
        struct.pack_into("<8h", header, 40, *sizes)
        struct.pack_into("<2h", header, 70, 2, bits)
        struct.pack_into("<8f", header, 76, *spacing)
        struct.pack_into("<f", header, 108, offset)
        header[344:348] = b"n+1\0"
        return bytes(header) + bytes(voxels)

    few = st.integers(-3, 7) | st.just(32767)
    return BYTES | st.builds(
        build,
        st.lists(few, min_size=8, max_size=8),
        st.lists(st.sampled_from([0.0, 1.0, -1.0, math.nan, math.inf, 1e30]), min_size=8, max_size=8),
        st.sampled_from([8, 0, -8, 64]),
        st.sampled_from([352.0, math.nan, math.inf, -1.0, 1e30]),
        st.sampled_from([0, 8, 400]),
    )


def written(folder: Path, name: str, content: bytes) -> Path:
    (folder / name).write_bytes(content)
    return folder / name


def dataset(folder: Path, content: bytes) -> None:
    path = written(folder, "dataset.json", content)
    survives(lambda: find_dataset_json(folder, folder))
    survives(lambda: read_task(path))
    found = survives(lambda: read_dataset_json(path))
    if found is None:
        return
    survives(lambda: declared_missing(found))
    survives(lambda: TextGuidance.for_dataset(found))
    survives(lambda: declared_findings(block_of(found).get("findings", {}), structure_names(found)))


def findings(folder: Path, content: bytes) -> None:
    path = written(folder, "findings.csv", content)
    found = survives(lambda: read_findings(path, VOCABULARY))
    assert found is None or set(np.unique([found.status(case, VOCABULARY) for case in found.cases()])) <= {-1, 0, 1}
    survives(lambda: read_findings(path, VOCABULARY, {"a"}))
    survives(lambda: read_truth(path))
    survives(lambda: read_predictions(path))


def splits(folder: Path, content: bytes) -> None:
    path = written(folder, "splits_final.json", content)
    survives(lambda: cases_by_fold(folder, (0, 1)))
    survives(lambda: load_splits(path, {"a": "p", "b": "p", "c": "q"}))


def record(folder: Path, content: bytes) -> None:
    (folder / RUN.name).mkdir(parents=True, exist_ok=True)
    written(folder / RUN.name, "record.json", content)
    for name in ("structures", "findings", "instances", "shifts"):
        written(folder / RUN.name, f"{name}.csv", b"case,code\na,1\n")
    survives(lambda: RunRecord.load(folder, RUN))


def record_table(folder: Path, content: bytes) -> None:
    record(folder, json.dumps(RECORD).encode())
    written(folder / RUN.name, "structures.csv", content)
    survives(lambda: RunRecord.load(folder, RUN))


def predicted(folder: Path, content: bytes) -> None:
    path = written(folder, "a_findings.json", content)
    found = survives(lambda: load_case_findings(path))
    if found is not None:
        report_page(found, b"")
    survives(lambda: write_tables(folder))


def label_map(folder: Path, content: bytes) -> None:
    path = written(folder, "map.json", content)
    survives(lambda: read_label_map(path))
    survives(lambda: read_label_map(path, {"L5", "background"}))


def manifest(folder: Path, content: bytes) -> None:
    written(folder, "manifest.json", content)
    found = survives(lambda: Manifest.load(folder))
    if found is not None:
        survives(lambda: brought_along(found))


def reports(ending: str) -> Callable[[Path, bytes], None]:
    def feed(folder: Path, content: bytes) -> None:
        path = written(folder, f"reports{ending}", content)
        survives(lambda: read_reports(path))
        survives(lambda: read_reports(path, "report"))

    return feed


def clip_config(folder: Path, content: bytes) -> None:
    path = written(folder, "tiny.json", content)
    survives(lambda: read_pretraining(path))
    config = survives(lambda: read_config(path))
    if config is not None and modest(config, largest=64):
        survives(lambda: build_clip(config, "tiny.json"))


def preprocessed_plans(folder: Path, content: bytes) -> None:
    path = written(folder, "nnUNetPlans.json", content)
    survives(lambda: spacing_of_plans(path))
    (folder / "nnUNetPlans_2d").mkdir(exist_ok=True)
    found = survives(lambda: configuration_folder(folder))
    assert found is None or found.parent == folder


PARSERS: dict[str, tuple[st.SearchStrategy[bytes], Callable[[Path, bytes], Any]]] = {
    "findings.csv": (BYTES | tables("case,structure,finding,present,x_mm,y_mm,z_mm"), findings),
    "predicted findings.csv": (tables("case,structure,finding,probability,threshold"), findings),
    "dataset.json": (documents(DATASET), dataset),
    "bank": (bank_files(), lambda folder, content: survives(lambda: load_bank(written(folder, "b", content)))),
    "tianchi": (
        documents(TIANCHI),
        lambda folder, content: survives(lambda: read_annotations([written(folder, "t.json", content)])),
    ),
    "gradings": (
        BYTES | tables(GRADINGS + ",Disc bulging,Pfirrman grade"),
        lambda folder, content: survives(lambda: read_gradings(written(folder, "g.csv", content), gradings())),
    ),
    "splits": (documents(SPLITS), splits),
    "comparison record": (documents(RECORD), record),
    "table of a record": (BYTES | tables("case,code,status,dice"), record_table),
    "findings of a case": (documents(PREDICTED), predicted),
    "label map": (documents(LABEL_MAP), label_map),
    "manifest": (documents(MANIFEST), manifest),
    "reports.csv": (BYTES | tables("patient,report"), reports(".csv")),
    "reports.jsonl": (documents({"report": "a note"}), reports(".jsonl")),
    "reports.xlsx": (sheets(*REPORTS), reports(".xlsx")),
    "open_clip config": (
        documents(CLIP) | documents({"model_cfg": CLIP, "provenance": {"licence": "CC0"}}),
        clip_config,
    ),
    "plans of preprocessed data": (documents(PLANS), preprocessed_plans),
    "NIfTI header": (
        nifti_files(),
        lambda folder, content: survives(lambda: read_image_header(written(folder, "x.nii", content))),
    ),
}


@pytest.mark.parametrize("name", PARSERS)
@FAST
@given(data=st.data())
def test_any_content_gives_a_result_or_a_user_error(name: str, data: st.DataObject, tmp_path_factory):
    strategy, feed = PARSERS[name]
    feed(folder_of(tmp_path_factory, name), data.draw(strategy))


@pytest.mark.slow
@pytest.mark.parametrize("name", PARSERS)
@SLOW
@given(data=st.data())
def test_any_content_gives_a_result_or_a_user_error_at_length(name: str, data: st.DataObject, tmp_path_factory):
    strategy, feed = PARSERS[name]
    feed(folder_of(tmp_path_factory, name), data.draw(strategy))


def folder_of(factory: pytest.TempPathFactory, name: str) -> Path:
    """One folder a parser: making one an example would take longer than parsing."""
    folder = factory.getbasetemp() / f"fuzz {name}"
    folder.mkdir(exist_ok=True)
    return folder


NAMES = st.text(LETTERS, max_size=6) | st.sampled_from(["L5", "T12/L1", "S", "S1", "vertebrae_C2", "", "_"])
LABELS = st.lists(NAMES, max_size=5)


def glossary(labels: list[str], overrides: Any) -> None:
    found = survives(lambda: terms_for(labels, overrides))
    assert found is None or (len(found) == len(labels) and all(isinstance(term, str) for term in found))
    for label in labels:
        survives(lambda label=label: term_for(label, overrides))


OVERRIDES = st.none() | st.dictionaries(st.sampled_from(["L5", "S", "", "_"]), LEAVES, max_size=3)


@FAST
@given(labels=LABELS, overrides=OVERRIDES)
def test_any_label_names_give_terms_or_a_user_error(labels, overrides):
    glossary(labels, overrides)


@pytest.mark.slow
@SLOW
@given(labels=LABELS, overrides=OVERRIDES)
def test_any_label_names_give_terms_or_a_user_error_at_length(labels, overrides):
    glossary(labels, overrides)


SOUND_BLOCK = TextGuidance.for_dataset(DATASET).to_block()


@FAST
@given(block=changed(SOUND_BLOCK))
def test_any_block_of_plans_gives_options_or_a_user_error(block):
    survives(lambda: TextGuidance.from_plans({BLOCK: block}))


@pytest.mark.slow
@SLOW
@given(block=changed(SOUND_BLOCK) | VALUES)
def test_any_block_of_plans_gives_options_or_a_user_error_at_length(block):
    survives(lambda: TextGuidance.from_plans({BLOCK: block}))


def test_the_sound_documents_are_read(tmp_path: Path):
    """What is changed above has to be sound before, or the parsers would refuse it for another reason."""
    for name, content in (("dataset.json", DATASET), ("t.json", TIANCHI), ("splits_final.json", SPLITS)):
        written(tmp_path, name, json.dumps(content).encode())
    assert read_task(tmp_path / "dataset.json").ignore_label == 3
    assert len(read_annotations([tmp_path / "t.json"])[0]["1.2"].points) == 1
    assert cases_by_fold(tmp_path, (0, 1)) == {0: ("c",), 1: ("a", "b")}
    assert load_case_findings(written(tmp_path, "f.json", json.dumps(PREDICTED).encode())) == PREDICTED
    assert read_label_map(written(tmp_path, "m.json", json.dumps(LABEL_MAP).encode())).codes == {1: "L5", 2: "L4/L5"}
    record(tmp_path, json.dumps(RECORD).encode())
    assert RunRecord.load(tmp_path, RUN).cases == ("a",)
    bank = TextBank(np.eye(2, dtype=np.float32), ("a", "b"), ("a", "b"), (("a",), ("b",)), "m")
    save_bank(bank, tmp_path / "bank.safetensors")
    assert load_bank(tmp_path / "bank.safetensors").names == ("a", "b")
    written(tmp_path, "manifest.json", json.dumps(MANIFEST).encode())
    assert Manifest.load(tmp_path).cases == {"a": RECORDED}
    assert [finding.point_mm for finding in brought_along(Manifest.load(tmp_path))] == [None, (1, 2, 3)]
    assert read_reports(written(tmp_path, "r.xlsx", zipped(sheet(*REPORTS)))) == ["a note.", "another."]
    assert build_clip(read_config(written(tmp_path, "c.json", json.dumps(CLIP).encode())), "c.json").context_length == 8
    preprocessed_plans(tmp_path, json.dumps(PLANS).encode())
    assert spacing_of_plans(tmp_path / "nnUNetPlans.json") == (1, 1)
    assert configuration_folder(tmp_path) == tmp_path / "nnUNetPlans_2d"
