"""What is written about the findings of predicted cases, and the finding maps on their way there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nnunet_textguided.csv_cells import write_table
from nnunet_textguided.errors import UserError
from nnunet_textguided.files import atomic_path, load_json, save_json_atomic
from nnunet_textguided.inference.case_findings import Finding, Structure
from nnunet_textguided.inference.model_grid import ModelGrid
from nnunet_textguided.safe_names import check_name

MAPS_FOLDER = ".finding_maps"
"""Inside the output folder; emptied case by case as findings are read."""


def maps_file(output: Path, case: str) -> Path:
    """Where the finding maps of a case wait for its segmentation."""
    return output / MAPS_FOLDER / f"{case}.npz"


def findings_file(output: Path, case: str) -> Path:
    """Where the findings of a case are written."""
    return output / f"{case}_findings.json"


def save_maps(path: Path, maps: np.ndarray, grid: ModelGrid) -> None:
    """Write finding maps with their grid, as a whole or not at all.

    Args:
        path: Of `maps_file`.
        maps: (F, D, H, W).
        grid: Of the same case.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, maps=maps.astype(np.float16), box=np.array(grid.box), transpose=np.array(grid.transpose))


def load_maps(path: Path) -> tuple[np.ndarray, ModelGrid]:
    """Read what `save_maps` wrote."""
    with np.load(path) as content:
        maps = content["maps"]
        box = tuple((int(start), int(stop)) for start, stop in content["box"])
        return maps, ModelGrid(maps.shape[1:], box, tuple(int(axis) for axis in content["transpose"]))


def write_case(
    output: Path, case: str, findings: Iterable[Finding], structures: Iterable[Structure], model: Mapping[str, Any]
) -> None:
    """Write `<case>_findings.json`.

    Args:
        output: The prediction folder.
        case: Case identifier.
        findings: All decisions.
        structures: All segmented structures.
        model: What made them.
    """
    content = {
        "case": case,
        "model": dict(model),
        "findings": [finding.as_dict() for finding in findings],
        "structures": [structure.__dict__ for structure in structures],
    }
    save_json_atomic(content, findings_file(output, case))


def load_case_findings(path: Path, whole: bool = False) -> dict[str, Any]:
    """Read `<case>_findings.json`.

    Args:
        path: The file.
        whole: Ask for every entry that `write_case` writes, not only for those that a report shows.

    Returns:
        Its content, in the form that `write_case` gives it.

    Raises:
        UserError: It has another form.
    """
    content = load_json(path)
    if not isinstance(content, dict) or not {"case", "findings", "structures"} <= set(content):
        raise UserError(f"{path} is not a findings file of this package. Remove it, then predict again.")
    check_name(content["case"], f"{path}, case")
    for key, form in _FORMS.items():
        entries, form = content[key], {**form, **(_REST[key] if whole else {})}
        if not isinstance(entries, list) or not all(has_form(entry, form) for entry in entries):
            raise UserError(f"{path}, {key}: an entry is not as this package writes it. Predict the case again.")
    if not _is_model(content.setdefault("model", {})):
        raise UserError(f"{path}, model: is not as this package writes it. Predict the case again.")
    return content


def write_tables(output: Path) -> None:
    """Gather the cases' files of a folder into findings.csv and structures.csv.

    Args:
        output: The prediction folder.
    """
    contents = [load_case_findings(path, whole=True) for path in sorted(output.glob("*_findings.json"))]
    findings = [{"case": c["case"], **_flat_finding(entry)} for c in contents for entry in c["findings"]]
    structures = [{"case": c["case"], **_flat_structure(entry)} for c in contents for entry in c["structures"]]
    for rows, columns, name in (
        (findings, _FINDING_COLUMNS, "findings.csv"),
        (structures, _STRUCTURE_COLUMNS, "structures.csv"),
    ):
        write_table(pd.DataFrame(rows, columns=["case", *columns]), output / name)


_AXES = ("x", "y", "z")
_FINDING_COLUMNS = (
    *("structure", "finding", "probability", "threshold", "present"),
    *(f"{axis}_mm" for axis in _AXES),
    *(f"{axis}_{end}_voxel" for end in ("min", "max") for axis in _AXES),
    *(f"{axis}_{end}_mm" for end in ("min", "max") for axis in _AXES),
    "volume_mm3",
)
_STRUCTURE_COLUMNS = (
    *("structure", "volume_mm3"),
    *(f"{axis}_mm" for axis in _AXES),
    *(f"{axis}_extent_mm" for axis in _AXES),
)


_NUMBER, _THREE = (int, float), ((int, float),) * 3
_FORMS: dict[str, dict[str, Any]] = {
    "findings": {
        **dict.fromkeys(("structure", "finding"), str),
        **dict.fromkeys(("probability", "threshold"), _NUMBER),
        **{"present": (bool, int), "centroid_mm": _THREE, "box_mm": (_THREE, _THREE)},
    },
    "structures": {"structure": str, "volume_mm3": _NUMBER, "extent_mm": _THREE},
}
"""What a report shows of an entry."""
_REST: dict[str, dict[str, Any]] = {
    "findings": {"box_voxels": (_THREE, _THREE), "volume_mm3": _NUMBER},
    "structures": {"centroid_mm": _THREE},
}
"""What tables hold besides."""
_LARGEST = 1e12


def has_form(entry: Any, form: Any) -> bool:
    """Tell whether a part of JSON has a form.

    Args:
        entry: The part.
        form: A type or types; a tuple of forms that are no plain types, one an element of a list; or key -> form.
    """
    if isinstance(form, Mapping):
        return isinstance(entry, dict) and all(key in entry and has_form(entry[key], form[key]) for key in form)
    if isinstance(form, tuple) and any(isinstance(part, tuple) for part in form):
        return isinstance(entry, list) and len(entry) == len(form) and all(map(has_form, entry, form))
    return isinstance(entry, form) and (isinstance(entry, str) or -_LARGEST <= entry <= _LARGEST)  # NaN is neither


def _is_model(entry: Any) -> bool:
    """What made the findings: keys and values, or an ensemble of such."""
    if not isinstance(entry, dict):
        return False
    parts = entry.get("ensemble", [])
    return isinstance(parts, list) and all(map(_is_model, parts))


def _flat_finding(entry: Mapping[str, Any]) -> dict[str, Any]:
    head = [entry[key] for key in ("structure", "finding", "probability", "threshold")]
    boxes = [value for key in ("box_voxels", "box_mm") for corner in entry[key] for value in corner]
    values = [*head, int(entry["present"]), *entry["centroid_mm"], *boxes, entry["volume_mm3"]]
    return dict(zip(_FINDING_COLUMNS, values, strict=True))


def _flat_structure(entry: Mapping[str, Any]) -> dict[str, Any]:
    values = [entry["structure"], entry["volume_mm3"], *entry["centroid_mm"], *entry["extent_mm"]]
    return dict(zip(_STRUCTURE_COLUMNS, values, strict=True))
