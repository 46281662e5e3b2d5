"""`python -m nnunet_textguided.inference.draw IMAGES TRUTH PREDICTIONS OUT`: pictures of a folder of predictions."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nnunet_textguided.dataset_json import read_dataset_json
from nnunet_textguided.errors import UserError
from nnunet_textguided.image_headers import read_image
from nnunet_textguided.inference.overlay import draw_overlay


def draw_case(
    image_file: str | os.PathLike[str],
    truth_file: str | os.PathLike[str] | None,
    prediction_file: str | os.PathLike[str] | None,
    dataset_json: str | os.PathLike[str],
    out_png: str | os.PathLike[str],
) -> Path:
    """Draw a case from files; names come from dataset.json.

    Args:
        image_file: Image whose slices lie along the array's first axis, for example one channel in imagesTr.
        truth_file: Label file, or None.
        prediction_file: Label file, or None.
        dataset_json: dataset.json of the data set or of a model folder.
        out_png: The file to write.

    Returns:
        The written file.

    Raises:
        UserError: A file is missing or unreadable, or shapes differ.
    """
    image, spacing = _read(image_file)
    truth, prediction = (None if file is None else _read(file)[0] for file in (truth_file, prediction_file))
    labels = read_dataset_json(Path(dataset_json), ["labels"])["labels"]
    names = {code: name for name, code in labels.items() if isinstance(code, int) and code > 0 and name != "ignore"}
    shown = truth_file or prediction_file or image_file
    return draw_overlay(image, truth, prediction, names, spacing, out_png, Path(shown).name.split(".")[0])


def draw_folder(
    images: str | os.PathLike[str],
    truth: str | os.PathLike[str] | None,
    predictions: str | os.PathLike[str],
    out: str | os.PathLike[str],
    channel: int = 0,
) -> list[Path]:
    """Draw every predicted case of a folder.

    Args:
        images: Folder of images in nnU-Net's naming (<case>_0000...).
        truth: Folder of label files of the predictions' names, or None.
        predictions: Folder nnU-Net predicted into; its dataset.json gives names and file ending.
        out: Folder for <case>.png.
        channel: Which channel to show.

    Returns:
        The written files.

    Raises:
        UserError: No dataset.json or no prediction in the folder, or a case that cannot be drawn.
    """
    predictions = Path(predictions)
    dataset_json = predictions / "dataset.json"
    ending = read_dataset_json(dataset_json)["file_ending"]
    found = sorted(file for file in predictions.glob(f"*{ending}") if not file.name.startswith("."))
    if not found:
        raise UserError(f"Expected predictions (*{ending}) in {predictions}, found none.")
    written = []
    for file in found:
        case = file.name.removesuffix(ending)
        image = Path(images) / f"{case}_{channel:04d}{ending}"
        label = None if truth is None else Path(truth) / file.name
        written.append(draw_case(image, label, file, dataset_json, Path(out) / f"{case}.png"))
    return written


def main(argv: Sequence[str] | None = None) -> int:
    """Draw a folder from the command line and return the exit status.

    Args:
        argv: Arguments; the process's own when None.
    """
    parser = argparse.ArgumentParser(prog="python -m nnunet_textguided.inference.draw", description=__doc__)
    parser.add_argument("images", help="folder of images, as nnUNetv2_predict read them")
    parser.add_argument("truth", help="folder of label files")
    parser.add_argument("predictions", help="folder nnUNetv2_predict wrote")
    parser.add_argument("out", help="folder for the pictures")
    parser.add_argument("--channel", type=int, default=0, help="image channel to show (default %(default)s)")
    args = parser.parse_args(argv)
    try:
        draw_folder(args.images, args.truth, args.predictions, args.out, args.channel)
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


def _read(file: str | os.PathLike[str]) -> tuple[np.ndarray, tuple[float, float, float]]:
    import SimpleITK as sitk

    image = read_image(file)
    return sitk.GetArrayFromImage(image), tuple(reversed(image.GetSpacing()))


if __name__ == "__main__":
    sys.exit(main())
