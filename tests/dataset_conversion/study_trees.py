"""Small trees in the shape of the public DICOM releases."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
from dicom_files import write_series

SLICES, ROWS, COLUMNS = 5, 24, 20
LEVELS = ("T12-L1", "L1", "L1-L2", "L2", "L2-L3", "L3", "L3-L4", "L4", "L4-L5", "L5", "L5-S1")


def pixels(seed: int, slices: int = SLICES) -> np.ndarray:
    """Noise (slices, rows, columns)."""
    return np.random.default_rng(seed).integers(0, 900, (slices, ROWS, COLUMNS)).astype(np.uint16)


def write_tianchi_study(folder: Path, uid: str, seed: int = 0, slices: int = SLICES) -> dict:
    """Write scout, sagittal T1 and T2, fat-suppressed T2 and axial T2 into one flat folder; return its annotation."""
    kinds = (
        ("localizer", "coronal", 1),
        ("t1_tse_sag", "sagittal", slices),
        ("t2_tse_sag", "sagittal", slices),
        ("t2_tse_sag_fs", "sagittal", slices),
        ("t2_tse_tra", "axial", slices),
    )
    for number, (description, plane, count) in enumerate(kinds, start=1):
        write_series(
            folder,
            pixels(seed + number, count),
            plane=plane,
            first_number=100 * number,
            study=uid,
            series=f"{uid}.{number}",
            description=description,
            origin=(8.0, -20.0, 30.0),
        )
    points = [
        {
            "tag": {"identification": level, "disc" if "-" in level else "vertebra": "v2" if at % 3 else "v1"},
            "coord": [5 + at % 2, 1 + 2 * at],
            "zIndex": 0,
        }
        for at, level in enumerate(LEVELS)
    ]
    annotation = [{"annotator": 54, "data": {"point": points}}]
    middle = 300 + slices // 2
    data = [{"seriesUid": f"{uid}.3", "instanceUid": f"{uid}.3.{middle}", "annotation": annotation}]
    return {"studyUid": uid, "version": "v0.1", "data": data}


def write_tianchi(source: Path, studies: int, slices: int = SLICES) -> Path:
    """Write a release of a number of studies."""
    annotations = [
        write_tianchi_study(source / "lumbar_train150" / f"study{number}", f"1.2.{number}", number, slices)
        for number in range(1, studies + 1)
    ]
    (source / "lumbar_train150_annotation.json").write_text(json.dumps(annotations))
    return source


def write_rsna(source: Path, studies: int, slices: int = SLICES) -> Path:
    """Write a release: T1, T2 and axial series a study, severities, marks on T2."""
    series, labels, marks = [], [], []
    for study in range(1, studies + 1):
        for kind, (description, plane) in enumerate(
            (("Sagittal T1", "sagittal"), ("Sagittal T2/STIR", "sagittal"), ("Axial T2", "axial")), start=1
        ):
            identifier = str(study * 10 + kind)
            series.append((study, identifier, description))
            write_series(
                source / "train_images" / str(study) / identifier,
                pixels(study * 10 + kind, slices),
                plane=plane,
                study=str(study),
                series=f"{study}.{identifier}",
                description="",
                origin=(8.0, -20.0, 30.0),
                SOPClassUID=None,
                Modality=None,
            )
        labels.append((study, "Severe" if study % 2 else "Normal/Mild", ""))
        marks.append((study, study * 10 + 2, 2, "Spinal Canal Stenosis", "L4/L5", 4.0, 6.0))
    _table(source / "train_series_descriptions.csv", ("study_id", "series_id", "series_description"), series)
    _table(
        source / "train.csv", ("study_id", "spinal_canal_stenosis_l4_l5", "left_subarticular_stenosis_l4_l5"), labels
    )
    header = ("study_id", "series_id", "instance_number", "condition", "level", "x", "y")
    _table(source / "train_label_coordinates.csv", header, marks)
    return source


def write_sudirman(source: Path, patients: int, slices: int = SLICES) -> Path:
    """Write a release: a folder a series, by patient and study."""
    for patient in range(1, patients + 1):
        study = source / "01_MRI_Data" / f"{patient:04d}" / "L-SPINE_LSS_20160309"
        for number, (name, plane) in enumerate(
            (("T1_TSE_SAG_0003", "sagittal"), ("T2_TSE_SAG_0002", "sagittal"), ("T2_TSE_TRA_0005", "axial")), start=1
        ):
            uid = f"5.{patient}"
            write_series(
                study / name,
                pixels(patient * 10 + number, slices),
                plane=plane,
                study=uid,
                series=f"{uid}.{number}",
                description=name.lower(),
            )
    return source


def _table(path: Path, header: tuple[str, ...], rows: list[tuple]) -> None:
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(header)
        writer.writerows(rows)
