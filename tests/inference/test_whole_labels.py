"""With a full disk the old label file stays, whichever of nnU-Net's writers writes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from nnunetv2.imageio.natural_image_reader_writer import NaturalImage2DIO
from nnunetv2.imageio.nibabel_reader_writer import NibabelIO, NibabelIOWithReorient
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
from nnunetv2.imageio.tif_reader_writer import Tiff3DIO
from small_disk import full_disk

from nnunet_textguided.errors import UserError
from nnunet_textguided.inference.checked_io import CheckedIO
from nnunet_textguided.inference.oriented_io import OrientedIO

NOISE = np.random.default_rng(0).integers(0, 200, (4, 100, 200)).astype(np.uint8)
AFFINE = {"original_affine": np.eye(4), "reoriented_affine": np.eye(4)}
PROPERTIES = {
    "spacing": [3.0, 1.0, 1.0],
    "sitk_stuff": {"spacing": (1.0, 1.0, 3.0), "origin": (0.0,) * 3, "direction": (1, 0, 0, 0, 1, 0, 0, 0, 1)},
    "nibabel_stuff": AFFINE,
}
WRITERS = [
    *((SimpleITKIO, ending) for ending in (".nii.gz", ".mha", ".nrrd", ".gipl")),
    *((reader, ending) for reader in (NibabelIO, NibabelIOWithReorient) for ending in (".nii", ".nii.gz")),
    (Tiff3DIO, ".tif"),
    *((NaturalImage2DIO, ending) for ending in (".png", ".bmp")),
]


@pytest.mark.parametrize(("reader_class", "ending"), WRITERS)
@pytest.mark.filterwarnings("ignore")
def test_a_full_disk_leaves_the_old_labels(tmp_path: Path, reader_class: type, ending: str):
    reader, file = CheckedIO(reader_class), tmp_path / f"case{ending}"
    labels = NOISE[:1].repeat(2, 1) if reader_class is NaturalImage2DIO else NOISE
    file.write_bytes(b"old")
    with full_disk(), pytest.raises(UserError, match=rf"Could not write .*case{ending}.*(?s:.)*free space"):
        reader.write_seg(labels, str(file), PROPERTIES)
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]
    reader.write_seg(labels, str(file), PROPERTIES)
    assert file.stat().st_size > 20_000
    np.testing.assert_array_equal(reader.read_seg(str(file))[0][0], labels)
    assert not list(tmp_path.glob(".*"))


def test_a_full_disk_leaves_the_old_labels_of_a_turned_image(tmp_path: Path):
    file = tmp_path / "case.nii.gz"
    file.write_bytes(b"old")
    with full_disk(), pytest.raises(UserError, match=r"Could not write .*case.nii.gz in full"):
        OrientedIO("PIR", ".nii.gz").write_seg(NOISE, str(file), {**PROPERTIES, "source_orientation": "LPS"})
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


def test_the_spacing_beside_a_tif_comes_with_it(tmp_path: Path):
    CheckedIO(Tiff3DIO).write_seg(NOISE, str(tmp_path / "case.tif"), PROPERTIES)
    assert json.loads((tmp_path / "case.json").read_text()) == {"spacing": [3.0, 1.0, 1.0]}
    assert sorted(file.name for file in tmp_path.iterdir()) == ["case.json", "case.tif"]


def test_labels_that_are_cut_short_are_not_read(tmp_path: Path):
    """SimpleITK gives zeros for what is missing."""
    file = tmp_path / "case.nii.gz"
    sitk.WriteImage(sitk.GetImageFromArray(NOISE), str(file))
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(UserError, match=r"case.nii.gz .* cut short"):
        CheckedIO(SimpleITKIO).read_seg(str(file))
