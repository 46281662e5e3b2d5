"""The annotation files of the Tianchi spinal disease set (data set 79463): 11 points a study on one sagittal T2 slice.

Codes (read in two independent public descriptions of the contest): a disc is v1 normal, v2 bulge, v3 protrusion, v4
extrusion, v5 Schmorl node; a vertebra is v1 normal, v2 degenerated. One disc may hold several, separated by commas.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunet_textguided.dataset_conversion.base.problems import CaseError
from nnunet_textguided.errors import UserError
from nnunet_textguided.files import load_json

VERSION = "v0.1"
DISC_FINDINGS = {"v2": "disc bulge", "v3": "disc protrusion", "v4": "disc extrusion", "v5": "Schmorl node"}
VERTEBRA_FINDINGS = {"v2": "vertebral degeneration"}
NORMAL = "v1"
DISCS = {
    "T12-L1": "T12/L1",
    "L1-L2": "L1/L2",
    "L2-L3": "L2/L3",
    "L3-L4": "L3/L4",
    "L4-L5": "L4/L5",
    "L5-S1": "L5/S",
}
"""Their name -> ours."""
VERTEBRAE = {name: name for name in ("L1", "L2", "L3", "L4", "L5")}

FINDINGS: dict[str, dict[str, Any]] = {
    "disc bulge": {"term": "bulging of the intervertebral disc", "applies_to": list(DISCS.values())},
    "disc protrusion": {"term": "protrusion of the intervertebral disc", "applies_to": list(DISCS.values())},
    "disc extrusion": {"term": "extrusion of the intervertebral disc", "applies_to": list(DISCS.values())},
    "Schmorl node": {
        "term": "Schmorl node, herniation of the disc into the vertebral body",
        "applies_to": list(DISCS.values()),
    },
    "vertebral degeneration": {
        "term": "degeneration of the vertebral body and its endplates",
        "applies_to": list(VERTEBRAE.values()),
    },
}
"""The entry `findings` of dataset.json."""


@dataclass(frozen=True)
class AnnotatedPoint:
    """One structure that the reader pointed at.

    Attributes:
        identification: Level as the file calls it.
        codes: Its codes; empty where the reader gave none.
        x: Column of the slice, pixels from the left.
        y: Row, pixels from the top.
    """

    identification: str
    codes: tuple[str, ...]
    x: float
    y: float

    @property
    def structure(self) -> str | None:
        """Our name of the level, None for one that the set does not normally hold."""
        return (DISCS | VERTEBRAE).get(self.identification)

    def decisions(self) -> list[tuple[str, int]]:
        """Return finding and presence; nothing where the reader gave no code."""
        findings = DISC_FINDINGS if "-" in self.identification else VERTEBRA_FINDINGS
        return [(finding, int(code in self.codes)) for code, finding in findings.items()] if self.codes else []


@dataclass(frozen=True)
class AnnotatedStudy:
    """What the reader said of one study.

    Attributes:
        study: StudyInstanceUID.
        series: SeriesInstanceUID of the annotated series.
        instance: SOPInstanceUID of the annotated slice; the `zIndex` of the files is not reliable.
        points: In the order of the file.
        notes: What was odd, one sentence each.
    """

    study: str
    series: str
    instance: str
    points: tuple[AnnotatedPoint, ...]
    notes: tuple[str, ...]


def read_annotations(paths: Sequence[Path]) -> tuple[dict[str, AnnotatedStudy], dict[str, str]]:
    """Read annotation files.

    Args:
        paths: JSON files.

    Returns:
        StudyInstanceUID -> annotation, and study or file -> what is wrong with it.

    Raises:
        UserError: A file is not JSON, or no list of studies.
    """
    studies: dict[str, AnnotatedStudy] = {}
    problems: dict[str, str] = {}
    for path in paths:
        content = load_json(path)
        if not isinstance(content, list) or not all(
            isinstance(entry, dict) and "studyUid" in entry for entry in content
        ):
            raise UserError(f"{path}: expected a list of studies, each with studyUid, version and data.")
        for entry in content:
            study = str(entry["studyUid"])
            try:
                if study in studies:
                    raise CaseError("is annotated twice; the first one counts")
                studies[study] = _read_study(entry)
            except CaseError as problem:
                problems[f"{path.name} {study}"] = f"{path.name}: study {study} {problem}"
    return studies, problems


def _read_study(entry: Mapping[str, Any]) -> AnnotatedStudy:
    if entry.get("version") != VERSION:
        raise CaseError(f"has version {entry.get('version')!r}, expected {VERSION!r}")
    try:
        (data,) = entry["data"]
        (annotation,) = data["annotation"]
        marks = annotation["data"]["point"]
        points, notes = [], []
        for mark in marks:
            point, odd = _read_point(mark)
            points.append(point)
            notes += odd
        return AnnotatedStudy(
            str(entry["studyUid"]), str(data["seriesUid"]), str(data["instanceUid"]), tuple(points), tuple(notes)
        )
    except CaseError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise CaseError(f"is not written as the release is ({type(error).__name__}: {error})") from error


def _read_point(mark: Mapping[str, Any]) -> tuple[AnnotatedPoint, list[str]]:
    """Read a point. Some carry both keys, disc and vertebra: the level's name says which one is meant."""
    tag = mark["tag"]
    level = str(tag["identification"]).strip()
    text = tag.get("disc" if "-" in level else "vertebra") or ""
    codes = tuple(code.strip() for code in str(text).split(",") if code.strip())
    known = {NORMAL, *(DISC_FINDINGS if "-" in level else VERTEBRA_FINDINGS)}
    unknown = [code for code in codes if code not in known]
    if unknown:
        raise CaseError(f"has the unknown code {', '.join(unknown)} at {level}; known are {', '.join(sorted(known))}")
    x, y = (float(value) for value in mark["coord"])
    if not (math.isfinite(x) and math.isfinite(y)):
        raise CaseError(f"has the place {x}, {y} at {level}; expected pixels")
    return AnnotatedPoint(level, codes, x, y), list(_oddities(level, codes))


def _oddities(level: str, codes: Sequence[str]) -> Iterator[str]:
    if not codes:
        yield f"{level} has no code: not assessed"
    if level not in DISCS and level not in VERTEBRAE:
        yield f"{level} is not one of the 11 levels of this set, perhaps a slip: left out"
    if NORMAL in codes and len(codes) > 1:
        yield f"{level} is normal and {', '.join(code for code in codes if code != NORMAL)}: the latter counts"
