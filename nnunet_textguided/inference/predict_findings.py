"""Findings of a predicted folder: maps are kept while the network runs, read when the segmentations are written."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import SimpleITK as sitk

from nnunet_textguided.errors import UserError
from nnunet_textguided.findings.vocabulary import FindingVocabulary
from nnunet_textguided.inference.case_findings import FindingReader, measure_structures
from nnunet_textguided.inference.finding_files import (
    findings_file,
    load_maps,
    maps_file,
    save_maps,
    write_case,
    write_tables,
)
from nnunet_textguided.inference.model_folder import PLANS_BLOCK, ModelFolder
from nnunet_textguided.inference.model_grid import ModelGrid

if TYPE_CHECKING:
    import torch
    from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager

logger = logging.getLogger(__name__)


def finding_reader(
    plans: Mapping[str, Any],
    dataset_json: Mapping[str, Any],
    configuration: ConfigurationManager,
    orientation: str | None,
) -> FindingReader:
    """Make what reads findings for a model.

    Args:
        plans: Content of its plans.json.
        dataset_json: Content of its dataset.json.
        configuration: What it was trained in.
        orientation: Code images are turned to, None if they are read as they are.
    """
    block = plans[PLANS_BLOCK]
    vocabulary = FindingVocabulary.from_block(block["findings"], block["names"])
    return FindingReader(
        vocabulary,
        tuple(int(dataset_json["labels"][name]) for name in vocabulary.structures),
        tuple(float(mm) for mm in configuration.spacing),
        orientation,
        block.get("operating_points", {}),
    )


class FindingOutput:
    """The findings of one output folder.

    Args:
        plans: Content of the model's plans.json.
        dataset_json: Content of its dataset.json.
        configuration: What the model was trained in.
        output: The prediction folder.
        model: What the files say made them.
        orientation: Code the model's images are turned to, None if they are read as they are.
    """

    def __init__(
        self,
        plans: Mapping[str, Any],
        dataset_json: Mapping[str, Any],
        configuration: ConfigurationManager,
        output: Path,
        model: Mapping[str, Any],
        orientation: str | None,
    ) -> None:
        self.reader = finding_reader(plans, dataset_json, configuration, orientation)
        self.codes = dict(zip(self.reader.vocabulary.structures, self.reader.codes, strict=True))
        self.transpose = tuple(plans["transpose_forward"])
        self.ending = dataset_json["file_ending"]
        self.output = output
        self.model = dict(model)

    @classmethod
    def of_model(
        cls, model: ModelFolder, configuration: ConfigurationManager, output: Path, orientation: str | None
    ) -> FindingOutput:
        """Set up from a checked model folder."""
        about = {"folder": model.path.name, "folds": list(model.folds), "checkpoint": model.checkpoint}
        return cls(model.plans, model.dataset_json, configuration, output, about, orientation)

    def is_done(self, case: str) -> bool:
        """Whether the findings of a case are written."""
        return findings_file(self.output, case).is_file()

    def keep(self, entry: Mapping[str, Any], maps: torch.Tensor) -> None:
        """Store the maps of a case until its segmentation is written.

        Args:
            entry: nnU-Net's, with `ofile` and `data_properties`.
            maps: (F, D, H, W) finding logits.
        """
        case = Path(entry["ofile"]).name
        grid = ModelGrid.of_case(maps.shape[1:], entry["data_properties"], self.transpose)
        findings_file(self.output, case).unlink(missing_ok=True)  # of an earlier run, to be replaced
        save_maps(maps_file(self.output, case), maps.cpu().numpy(), grid)

    def finish(self, cases: Sequence[str]) -> None:
        """Read the findings of cases off their maps and segmentations, then write the folder's tables.

        Args:
            cases: Those whose maps were kept.

        Raises:
            UserError: A segmentation was not written.
        """
        for case in cases:
            segmentation = self.output / f"{case}{self.ending}"
            if not segmentation.is_file():
                raise UserError(f"{segmentation} was not written, so its findings cannot be read. Predict it again.")
            path = maps_file(self.output, case)
            maps, grid = load_maps(path)
            labels = sitk.ReadImage(str(segmentation))
            findings = self.reader.read(maps, labels, grid)
            write_case(self.output, case, findings, measure_structures(labels, self.codes), self.model)
            path.unlink()
            logger.info("%s: %d findings present", case, sum(finding.present for finding in findings))
        folder = maps_file(self.output, "any").parent
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
        write_tables(self.output)
