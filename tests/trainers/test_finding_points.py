from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import SimpleITK as sitk

from nnunet_textguided.errors import UserError
from nnunet_textguided.findings.annotations import Annotation, FindingAnnotations
from nnunet_textguided.findings.vocabulary import FindingVocabulary
from nnunet_textguided.trainers.finding_points import FindingPoints, PointedDataset

VOCABULARY = FindingVocabulary.from_block({"a": {"applies_to": ["L5"]}, "b": {"applies_to": ["L5"]}}, ("L5",))


def image() -> sitk.Image:
    oblique = sitk.Image((30, 24, 10), sitk.sitkUInt8)
    oblique.SetSpacing((1.0, 1.5, 4.0))
    oblique.SetOrigin((12.0, -40.0, 7.0))
    oblique.SetDirection((0, 0, -1, 0.8, 0.6, 0, 0.6, -0.8, 0))
    return oblique


def properties_of(volume: sitk.Image, transpose: tuple[int, ...], margin: int = 0) -> dict:
    size = [volume.GetSize()[::-1][axis] for axis in transpose]
    return {
        "sitk_stuff": {
            "spacing": volume.GetSpacing(),
            "origin": volume.GetOrigin(),
            "direction": volume.GetDirection(),
        },
        "spacing": list(volume.GetSpacing()[::-1]),
        "bbox_used_for_cropping": [[margin, n - margin] for n in size],
    }


def points_at(*rows: tuple[str, int, tuple[float, ...] | None], transpose=(0, 1, 2)) -> FindingPoints:
    annotations = [Annotation("c", "L5", finding, present, place) for finding, present, place in rows]
    return FindingPoints(FindingAnnotations(annotations), VOCABULARY, transpose)


@pytest.mark.parametrize("transpose", [(0, 1, 2), (1, 0, 2), (2, 0, 1)])
@pytest.mark.parametrize("scale", [1, 2])
def test_a_marked_voxel_is_found_again_on_the_preprocessed_grid(transpose: tuple[int, ...], scale: int):
    volume, margin = image(), 1
    index = (17, 9, 4)  # x, y, z
    place = volume.TransformIndexToPhysicalPoint(index)
    properties = properties_of(volume, transpose, margin)
    shape = tuple(scale * (stop - start) for start, stop in properties["bbox_used_for_cropping"])
    drawn = points_at(("b", 1, place), transpose=transpose).draw("c", shape, properties)
    expected = np.array([(4, 9, 17)[axis] - margin for axis in transpose])
    centre = np.argwhere(drawn == 0b10).mean(0)
    np.testing.assert_allclose((centre + 0.5) / scale - 0.5, expected, atol=0.5)
    assert set(np.unique(drawn)) == {0, 0b10}


def test_the_mark_is_a_ball_in_millimetres_and_two_findings_share_voxels():
    volume = image()
    place = volume.TransformIndexToPhysicalPoint((17, 9, 4))
    drawn = points_at(("a", 1, place), ("b", 1, place)).draw("c", (10, 24, 30), properties_of(volume, (0, 1, 2)))
    voxels = np.argwhere(drawn == 0b11)
    assert len(voxels) == (drawn != 0).sum()
    spread = (np.abs(voxels - [4, 9, 17]) * [4.0, 1.5, 1.0]).max(0)
    assert spread.tolist() == [0.0, 3.0, 3.0]


def test_absent_unmarked_and_outside_findings_draw_nothing():
    properties = properties_of(image(), (0, 1, 2))
    for row in (("a", 0, (1.0, 2.0, 3.0)), ("a", 1, None), ("a", 1, (9e3, 0.0, 0.0))):
        assert not points_at(row).draw("c", (10, 24, 30), properties).any()


def test_pointed_tells_which_decisions_are_marked():
    points = points_at(("a", 1, (0.0, 0.0, 0.0)), ("b", 1, None))
    assert points.pointed("c").tolist() == [[True, False]]
    assert points.any()
    assert not points_at(("a", 1, None)).any()


def test_images_without_world_coordinates_are_refused_by_case():
    with pytest.raises(UserError, match=r"^c: .*world coordinates"):
        points_at(("a", 1, (0.0, 0.0, 0.0))).draw("c", (10, 24, 30), {})


def test_more_findings_than_bits_are_refused():
    block = {f"f{n}": {"applies_to": ["L5"]} for n in range(16)}
    annotations = FindingAnnotations([Annotation("c", "L5", "f3", 1, (0.0, 0.0, 0.0))])
    with pytest.raises(UserError, match="limited to 15"):
        FindingPoints(annotations, FindingVocabulary.from_block(block, ("L5",)), (0, 1, 2)).any()


class Plain:
    """Stands for nnU-Net's data set."""

    identifiers = ("c",)

    def load_case(self, identifier: str):
        return np.zeros((1, 10, 24, 30)), np.ones((1, 10, 24, 30)), None, properties_of(image(), (0, 1, 2))


def test_data_set_gives_the_marks_as_its_third_part_and_can_be_sent_to_workers():
    place = image().TransformIndexToPhysicalPoint((17, 9, 4))
    dataset = PointedDataset(Plain(), points_at(("a", 1, place)))
    assert dataset.identifiers == ("c",)
    for one in (dataset, copy.deepcopy(dataset), pickle.loads(pickle.dumps(dataset))):
        _, segmentation, marks, _ = one.load_case("c")
        assert segmentation.sum() == 7200
        assert marks[4, 9, 17] == 1
