"""Training with masks that are not complete: sources that leave out classes, and cases without any mask."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import nn

from nnunet_textguided.errors import UserError
from nnunet_textguided.trainers.host import TrainerHost
from nnunet_textguided.trainers.lacking import LackingClasses, mask_content
from nnunet_textguided.trainers.marginal_loss import MarginalLoss

BARE_OF_THREE = 1
"""Of three draws at most one may have no mask: patches without take the place of those with one (docs/results.md)."""


class PartialLabels(TrainerHost):
    """Mixin for nnU-Net trainers; where every mask is complete, everything is as without it.

    Classes that the source of a case does not annotate (dataset.json, `text_guidance.missing`) may hide in its
    background. Cases whose label map is nnU-Net's ignore label everywhere have no mask: their segmentation loss is off,
    and cases with one are at least two of three draws.
    """

    lacking = LackingClasses({}, {})
    marginal_loss: MarginalLoss | None = None
    without_mask: frozenset[str] = frozenset()

    def _build_loss(self) -> nn.Module:
        """nnU-Net's loss; where sources leave out classes, background is background or one of them."""
        loss = super()._build_loss()
        self.lacking = LackingClasses.of_dataset(self.dataset_json)
        if not self.lacking.declared:
            return loss
        self.marginal_loss = MarginalLoss(loss, self.lacking)
        return self.marginal_loss

    def teaches_without_mask(self, case: str) -> bool:
        """Whether a case that has no mask has anything to learn from; segmentation alone has not."""
        return False

    def get_tr_and_val_datasets(self) -> tuple[Any, Any]:
        """nnU-Net's data sets, less cases that teach nothing; those with a mask are two of three draws or more.

        Raises:
            UserError: A mask holds what its source is said to leave out, or no training case has a mask.
        """
        datasets = super().get_tr_and_val_datasets()
        if not self.lacking.declared and not self.label_manager.has_ignore_label:
            return datasets
        contents = [self._contents(dataset) for dataset in datasets]
        if all(content is None for content in contents[0].values()):
            raise UserError(
                f"Not one of the {len(contents[0])} training cases of fold {self.fold} has a mask (all are nnU-Net's "
                "ignore label everywhere), so no structure can be learned. Put cases with masks into the training part "
                "of splits_final.json."
            )
        for name, dataset, content in zip(("training", "validation"), datasets, contents, strict=True):
            self._balance(name, dataset, content)
        self.without_mask = frozenset(str(case) for one in contents for case, held in one.items() if held is None)
        self.lacking.learned = frozenset().union(*(content or () for content in contents[0].values()))
        self._log_lacking()
        return datasets

    def _balance(self, name: str, dataset: Any, content: dict[str, frozenset[int] | None]) -> None:
        """Change which cases the loader draws from, and say so."""
        masked = [case for case in dataset.identifiers if content[case] is not None]
        bare = [case for case in dataset.identifiers if content[case] is None]
        if not masked:
            self.print_to_log_file(f"no {name} case has a mask: its pseudo Dice is not defined")
        if not bare or not masked:
            return
        drawn = [case for case in bare if self.teaches_without_mask(str(case))]
        times = repeats(len(masked), len(drawn))
        dataset.identifiers = sorted([*masked * times, *drawn])
        self.print_to_log_file(
            f"{name} cases: {len(masked)} with a mask, each drawn {times} times as often as others; {len(drawn)} with "
            f"findings only; {len(bare) - len(drawn)} with neither, not drawn"
        )

    def _contents(self, dataset: Any) -> dict[str, frozenset[int] | None]:
        """Classes of the mask of every case, checked against what its source is said to leave out."""
        contents = {}
        for case in dataset.identifiers:
            *_, properties = dataset.load_case(case)
            contents[case] = mask_content(properties, self.label_manager.has_ignore_label)
            self.lacking.check(str(case), contents[case] or ())
        return contents

    def _log_lacking(self) -> None:
        for source, names in self.lacking.declared.items():
            hidden = sorted(name for name in names if self.lacking.codes[name] in self.lacking.learned)
            unseen = sorted(names - set(hidden))
            self.print_to_log_file(
                f"source {source} does not annotate {', '.join(sorted(names)) or 'nothing'}; its background may be "
                f"{', '.join(hidden) or 'none of them'}; background everywhere, as no training case shows it: "
                f"{', '.join(unseen) or 'none'}"
            )

    def train_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """nnU-Net's step; the loss is told the cases."""
        return super().train_step(self._announce_sources(batch))

    def validation_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """nnU-Net's step; what is predicted of a class that no case of the batch annotates is not false."""
        result = super().validation_step(self._announce_sources(batch))
        if self.marginal_loss is not None:
            lacking = self.lacking.of_batch(batch["keys"], self.label_manager.num_segmentation_heads)
            result["fp_hard"] = np.where(lacking.all(0)[1:].numpy(), 0, result["fp_hard"])
        return result

    def _announce_sources(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Tell the loss the cases, and leave nothing to segment in those without a mask.

        What nnU-Net pads patches with counts as background. In a batch without masks it would be all that is labelled,
        and the loss is a mean.
        """
        if self.marginal_loss is not None:
            self.marginal_loss.announce(batch["keys"])
        bare = torch.tensor([str(case) in self.without_mask for case in batch["keys"]])
        if not bare.any() or self.label_manager.has_regions:
            return batch
        target = batch["target"]
        levels = [level.clone() for level in ([target] if isinstance(target, torch.Tensor) else target)]
        for level in levels:
            level[bare] = self.label_manager.ignore_label
        return {**batch, "target": levels[0] if isinstance(target, torch.Tensor) else levels}


def repeats(masked: int, bare: int) -> int:
    """How often cases with a mask are listed, so that they are at least two thirds of a uniform draw.

    Args:
        masked: Number of cases with a mask, above 0.
        bare: Number of cases without.
    """
    return max(1, math.ceil((3 - BARE_OF_THREE) * bare / (BARE_OF_THREE * masked)))
