"""Postprocessing happens before a label file is written, so an interrupted run needs no memory of what it did."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
from nnunetv2.postprocessing.remove_connected_components import (
    load_postprocess_save,
    remove_all_but_largest_component_from_segmentation,
)
from toy_model import IN_PROCESS, toy_volume

from nnunet_textguided.inference.postprocess import apply_steps
from nnunet_textguided.inference.predict import predict_folder
from nnunet_textguided.inference.reorient import to_orientation

KEEP_LARGEST = (
    [remove_all_but_largest_component_from_segmentation] * 2,
    [{"labels_or_regions": [1, 2]}, {"labels_or_regions": 1}],
)
"""What nnUNetv2_find_best_configuration writes: of the whole foreground first, then of one label."""


def test_steps_repeated_can_take_more_away():
    """Why files are not simply postprocessed again: the bridge that the second step takes held a part together."""
    line = np.array([[[1, 1, 1, 2, 2, 2, 1, 2, 2, 0]]])
    once = apply_steps(line, KEEP_LARGEST)
    assert once[0, 0].tolist() == [1, 1, 1, 2, 2, 2, 0, 2, 2, 0]
    assert apply_steps(once, KEEP_LARGEST)[0, 0].tolist() == [1, 1, 1, 2, 2, 2, 0, 0, 0, 0]


def labels(folder: Path) -> dict[str, np.ndarray]:
    return {file.name: sitk.GetArrayFromImage(sitk.ReadImage(str(file))) for file in folder.glob("*.nii.gz")}


@pytest.mark.parametrize("orientation", ["PIR", None])
def test_interrupted_and_continued_gives_what_nnunets_own_postprocessing_gives(
    make_model: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, orientation: str | None
):
    model = make_model(orientation=orientation)
    (tmp_path / "images").mkdir()
    for number, code in enumerate(("LPS", "PIR", "IRA")):
        image = to_orientation(toy_volume(number), code)
        sitk.WriteImage(image, str(tmp_path / "images" / f"c{number}_0000.nii.gz"))
    (tmp_path / "postprocessing.pkl").write_bytes(pickle.dumps(KEEP_LARGEST))
    settings = replace(IN_PROCESS, postprocessing=str(tmp_path / "postprocessing.pkl"))

    whole, calls = SimpleITKIO.write_seg, []

    def interrupted(self: SimpleITKIO, *arguments: object) -> None:
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        whole(self, *arguments)

    monkeypatch.setattr(SimpleITKIO, "write_seg", interrupted)
    with pytest.raises(KeyboardInterrupt):
        predict_folder(model, tmp_path / "images", tmp_path / "cut", 0, settings=settings)
    monkeypatch.undo()
    assert labels(tmp_path / "cut").keys() == {"c0.nii.gz"}
    predict_folder(
        model, tmp_path / "images", tmp_path / "cut", 0, settings=replace(settings, continue_prediction=True)
    )

    predict_folder(model, tmp_path / "images", tmp_path / "plain", 0, settings=IN_PROCESS)
    plain, found = labels(tmp_path / "plain"), labels(tmp_path / "cut")
    assert found.keys() == plain.keys()
    for name, array in found.items():
        load_postprocess_save(
            str(tmp_path / "plain" / name), str(tmp_path / "expected.nii.gz"), SimpleITKIO(), *KEEP_LARGEST
        )
        expected = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "expected.nii.gz")))
        np.testing.assert_array_equal(array, expected)
        assert (array != plain[name]).any()
