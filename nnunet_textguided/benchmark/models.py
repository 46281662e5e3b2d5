"""Model folders and images to predict with: untrained networks, as training does not change how long they take."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nnunet_textguided.benchmark.bench import SEED, Bench
from nnunet_textguided.benchmark.setting import Setting
from nnunet_textguided.comparison.grid import System
from nnunet_textguided.comparison.inference_cost import image_files
from nnunet_textguided.comparison.splits import validation_cases
from nnunet_textguided.files import load_json
from nnunet_textguided.quiet import quiet

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Models:
    """What is predicted with.

    Attributes:
        folders: Label -> model folder.
        images: Case -> one file a channel.
        real: Whether the images are the data set's.
        mirror_axes: Axes of the patch that all models mirror.
    """

    folders: dict[str, Path]
    images: dict[str, list[str]]
    real: bool
    mirror_axes: tuple[int, ...]

    def link_images(self, folder: Path, number: int) -> Path:
        """Make an input folder of so many cases; they repeat where there are fewer.

        Args:
            folder: Made here.
            number: Of cases.
        """
        folder.mkdir(parents=True, exist_ok=True)
        names = list(self.images)
        for index in range(number):
            for channel, file in enumerate(self.images[names[index % len(names)]]):
                link = folder / f"case{index:03d}_{channel:04d}{_ending(file)}"
                if not link.exists():
                    link.symlink_to(Path(file).absolute())
        return folder


def make_models(bench: Bench) -> Models:
    """Write a model folder of every system, all with the mirror axes that every one of them allows.

    Args:
        bench: Builds the trainers.
    """
    trainers = bench.trainers()
    axes = common_axes([_mirror_axes(trainer) for trainer in trainers.values()])
    folders = {}
    for label, trainer in trainers.items():
        with quiet(logger):
            folders[label] = trainer.write_model(axes or None)
    images, real = images_of(bench.setting, bench.scratch)
    return Models(folders, images, real, axes)


def common_axes(allowed: Sequence[Sequence[int] | None]) -> tuple[int, ...]:
    """Return the axes that are in all of several sets.

    Args:
        allowed: One set a system, None for none.
    """
    sets = [set(axes or ()) for axes in allowed]
    return tuple(sorted(set.intersection(*sets))) if sets else ()


def images_of(setting: Setting, scratch: Path) -> tuple[dict[str, list[str]], bool]:
    """Return the fold's validation images, or one of noise where the raw images are not at hand.

    Args:
        setting: Of the benchmark.
        scratch: Folder for the image of noise.

    Returns:
        Case -> one file a channel, and whether they are real.
    """
    raw = setting.folders.raw / setting.dataset
    cases = validation_cases(setting.folders.preprocessed / setting.dataset, setting.fold)[: max(setting.cases)]
    if (raw / "dataset.json").is_file() and (raw / "imagesTr").is_dir():
        return image_files(raw, cases), True
    return {"noise": noise_case(setting, scratch / "noise")}, False


def noise_case(setting: Setting, folder: Path) -> list[str]:
    """Write an image of noise with the data set's median size and spacing.

    Args:
        setting: Of the benchmark.
        folder: Made here.

    Returns:
        One file a channel.
    """
    import SimpleITK as sitk

    plans = load_json(setting.plans_file(setting.systems[0]))
    dataset_json = load_json(setting.folders.preprocessed / setting.dataset / "dataset.json")
    back = plans["transpose_backward"]
    size, spacing = (
        [plans[f"original_median_{what}_after_transp"][axis] for axis in back] for what in ("shape", "spacing")
    )
    folder.mkdir(parents=True, exist_ok=True)
    random, files = np.random.default_rng(SEED), []
    orientation = (plans.get("text_guidance") or {}).get("orientation")
    for channel in range(len(dataset_json.get("channel_names") or dataset_json.get("modality"))):
        image = sitk.GetImageFromArray(random.normal(0, 1, [round(n) for n in size]).astype(np.float32))
        image.SetSpacing([float(mm) for mm in spacing[::-1]])
        if orientation is not None:
            image.SetDirection(sitk.DICOMOrientImageFilter.GetDirectionCosinesFromOrientation(orientation))
        files.append(str(folder / f"noise_{channel:04d}{dataset_json['file_ending']}"))
        sitk.WriteImage(image, files[-1])
    return files


def is_reference(setting: Setting, system: System) -> bool:
    """Tell whether a system is predicted as nnUNetv2_predict does it, instead of as our `predict` does.

    Args:
        setting: Of the benchmark.
        system: One of its systems.
    """
    return system.label == setting.reference


def _mirror_axes(trainer: Any) -> tuple[int, ...] | None:
    with quiet(logger):
        trainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size()
    return trainer.inference_allowed_mirroring_axes


def _ending(file: str) -> str:
    """`.nii.gz` has two suffixes."""
    name = Path(file).name
    return name[name.index(".") :]
