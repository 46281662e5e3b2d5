"""The folder people work in: a draft a case, untouched copies, and drafts.json, which says where they come from."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nnunet_textguided.dataset_conversion.base.problems import CaseError
from nnunet_textguided.dataset_conversion.completion.mask_files import choose_mask, find_masks, is_untouched
from nnunet_textguided.dataset_conversion.completion.raw_dataset import RawDataset
from nnunet_textguided.errors import UserError
from nnunet_textguided.files import atomic_path, load_json, save_json_atomic
from nnunet_textguided.inference.predict import writable_folder

STATE_FILE = "drafts.json"
UNTOUCHED = "untouched"
_FORMAT = 1


@dataclass
class DraftFolder:
    """Drafts of one data set.

    Attributes:
        path: The folder.
        dataset: The data set they belong to.
        origins: Case -> what its draft was made from; as in drafts.json.
    """

    path: Path
    dataset: RawDataset
    origins: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path, dataset: RawDataset, make: bool = False) -> DraftFolder:
        """Open a folder of drafts.

        Args:
            path: The folder.
            dataset: Whose cases they are.
            make: Make it if missing.

        Raises:
            UserError: It is part of the data set, holds another one's drafts, is missing, or cannot be written to.
        """
        path = Path(path).absolute()
        if path.resolve().is_relative_to(dataset.folder.resolve()):
            raise UserError(f"{path} lies within the data set, where nnU-Net would take drafts for its own files.")
        if not make and not path.is_dir():
            raise UserError(f"Expected a folder of drafts at {path}, found none. `complete draft` writes one.")
        writable_folder(path)
        state = path / STATE_FILE
        if not state.is_file():
            return cls(path, dataset)
        content = load_json(state)
        known = isinstance(content, dict) and content.get("format") == _FORMAT
        cases = content.get("cases") if known else None
        if not isinstance(cases, dict) or not all(isinstance(c, dict) and "kind" in c for c in cases.values()):
            raise UserError(f"{state} is not a list of drafts of format {_FORMAT}. Use another folder.")
        if content.get("dataset") != dataset.folder.name:
            raise UserError(f"{path} holds drafts of {content.get('dataset')}, not of {dataset.folder.name}.")
        return cls(path, dataset, cases)

    def save(self) -> None:
        """Write drafts.json."""
        content = {"format": _FORMAT, "dataset": self.dataset.folder.name, "cases": dict(sorted(self.origins.items()))}
        save_json_atomic(content, self.path / STATE_FILE)

    def untouched(self, case: str) -> Path:
        """Return where the copy of a draft is that nobody corrects.

        Args:
            case: Case identifier.
        """
        return self.path / UNTOUCHED / f"{case}{self.dataset.ending}"

    def masks(self) -> tuple[dict[str, Path], dict[str, str]]:
        """Find the masks to look at.

        Returns:
            Case -> its mask, and file or case -> what is wrong with it.
        """
        chosen, problems = {}, {}
        for case, files in find_masks(self.path, self.dataset.ending).items():
            try:
                if case not in self.dataset.images:
                    raise CaseError(f"{files[0]}: {self.dataset.folder.name} has no case {case!r}; rename the file")
                chosen[case] = choose_mask(files, self.path, self.untouched(case))
            except CaseError as problem:
                problems[case] = f"{case}: {problem}"
        return chosen, problems

    def keeps(self, case: str, files: list[Path], origin: dict[str, Any]) -> bool:
        """Tell whether what lies there for a case stays: a draft from the very same, or anybody's own work.

        Args:
            case: Case identifier.
            files: Its masks in the folder.
            origin: What a new draft would be made from.
        """
        if self.origins.get(case) == origin:
            return bool(files)
        return any(not is_untouched(path, self.untouched(case)) for path in files)

    def forget(self, case: str) -> None:
        """Remove a draft that nobody corrected.

        Args:
            case: Case identifier.
        """
        for path in (self.untouched(case), self.path / f"{case}{self.dataset.ending}"):
            path.unlink(missing_ok=True)
        self.origins.pop(case, None)

    def put(self, case: str) -> None:
        """Lay out an untouched draft for correction.

        Args:
            case: Case identifier.
        """
        with atomic_path(self.path / f"{case}{self.dataset.ending}") as temporary:
            shutil.copyfile(self.untouched(case), temporary)
