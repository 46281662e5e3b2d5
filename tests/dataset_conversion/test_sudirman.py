from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd
import pytest
from dicom_files import write_series
from small_volumes import codes_in
from study_trees import pixels, write_sudirman

from nnunet_textguided.cli.main import main
from nnunet_textguided.dataset_conversion.sudirman import convert_sudirman, read_notes
from nnunet_textguided.errors import UserError

NOTES = "Patient ID,Clinician's Notes\n1,Disc bulge at L4-5 // no stenosis\n2,\n7,Normal study\n"


def test_studies_become_cases_without_labels(tmp_path: Path, nnunet_raw: Path):
    folder, manifest = convert_sudirman(write_sudirman(tmp_path / "source", 2), 507)
    assert list(manifest.cases) == ["sudirman_0001", "sudirman_0002"]
    assert manifest.cases["sudirman_0001"]["series"] == {"T2": "5.1.2", "T1": "5.1.1"}
    assert codes_in(folder / "labelsTr" / "sudirman_0001.nii.gz") == {20}
    assert not (folder / "findings.csv").exists()


def test_two_studies_of_a_patient_stay_on_one_side_of_a_split(tmp_path: Path, nnunet_raw: Path):
    source = write_sudirman(tmp_path / "source", 3)
    for number, name in ((1, "T1_SAG"), (2, "T2_SAG")):
        folder = source / "01_MRI_Data" / "0002" / "SECOND" / name
        write_series(folder, pixels(90 + number), study="6.2", series=f"6.2.{number}", description=name)
    _, manifest = convert_sudirman(source, 507)
    assert [case for case in manifest.cases if "0002" in case] == ["sudirman_0002_1", "sudirman_0002_2"]
    assert {manifest.cases[case]["patient"] for case in ("sudirman_0002_1", "sudirman_0002_2")} == {"0002"}
    assert manifest.splits == "3 by patient"


@pytest.mark.parametrize("ending", [".csv", ".xlsx"])
def test_notes_become_reports_for_pretraining(tmp_path: Path, nnunet_raw: Path, ending: str):
    source = write_sudirman(tmp_path / "source", 2)
    notes = tmp_path / f"notes{ending}"
    if ending == ".csv":
        notes.write_text(NOTES)
    else:
        rows = {
            "Patient ID": [1, 2, 7],
            "Clinician's Notes": ["Disc bulge at L4-5 // no stenosis", None, "Normal study"],
        }
        pd.DataFrame(rows).to_excel(notes, index=False)
    assert main(["convert", "sudirman", str(source), "-d", "507", "--notes", str(notes), "--processes", "1"]) == 0
    with (nnunet_raw / "Dataset507_Sudirman" / "reports.csv").open(newline="") as stream:
        rows = list(csv.reader(stream))
    assert rows == [["patient", "report"], ["1", "Disc bulge at L4-5 // no stenosis"], ["7", "Normal study"]]


def test_the_real_notes_are_read_whole(real_data: Path):
    notes = read_notes(real_data / "lumbar_reports" / "radiologist_notes.csv")
    assert len(notes) == 396
    assert len({patient for patient, _ in notes}) == 396


def test_notes_without_their_columns_are_an_error(tmp_path: Path):
    (tmp_path / "notes.csv").write_text("id,text\n1,a\n")
    with pytest.raises(UserError, match="missing are patient_id, clinician_s_notes"):
        read_notes(tmp_path / "notes.csv")


def test_a_path_without_a_patients_number_is_named(tmp_path: Path, nnunet_raw: Path):
    source = write_sudirman(tmp_path / "source", 1)
    (source / "01_MRI_Data" / "0001").rename(source / "01_MRI_Data" / "someone")
    with pytest.raises(UserError, match="expected one patient's number in its path"):
        convert_sudirman(source, 507)
