"""Slices as a torch data set whose order and draws follow from a seed and a step alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from nnunet_textguided.errors import UserError
from nnunet_textguided.pretraining.image_settings import PATCH
from nnunet_textguided.pretraining.masking import random_mask
from nnunet_textguided.pretraining.scan import Scan
from nnunet_textguided.pretraining.slices import SliceSettings, prepare_slice

_TRIES = 20  # other slices drawn in the place of one that cannot be read


class Draw(NamedTuple):
    """One sample of the training: which slice, and the seed of everything random about it.

    Attributes:
        position: Number of the slice, 0..len(dataset) - 1.
        seed: Of zoom, place and mask.
    """

    position: int
    seed: tuple[int, ...]


class SliceDataset(Dataset):
    """All slices of scans; nothing but their list is held in memory.

    Args:
        scans: The scans.
        settings: How slices are prepared.
        mask_ratio: Share of hidden patches.
        augment: Draw zoom and place; otherwise every slice is seen as it is, with one mask of its own.
    """

    def __init__(self, scans: list[Scan], settings: SliceSettings, mask_ratio: float, augment: bool = True) -> None:
        self.scans = scans
        self.settings = settings
        self.mask_ratio = mask_ratio
        self.augment = augment
        self.ends = np.cumsum([scan.num_slices for scan in scans])

    def __len__(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0

    def locate(self, position: int) -> tuple[Scan, int]:
        """Scan and slice number of a position.

        Args:
            position: 0..len - 1.
        """
        scan = int(np.searchsorted(self.ends, position, side="right"))
        return self.scans[scan], position - int(self.ends[scan] - self.scans[scan].num_slices)

    def __getitem__(self, draw: Draw | int) -> tuple[torch.Tensor, torch.Tensor]:
        """Image (C, H, W) float32 and mask (h, w) bool; a slice that cannot be read is replaced by another."""
        if not isinstance(draw, Draw):
            draw = Draw(int(draw), (int(draw),))
        rng = np.random.default_rng(draw.seed)
        position, reason = draw.position, None
        for _ in range(_TRIES):
            scan, index = self.locate(position)
            try:
                image = prepare_slice(scan, index, self.settings, rng if self.augment else None)
            except UserError as error:
                reason = error
            else:
                if image.any() or not self.augment:
                    return torch.from_numpy(image), self._mask(rng)
                reason = UserError(f"{scan.name}, slice {index} is constant.")
            position = int(rng.integers(len(self)))
        raise UserError(f"{_TRIES} slices in a row could not be used, the last because: {reason}")

    def _mask(self, rng: np.random.Generator) -> torch.Tensor:
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        rows, columns = (n // PATCH for n in self.settings.size)
        return random_mask(1, (rows, columns), self.mask_ratio, generator)[0]


class SeededSampler(Sampler):
    """Draws for one process, from a step on: the same whether the training was interrupted or not.

    Step s takes the next `batch` slices of a shuffled pass over all; every pass is shuffled anew. Process r of n takes
    every n-th of them, so n processes see what one would see.

    Args:
        num_slices: Slices in all.
        batch: Slices of a step, over all processes.
        steps: (first, last + 1).
        seed: Seed of the training.
        rank: Number of this process.
        world: Number of processes; divides `batch`.
    """

    def __init__(
        self, num_slices: int, batch: int, steps: tuple[int, int], seed: int, rank: int = 0, world: int = 1
    ) -> None:
        if batch % world:
            raise UserError(f"A batch of {batch} slices cannot be shared by {world} processes; choose a multiple.")
        self.num_slices, self.batch, self.steps = num_slices, batch, steps
        self.seed, self.rank, self.world = seed, rank, world

    def __len__(self) -> int:
        return (self.steps[1] - self.steps[0]) * self.batch // self.world

    def __iter__(self) -> Iterator[Draw]:
        first, last = (step * self.batch for step in self.steps)
        order, known = np.empty(0, dtype=np.int64), -1
        for number in range(first + self.rank, last, self.world):
            number_of_pass, place = divmod(number, self.num_slices)
            if number_of_pass != known:
                order = np.random.default_rng([self.seed, number_of_pass]).permutation(self.num_slices)
                known = number_of_pass
            yield Draw(int(order[place]), (self.seed, number))
