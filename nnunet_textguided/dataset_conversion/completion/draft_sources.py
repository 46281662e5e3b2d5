"""Where drafts come from: a trained model, or masks that another tool made."""

from __future__ import annotations

import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nnunet_textguided.dataset_conversion.base.geometry import write_volume
from nnunet_textguided.dataset_conversion.base.problems import CaseError
from nnunet_textguided.dataset_conversion.completion.grid import read_on_grid
from nnunet_textguided.dataset_conversion.completion.mask_files import choose_mask, find_masks
from nnunet_textguided.dataset_conversion.completion.raw_dataset import RawDataset
from nnunet_textguided.errors import UserError
from nnunet_textguided.files import file_sha256
from nnunet_textguided.inference.input_cases import source_orientation
from nnunet_textguided.inference.model_folder import Fold, check_model_folder
from nnunet_textguided.inference.predict import predict_folder
from nnunet_textguided.inference.predict_settings import PredictSettings


class DraftSource(ABC):
    """Makes drafts of a data set's cases."""

    def covers(self, case: str) -> bool:
        """Tell whether there is anything to make a draft of a case from.

        Args:
            case: Case identifier.
        """
        return True

    @abstractmethod
    def origin(self, case: str) -> dict[str, Any]:
        """Return what a case's draft is made from, JSON-ready; equal origins make equal drafts.

        Args:
            case: Case identifier.

        Raises:
            CaseError: No draft can be made of this case.
        """

    @abstractmethod
    def write(self, cases: Sequence[str], folder: Path) -> dict[str, str]:
        """Write a full mask of every case on its image's grid, as <case><ending>; one that lies there may be kept.

        Args:
            cases: Case identifiers.
            folder: Made if missing.

        Returns:
            Case -> why there is none.
        """


class ModelSource(DraftSource):
    """A trained model.

    Args:
        dataset: Whose cases are drafted.
        model_folder: TRAINER__PLANS__CONFIGURATION.
        folds: Folds to average, None for all there are.
        checkpoint: File name of the checkpoints.
        settings: Of the prediction.

    Raises:
        UserError: The model is not usable, or predicts other structures or takes other channels than the data set's.
    """

    def __init__(
        self,
        dataset: RawDataset,
        model_folder: str | Path,
        folds: Sequence[Fold] | None = None,
        checkpoint: str = "checkpoint_final.pth",
        settings: PredictSettings | None = None,
    ) -> None:
        self.dataset = dataset
        self.model = check_model_folder(model_folder, folds, checkpoint)
        self.settings = settings or PredictSettings()
        _check_labels(dataset, self.model.dataset_json["labels"], self.model.path)
        if self.model.num_channels != len(dataset.channels):
            raise UserError(
                f"The model in {self.model.path} takes {self.model.num_channels} channel(s), {dataset.folder.name} has "
                f"{len(dataset.channels)}: {', '.join(dataset.channels)}. Use a model trained on such images."
            )
        weights = [self.model.path / f"fold_{fold}" / checkpoint for fold in self.model.folds]
        self.checkpoints = {path.relative_to(self.model.path).as_posix(): file_sha256(path) for path in weights}

    def origin(self, case: str) -> dict[str, Any]:
        """Return the hashes of the weights and of the images; every image's header is looked at."""
        images = self.dataset.images[case]
        try:
            source_orientation(case, images)
            hashes = {path.name: file_sha256(path) for path in images}
        except UserError as problem:
            raise CaseError(str(problem)) from problem
        return {"kind": "model", "checkpoints": self.checkpoints, "images": hashes}

    def write(self, cases: Sequence[str], folder: Path) -> dict[str, str]:
        """Predict the cases; one call, so that nnU-Net's processes work side by side."""
        links = folder / ".images"  # predict_folder takes whole folders
        shutil.rmtree(links, ignore_errors=True)
        links.mkdir(parents=True)
        try:
            for path in (path for case in cases for path in self.dataset.images[case]):
                _link(path, links / path.name)
            model = self.model
            settings = replace(self.settings, continue_prediction=True)
            predict_folder(model.path, links, folder, model.folds, model.checkpoint, settings)
        finally:
            shutil.rmtree(links, ignore_errors=True)
        return {}


class MaskSource(DraftSource):
    """Masks of another tool, with the codes of the data set already.

    Args:
        dataset: Whose cases are drafted.
        folder: <case>.nii.gz (or .nii, .nrrd, .mha), in any orientation of the image's grid.

    Raises:
        UserError: The folder is missing.
    """

    def __init__(self, dataset: RawDataset, folder: str | Path) -> None:
        self.dataset = dataset
        self.folder = Path(folder).absolute()
        if not self.folder.is_dir():
            raise UserError(f"Expected a folder of masks at {self.folder}, found none.")
        self.files = find_masks(self.folder, dataset.ending)

    def covers(self, case: str) -> bool:
        """Tell whether the folder has a mask of a case."""
        return case in self.files

    def origin(self, case: str) -> dict[str, Any]:
        """Return the hash of the mask."""
        path = self._path(case)
        try:
            return {"kind": "imported", "mask": path.name, "sha256": file_sha256(path)}
        except UserError as problem:
            raise CaseError(str(problem)) from problem

    def write(self, cases: Sequence[str], folder: Path) -> dict[str, str]:
        """Turn the masks onto their images' grids."""
        problems = {}
        for case in cases:
            path, target = self._path(case), folder / f"{case}{self.dataset.ending}"
            try:
                mask = read_on_grid(path, self.dataset.read_image(case), self.dataset.images[case][0])
                self.dataset.check_codes(mask, path)
                write_volume(self.dataset.storable(mask), target)
            except CaseError as problem:
                problems[case] = f"{case}: {problem}"
        return problems

    def _path(self, case: str) -> Path:
        if case not in self.files:
            raise CaseError(f"{self.folder} has no mask of it: expected {case}{self.dataset.ending}")
        return choose_mask(self.files[case], self.folder)


def _check_labels(dataset: RawDataset, labels: Mapping[str, Any], model: Path) -> None:
    """Refuse a model whose codes mean something else; an ignore label is nothing that a model predicts."""
    theirs = {name: code for name, code in labels.items() if name != "ignore"}
    ours = {name: code for name, code in dataset.labels.items() if name != "ignore"}
    if theirs != ours:
        raise UserError(
            f"The model in {model} and {dataset.folder.name} do not have the same labels. The model: "
            f"{_listed(theirs)}. The data set: {_listed(ours)}. Use a model trained on these labels, or predict, turn "
            "its codes into the data set's (`nnunet_textguided relabel`) and give the masks with --masks."
        )


def _listed(labels: Mapping[str, Any]) -> str:
    return ", ".join(f"{code} {name}" for name, code in labels.items())


def _link(path: Path, link: Path) -> None:
    try:
        os.symlink(path.resolve(), link)
    except OSError:  # not every file system and account may
        shutil.copyfile(path, link)
