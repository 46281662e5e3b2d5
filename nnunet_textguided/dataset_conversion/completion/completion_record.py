"""completion.json: which label maps are accepted masks; the manifest is told, so that a conversion keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nnunet_textguided.dataset_conversion.base.manifest import ACCEPTED, Manifest
from nnunet_textguided.dataset_conversion.completion.raw_dataset import RawDataset
from nnunet_textguided.errors import UserError
from nnunet_textguided.files import load_json, save_json_atomic

COMPLETION_FILE = "completion.json"
_FORMAT = 1


@dataclass
class CompletionRecord:
    """What was accepted into a data set.

    Attributes:
        dataset: The data set.
        cases: Case -> source (`model draft`, `imported draft` or `drawn by hand`), voxels corrected in the draft,
            voxels changed that were annotated before, name of the mask, SHA-256 of the label map, and what the draft
            was made from.
        manifest: Of the conversion, where a converter of ours made the data set.
    """

    dataset: RawDataset
    cases: dict[str, dict[str, Any]]
    manifest: Manifest | None

    @classmethod
    def open(cls, dataset: RawDataset) -> CompletionRecord:
        """Read the record of a data set; an empty one where nothing was accepted yet.

        Args:
            dataset: The data set.

        Raises:
            UserError: completion.json or manifest.json is of another format.
        """
        path = dataset.folder / COMPLETION_FILE
        cases: dict[str, dict[str, Any]] | None = {}
        if path.is_file():
            content = load_json(path)
            cases = content.get("cases") if isinstance(content, dict) and content.get("format") == _FORMAT else None
        if not isinstance(cases, dict):
            raise UserError(f"{path} is not a record of format {_FORMAT}. Move it away to start a new one.")
        return cls(dataset, cases, Manifest.load(dataset.folder))

    def add(self, case: str, entry: dict[str, Any]) -> None:
        """Record an accepted mask that has been written.

        The manifest knows a file by its size; with the new one, `convert` finds the case done and leaves it alone.

        Args:
            case: Case identifier.
            entry: What to say about it.
        """
        self.cases[case] = entry
        if self.manifest is not None and case in self.manifest.cases:
            label = self.dataset.label_path(case)
            known = self.manifest.cases[case]
            files = known.setdefault("files", {})
            files[label.relative_to(self.dataset.folder).as_posix()] = label.stat().st_size
            known[ACCEPTED] = {key: entry[key] for key in ("source", "sha256")}

    def save(self) -> None:
        """Write completion.json, and the manifest where there is one.

        Raises:
            UserError: The data set's folder cannot be written to.
        """
        if not self.cases:
            return
        content = {"format": _FORMAT, "cases": dict(sorted(self.cases.items()))}
        save_json_atomic(content, self.dataset.folder / COMPLETION_FILE)
        if self.manifest is not None:
            self.manifest.save(self.dataset.folder)
