"""manifest.json: what a raw data set was made from and how, so that a run can be continued and checked."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from nnunet_textguided.errors import UserError
from nnunet_textguided.files import load_json, save_json_atomic
from nnunet_textguided.safe_names import check_name

MANIFEST_FILE = "manifest.json"
ACCEPTED = "accepted"
"""Entry of a case's record whose label map was replaced by a mask of the user's own: it is not written again."""
_FORMAT = 1
_SECONDS_BETWEEN_SAVES = 2.0
_SHARE_OF_TIME = 0.05  # spent on saving at most: the manifest of thousands of cases takes a while to write


@dataclass
class Manifest:
    """The state of one conversion.

    Attributes:
        converter: Name of the converter.
        options: Everything that changes what is written; JSON-ready.
        source: Folder the data came from.
        complete: Whether every case of the source was converted without a problem.
        cases: Case to its record: patient, sources with sha256, geometry, codes or series chosen, notes on decisions,
            findings, files written.
        problems: Case (or file) to what is wrong with it.
        skipped: Patient or file to why there is no case of it, by the user's own choice of options.
        splits: Where the splits come from.
    """

    converter: str
    options: dict[str, Any]
    source: str
    complete: bool = False
    cases: dict[str, dict[str, Any]] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    splits: str = ""
    _last_save: float = field(default=0.0, repr=False)
    _save_seconds: float = field(default=0.0, repr=False)

    @classmethod
    def load(cls, folder: Path) -> Manifest | None:
        """Read the manifest of a raw data set, None where there is none.

        Args:
            folder: nnUNet_raw/DatasetXXX_Name.

        Raises:
            UserError: The file is not a manifest of this format.
        """
        path = folder / MANIFEST_FILE
        if not path.is_file():
            return None
        content = load_json(path)
        if not isinstance(content, dict) or content.pop("format", None) != _FORMAT:
            raise UserError(f"{path} is not a conversion manifest of format {_FORMAT}. Remove {folder} to start anew.")
        try:
            manifest = cls(**content)
        except TypeError as error:
            raise UserError(f"{path} is not a conversion manifest: {error}. Remove {folder} to start anew.") from error
        _check(manifest, path)
        return manifest

    def save(self, folder: Path) -> None:
        """Write the manifest, cases in order.

        Args:
            folder: nnUNet_raw/DatasetXXX_Name.
        """
        begin = time.monotonic()
        self.cases = dict(sorted(self.cases.items()))
        content = {entry.name: getattr(self, entry.name) for entry in fields(self) if not entry.name.startswith("_")}
        save_json_atomic({"format": _FORMAT, **content}, folder / MANIFEST_FILE)
        self._last_save = time.monotonic()
        self._save_seconds = self._last_save - begin

    def save_now_and_then(self, folder: Path) -> None:
        """Write the manifest unless it was written moments ago, so that a killed run loses next to nothing.

        Args:
            folder: nnUNet_raw/DatasetXXX_Name.
        """
        pause = max(_SECONDS_BETWEEN_SAVES, self._save_seconds / _SHARE_OF_TIME)
        if time.monotonic() - self._last_save > pause:
            self.save(folder)


def _check(manifest: Manifest, path: Path) -> None:
    """Refuse entries of another form, and case names that lead to files outside the data set."""
    kinds = {"options": dict, "cases": dict, "problems": dict, "skipped": dict}
    wrong = [name for name, kind in kinds.items() if not isinstance(getattr(manifest, name), kind)]
    if wrong:
        raise UserError(f"{path} is not a conversion manifest: {', '.join(wrong)} cannot be so.")
    for case, record in manifest.cases.items():
        check_name(case, f"{path}, cases")
        if not isinstance(record, dict) or not isinstance(record.get("files", {}), dict) or not _are_lines(record):
            raise UserError(f"{path} is not a conversion manifest: the record of {case} cannot be so.")


def _are_lines(record: dict[str, Any]) -> bool:
    findings = record.get("findings", [])
    return isinstance(findings, list) and all(isinstance(line, str) for line in findings)


def hash_of_files(hashes: Mapping[str, str]) -> str:
    """Return one SHA-256 for many files: of their names and hashes, in order of the names.

    Args:
        hashes: Name -> hexadecimal SHA-256.
    """
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(hashes.items()))
    return hashlib.sha256(lines.encode()).hexdigest()
