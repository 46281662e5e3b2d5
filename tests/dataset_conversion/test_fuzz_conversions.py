"""Tables and records that conversions read: any content gives a result or a UserError."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from fuzzing import BYTES, FAST, SLOW, documents, sheet, sheets, survives, tables, zipped
from hypothesis import given
from hypothesis import strategies as st

from nnunet_textguided.dataset_conversion.completion.completion_record import CompletionRecord
from nnunet_textguided.dataset_conversion.completion.draft_folder import DraftFolder
from nnunet_textguided.dataset_conversion.completion.raw_dataset import RawDataset
from nnunet_textguided.dataset_conversion.own_findings import read_findings_by_case, read_own_findings
from nnunet_textguided.dataset_conversion.rsna2024_tables import COORDINATES, LABELS, SERIES, SEVERITIES, read_tables
from nnunet_textguided.dataset_conversion.sudirman import read_notes

RSNA = {
    SERIES: ("study_id,series_id,series_description", "1,2,Sagittal T1"),
    LABELS: ("study_id,spinal_canal_stenosis_l4_l5", "1,Severe"),
    COORDINATES: ("study_id,series_id,instance_number,condition,level,x,y", "1,2,3,Spinal Canal Stenosis,L4/L5,5,6"),
}
DRAFTS = {"format": 1, "dataset": "raw", "cases": {"a": {"kind": "model", "annotated": "sha"}}}
COMPLETION = {"format": 1, "cases": {"a": {"source": "model draft", "sha256": "0", "draft": {"kind": "model"}}}}
NOTES = ("Patient ID,Clinician's Notes", "1,a note")
FINDINGS = {"bulge": {"term": "bulging of the disc", "applies_to": ["L4/L5"]}, "fracture": {"applies_to": ["L5"]}}
MANIFEST = {"format": 1, "converter": "c", "options": {}, "source": "s", "cases": {"a": {}}, "splits": ""}


def written(folder: Path, name: str, content: bytes) -> Path:
    (folder / name).write_bytes(content)
    return folder / name


def rsna_table(name: str) -> Callable[[Path, bytes], None]:
    """One of the three tables changed, the others sound."""

    def feed(folder: Path, content: bytes) -> None:
        for table, sound in RSNA.items():
            written(folder, table, content if table == name else "\n".join(sound).encode())
        found = survives(lambda: read_tables(folder))
        for study in {} if found is None else found[0]:
            found[0][study].decisions(SEVERITIES[1])

    return feed


def notes(ending: str) -> Callable[[Path, bytes], None]:
    return lambda folder, content: survives(lambda: read_notes(written(folder, f"notes{ending}", content)))


def own_findings(folder: Path, content: bytes) -> None:
    written(folder, "findings.json", content)
    written(folder, "findings.csv", b"case,structure,finding,present\n1,L4/L5,bulge,1\n")
    survives(lambda: read_own_findings(folder, ("L5", "L4/L5")))
    survives(lambda: read_findings_by_case(folder, ("L5", "L4/L5"), {"1": "a"}))


def raw_dataset(folder: Path) -> RawDataset:
    (folder / "raw").mkdir(exist_ok=True)
    return RawDataset(folder / "raw", {"background": 0, "L5": 1, "ignore": 3}, 3, ("T2",), ".nii.gz", {"a": []})


def drafts(folder: Path, content: bytes) -> None:
    dataset = raw_dataset(folder)
    (folder / "drafts").mkdir(exist_ok=True)
    written(folder / "drafts", "drafts.json", content)
    found = survives(lambda: DraftFolder.open(folder / "drafts", dataset))
    if found is not None:
        found.keeps("a", [], {})
        found.masks()
        found.save()


def completion(folder: Path, content: bytes) -> None:
    dataset = raw_dataset(folder)
    written(dataset.folder, "completion.json", content)
    written(dataset.folder, "manifest.json", json.dumps(MANIFEST).encode())
    (dataset.folder / "labelsTr").mkdir(exist_ok=True)
    written(dataset.folder / "labelsTr", "a.nii.gz", b"")
    found = survives(lambda: CompletionRecord.open(dataset))
    if found is not None:
        found.add("a", {"source": "drawn by hand", "sha256": "0"})
        found.save()


PARSERS: dict[str, tuple[st.SearchStrategy[bytes], Callable[[Path, bytes], object]]] = {
    **{f"RSNA's {name}": (BYTES | tables(*rows), rsna_table(name)) for name, rows in RSNA.items()},
    "notes.csv": (BYTES | tables(NOTES[0]), notes(".csv")),
    "notes.xlsx": (sheets(*NOTES), notes(".xlsx")),
    "findings.json": (documents(FINDINGS), own_findings),
    "drafts.json": (documents(DRAFTS), drafts),
    "completion.json": (documents(COMPLETION), completion),
}


@pytest.mark.parametrize("name", PARSERS)
@FAST
@given(data=st.data())
def test_any_content_gives_a_result_or_a_user_error(name: str, data: st.DataObject, tmp_path_factory):
    parse(name, data, tmp_path_factory)


@pytest.mark.slow
@pytest.mark.parametrize("name", PARSERS)
@SLOW
@given(data=st.data())
def test_any_content_gives_a_result_or_a_user_error_at_length(name: str, data: st.DataObject, tmp_path_factory):
    parse(name, data, tmp_path_factory)


def parse(name: str, data: st.DataObject, factory: pytest.TempPathFactory) -> None:
    folder = factory.getbasetemp() / f"fuzz {name}"
    folder.mkdir(exist_ok=True)
    strategy, feed = PARSERS[name]
    feed(folder, data.draw(strategy))


def test_the_sound_files_are_read(tmp_path: Path):
    for name, rows in RSNA.items():
        written(tmp_path, name, "\n".join(rows).encode())
    studies, problems = read_tables(tmp_path)
    assert not problems
    assert studies["1"].decisions("severe") == [("L4/L5", "spinal canal stenosis", 1)]
    assert len(studies["1"].marks) == 1
    assert read_notes(written(tmp_path, "notes.xlsx", zipped(sheet(*NOTES)))) == [("1", "a note")]
    own_findings(tmp_path, json.dumps(FINDINGS).encode())
    assert read_own_findings(tmp_path, ("L5", "L4/L5"))[0] == FINDINGS
    dataset = raw_dataset(tmp_path)
    drafts(tmp_path, json.dumps(DRAFTS).encode())
    assert DraftFolder.open(tmp_path / "drafts", dataset).origins == DRAFTS["cases"]
    completion(tmp_path, json.dumps(COMPLETION).encode())
    assert CompletionRecord.open(dataset).cases["a"]["source"] == "drawn by hand"
