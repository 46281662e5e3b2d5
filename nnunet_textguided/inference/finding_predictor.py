"""nnU-Net's predictor for networks that also score findings: one pass gives both."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from batchgenerators.utilities.file_and_folder_operations import save_json
from nnunetv2.inference.export_prediction import (
    convert_predicted_logits_to_segmentation_with_correct_shape,
    export_prediction_from_logits,
)
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from torch import nn
from torch._dynamo import OptimizedModule

Keep = Callable[[dict[str, Any], torch.Tensor], None]


class SegmentationWithFindings(nn.Module):
    """Stacks the finding maps behind the segmentation's channels, so that nnU-Net's tiles carry both.

    Args:
        network: Has `forward_with_findings` and `num_findings`.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network: Any = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Score an image (B, C, ...): (B, classes + findings, ...)."""
        segmentation, findings = self.network.forward_with_findings(x)
        return torch.cat([segmentation, findings.to(segmentation.dtype)], dim=1)

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Fill the network; nnU-Net calls this for every fold."""
        return self.network.load_state_dict(*args, **kwargs)


class FindingPredictor(nnUNetPredictor):
    """Averages finding maps over tiles, mirrored passes and folds exactly as nnU-Net does segmentation logits.

    `keep` is called with nnU-Net's entry of the case (`ofile`, `data_properties`) and its finding logits
    (F, D, H, W) on the preprocessed grid, before the segmentation is exported.

    Args:
        keep: Takes the maps.
        options: Of nnU-Net's predictor.
    """

    network: Any
    label_manager: Any

    def __init__(self, keep: Keep | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.keep = keep
        self.finding_maps: torch.Tensor | None = None
        self._case: dict[str, Any] = {}

    def initialize_from_trained_model_folder(self, *args: Any, **kwargs: Any) -> None:
        """Load a model, then stack its outputs."""
        super().initialize_from_trained_model_folder(*args, **kwargs)
        self._stack()

    def manual_initialization(self, *args: Any, **kwargs: Any) -> None:
        """Take a network over, then stack its outputs."""
        super().manual_initialization(*args, **kwargs)
        self._stack()

    def _stack(self) -> None:
        network = self.network
        if isinstance(network, nn.parallel.DistributedDataParallel):
            network = network.module
        compiled = isinstance(network, OptimizedModule)
        stacked = SegmentationWithFindings(network._orig_mod if compiled else network)
        self.num_findings = stacked.network.num_findings
        self.network = torch.compile(stacked) if compiled else stacked

    def _internal_predict_sliding_window_return_logits(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """nnU-Net's tiles, with room for the finding maps."""
        own = self.label_manager
        self.label_manager = _Heads(own.num_segmentation_heads + self.num_findings)
        try:
            return super()._internal_predict_sliding_window_return_logits(*args, **kwargs)
        finally:
            self.label_manager = own

    def predict_logits_from_preprocessed_data(self, data: torch.Tensor) -> torch.Tensor:
        """Predict one case, keep its finding maps and return the segmentation logits."""
        everything = super().predict_logits_from_preprocessed_data(data)
        heads = self.label_manager.num_segmentation_heads
        self.finding_maps = everything[heads:]
        if self.keep is not None and self._case:
            self.keep(self._case, self.finding_maps)
        return everything[:heads]

    def predict_from_data_iterator(self, data_iterator: Iterable[dict[str, Any]], *args: Any, **kwargs: Any) -> Any:
        """nnU-Net's loop; remembers which case is being predicted."""
        return super().predict_from_data_iterator(self._remembered(data_iterator), *args, **kwargs)

    def _remembered(self, data_iterator: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for case in data_iterator:
            self._case = case
            yield case
        self._case = {}

    def predict_from_files_sequential(
        self,
        images: list[list[str]],
        targets: list[str],
        save_probabilities: bool = False,
        overwrite: bool = True,
        folder_with_segs_from_prev_stage: str | None = None,
    ) -> None:
        """Predict files without any other process; nnU-Net's own loop does not say which case it is at.

        Args:
            images: One list of files a case, one file a channel.
            targets: Output files without ending.
            save_probabilities: Write them too.
            overwrite: Must be true: what is there already is left out before.
            folder_with_segs_from_prev_stage: Must be None: text-guided models are no cascades.
        """
        if not overwrite or folder_with_segs_from_prev_stage is not None:
            raise ValueError("Leave out finished cases before; cascades have no findings.")
        save_json(self.dataset_json, str(Path(targets[0]).parent / "dataset.json"), sort_keys=False)
        save_json(self.plans_manager.plans, str(Path(targets[0]).parent / "plans.json"), sort_keys=False)
        preprocessor = self.configuration_manager.preprocessor_class(verbose=self.verbose_preprocessing)
        for files, target in zip(images, targets, strict=True):
            data, _, properties = preprocessor.run_case(
                files, None, self.plans_manager, self.configuration_manager, self.dataset_json
            )
            self._case = {"ofile": target, "data_properties": properties}
            logits = self.predict_logits_from_preprocessed_data(torch.from_numpy(data)).cpu()
            export_prediction_from_logits(
                logits,
                properties,
                self.configuration_manager,
                self.plans_manager,
                self.dataset_json,
                target,
                save_probabilities,
            )
        self._case = {}

    def predict_array(
        self, image: np.ndarray, spacing: Sequence[float], probabilities: bool = False
    ) -> tuple[np.ndarray, np.ndarray | None, np.ndarray, dict[str, Any]]:
        """Predict an array in memory.

        Args:
            image: (C, Z, Y, X) in the orientation the model reads images in.
            spacing: (z, y, x) in mm.
            probabilities: Return them too.

        Returns:
            Labels (Z, Y, X), probabilities (classes, Z, Y, X) or None, finding logits (F, D, H, W) on the preprocessed
            grid, and nnU-Net's properties of the case.
        """
        preprocessor = self.configuration_manager.preprocessor_class(verbose=False)
        properties: dict[str, Any] = {"spacing": list(spacing)}
        data, _, properties = preprocessor.run_case_npy(
            image, None, properties, self.plans_manager, self.configuration_manager, self.dataset_json
        )
        logits = self.predict_logits_from_preprocessed_data(torch.from_numpy(data)).cpu()
        exported = convert_predicted_logits_to_segmentation_with_correct_shape(
            logits, self.plans_manager, self.configuration_manager, self.label_manager, properties, probabilities
        )
        labels, maps = exported if probabilities else (exported, None)
        finding_maps = cast(torch.Tensor, self.finding_maps)  # kept by the prediction above
        return np.asarray(labels), maps, finding_maps.cpu().numpy(), properties


class _Heads:
    """All that nnU-Net's tiles ask of a label manager."""

    def __init__(self, num_segmentation_heads: int) -> None:
        self.num_segmentation_heads = num_segmentation_heads
