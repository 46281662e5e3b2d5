from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import SimpleITK as sitk

from nnunet_textguided.errors import UserError
from nnunet_textguided.findings.annotations import Annotation, FindingAnnotations
from nnunet_textguided.findings.loss import UNSURE_BIT
from nnunet_textguided.findings.vocabulary import FindingVocabulary
from nnunet_textguided.trainers.finding_points import FindingPoints, PointedDataset, with_marks

VOCABULARY = FindingVocabulary.from_block({"a": {"applies_to": ["L5"]}, "b": {"applies_to": ["L5"]}}, ("L5",))
MARKS = 0b11  # the findings' bits
NOTHING = np.zeros((1, 10, 24, 30), dtype=np.int8)  # a segmentation


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
    return FindingPoints(FindingAnnotations(annotations), VOCABULARY, [1], transpose)


@pytest.mark.parametrize("transpose", [(0, 1, 2), (1, 0, 2), (2, 0, 1)])
@pytest.mark.parametrize("scale", [1, 2])
def test_a_marked_voxel_is_found_again_on_the_preprocessed_grid(transpose: tuple[int, ...], scale: int):
    volume, margin = image(), 1
    index = (17, 9, 4)  # x, y, z
    place = volume.TransformIndexToPhysicalPoint(index)
    properties = properties_of(volume, transpose, margin)
    shape = tuple(scale * (stop - start) for start, stop in properties["bbox_used_for_cropping"])
    drawn = points_at(("b", 1, place), transpose=transpose).draw("c", shape, properties, np.zeros((1, *shape))) & MARKS
    expected = np.array([(4, 9, 17)[axis] - margin for axis in transpose])
    centre = np.argwhere(drawn == 0b10).mean(0)
    np.testing.assert_allclose((centre + 0.5) / scale - 0.5, expected, atol=0.5)
    assert set(np.unique(drawn)) == {0, 0b10}


def test_the_mark_is_a_ball_in_millimetres_and_two_findings_share_voxels():
    volume = image()
    place = volume.TransformIndexToPhysicalPoint((17, 9, 4))
    points = points_at(("a", 1, place), ("b", 1, place))
    drawn = points.draw("c", (10, 24, 30), properties_of(volume, (0, 1, 2)), NOTHING) & MARKS
    voxels = np.argwhere(drawn == 0b11)
    assert len(voxels) == (drawn != 0).sum()
    spread = (np.abs(voxels - [4, 9, 17]) * [4.0, 1.5, 1.0]).max(0)
    assert spread.tolist() == [0.0, 3.0, 3.0]


def test_absent_unmarked_and_outside_findings_draw_nothing():
    properties = properties_of(image(), (0, 1, 2))
    for row in (("a", 0, (1.0, 2.0, 3.0)), ("a", 1, None), ("a", 1, (9e3, 0.0, 0.0))):
        assert not points_at(row).draw("c", (10, 24, 30), properties, NOTHING).any()


def test_voxels_within_six_millimetres_of_a_mark_are_unsure_in_the_next_slice_too():
    volume = image()
    place = volume.TransformIndexToPhysicalPoint((17, 9, 4))
    drawn = points_at(("b", 1, place)).draw("c", (10, 24, 30), properties_of(volume, (0, 1, 2)), NOTHING)
    distance = np.linalg.norm((np.indices(drawn.shape).T - [17, 9, 4][::-1]) * [4.0, 1.5, 1.0], axis=-1).T
    np.testing.assert_array_equal(drawn & (1 << UNSURE_BIT) != 0, distance <= 6)
    assert drawn[5, 9, 17] == 1 << UNSURE_BIT


@pytest.mark.parametrize(("around", "moved"), [(0, False), (1, False), (2, True)])
def test_a_mark_inside_another_structure_goes_to_the_nearest_voxel_of_its_own(around: int, moved: bool):
    volume, segmentation = image(), NOTHING.copy()
    place = volume.TransformIndexToPhysicalPoint((17, 9, 4))
    segmentation[0, 4, 9, 15:20] = around
    segmentation[0, :, 13:] = 1  # 4 voxels of 1.5 mm further down
    points = points_at(("b", 1, place))
    for _ in range(2):  # the second time from what is remembered
        drawn = points.draw("c", (10, 24, 30), properties_of(volume, (0, 1, 2)), segmentation) & MARKS
        assert np.argwhere(drawn == 0b10).mean(0).tolist() == [4, 13 if moved else 9, 17]


def test_a_mark_stays_where_its_structure_is_not_segmented():
    place = image().TransformIndexToPhysicalPoint((17, 9, 4))
    drawn = points_at(("b", 1, place)).draw("c", (10, 24, 30), properties_of(image(), (0, 1, 2)), NOTHING + 2)
    assert drawn[4, 9, 17] & MARKS == 0b10


def test_pointed_tells_which_decisions_are_marked():
    points = points_at(("a", 1, (0.0, 0.0, 0.0)), ("b", 1, None))
    assert points.pointed("c").tolist() == [[True, False]]
    assert points.any()
    assert not points_at(("a", 1, None)).any()


def test_images_without_world_coordinates_are_refused_by_case():
    properties = properties_of(image(), (0, 1, 2))
    del properties["sitk_stuff"]
    with pytest.raises(UserError, match=r"^c: .*world coordinates"):
        points_at(("a", 1, (0.0, 0.0, 0.0))).draw("c", (10, 24, 30), properties, NOTHING)


def test_more_findings_than_bits_are_refused():
    block = {f"f{n}": {"applies_to": ["L5"]} for n in range(15)}
    annotations = FindingAnnotations([Annotation("c", "L5", "f3", 1, (0.0, 0.0, 0.0))])
    with pytest.raises(UserError, match="limited to 14"):
        FindingPoints(annotations, FindingVocabulary.from_block(block, ("L5",)), [1], (0, 1, 2)).any()


class Plain:
    """Stands for nnU-Net's data set."""

    identifiers = ("c",)

    def load_case(self, identifier: str):
        properties = properties_of(image(), (0, 1, 2)) | {"class_locations": {1: np.ones((3, 4)), 2: []}}
        return np.zeros((1, 10, 24, 30)), np.ones((1, 10, 24, 30)), None, properties


def test_data_set_gives_the_marks_as_its_third_part_and_can_be_sent_to_workers():
    place = image().TransformIndexToPhysicalPoint((17, 9, 4))
    dataset = PointedDataset(Plain(), points_at(("a", 1, place)))
    assert dataset.identifiers == ("c",)
    for one in (dataset, copy.deepcopy(dataset), pickle.loads(pickle.dumps(dataset))):
        _, segmentation, marks, properties = one.load_case("c")
        assert [np.shape(v) for v in properties["class_locations"].values()] == [(3, 4), (0,), *3 * [(1, 4)]]
        assert segmentation.sum() == 7200
        assert marks[4, 9, 17] & MARKS == 1


def test_three_of_four_centred_patches_go_to_marks():
    locations = {code: np.ones((5, 4), dtype=int) for code in range(1, 7)} | {9: np.empty((0, 4))}
    joined = with_marks(locations, [np.array([2, 3, 4]), np.array([5, 6, 7])])
    marks = [voxels.tolist() for key, voxels in joined.items() if key not in locations]
    assert sorted(marks) == 9 * [[[0, 2, 3, 4]]] + 9 * [[[0, 5, 6, 7]]]
    assert with_marks(locations, []) == locations
