"""Stacks out of the slices of one series: order, geometry, and what is wrong with a series."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicom_files import PLANES, write_series, write_slice

from nnunet_textguided.dataset_conversion.base.problems import CaseError
from nnunet_textguided.dataset_conversion.dicom.header import SliceHeader, read_slice_header
from nnunet_textguided.dataset_conversion.dicom.stack import Stack, stacks_of

TINY = np.zeros((6, 4, 3), dtype=np.uint8)
TINY[:] = np.arange(6)[:, None, None]  # no two slices are alike


def series(folder: Path, volume: np.ndarray = TINY, **options: object) -> list[SliceHeader]:
    return [read_slice_header(path) for path in write_series(folder, volume, **options)]


def numbers(stack: Stack) -> list[int | None]:
    return [header.number for header in stack.slices]


def turned(degrees: float) -> dict[str, tuple[float, float, float]]:
    """Axial axes turned about the patient's left-right axis."""
    angle = np.deg2rad(degrees)
    return {"row": (1.0, 0.0, 0.0), "column": (0.0, float(np.cos(angle)), float(np.sin(angle)))}


@pytest.mark.parametrize("plane", list(PLANES))
def test_a_series_in_any_order_of_files_is_one_stack_along_its_normal(tmp_path, plane):
    headers = series(tmp_path, plane=plane, origin=(1.0, -2.0, 3.5), spacing=(0.5, 0.75, 4.5), SpacingBetweenSlices=1.0)
    shuffled = [headers[i] for i in (3, 0, 5, 1, 4, 2)]
    (stack,), notes = stacks_of(shuffled)
    assert notes == []
    assert numbers(stack) == [1, 2, 3, 4, 5, 6]
    assert (stack.plane, stack.size, stack.origin) == (plane, (3, 4, 6), (1.0, -2.0, 3.5))
    assert stack.spacing == pytest.approx((0.5, 0.75, 4.5))
    row, column = map(np.array, PLANES[plane])
    np.testing.assert_allclose(stack.orientation, np.stack([row, column, np.cross(row, column)], axis=1), atol=1e-12)


def test_slices_numbered_against_the_normal_are_turned_round(tmp_path):
    headers = series(tmp_path, spacing=(0.5, 0.5, -4.0))
    (stack,), _ = stacks_of(headers)
    assert numbers(stack) == [6, 5, 4, 3, 2, 1]
    assert stack.spacing[2] == pytest.approx(4.0)
    assert stack.origin == headers[-1].position


@pytest.mark.parametrize(("degrees", "plane"), [(0, "axial"), (40, "axial"), (45, "oblique"), (50, "coronal")])
def test_the_plane_is_that_of_the_axis_near_the_normal(tmp_path, degrees, plane):
    (stack,), _ = stacks_of(series(tmp_path, **turned(degrees)))  # cos 41.4 degrees = 0.75
    assert stack.plane == plane


def test_rounded_direction_cosines_become_orthonormal(tmp_path):
    (stack,), _ = stacks_of(series(tmp_path, row=(0.034, 0.999, 0.005), column=(-0.023, 0.006, -1.0)))
    np.testing.assert_allclose(stack.orientation.T @ stack.orientation, np.eye(3), atol=1e-12)
    assert np.linalg.det(stack.orientation) == pytest.approx(1.0)
    assert stack.spacing[2] == pytest.approx(4.0, rel=1e-3)


def test_every_orientation_of_an_axial_series_is_a_stack(tmp_path):
    headers = [
        header
        for block, degrees in enumerate((0, 10, 25))
        for header in series(
            tmp_path,
            TINY[: 3 + block],
            origin=(0.0, 0.0, 40.0 * block),
            first_number=10 * block + 1,
            **turned(degrees),
        )
    ]
    stacks, notes = stacks_of(headers)
    assert notes == []
    assert [numbers(stack) for stack in stacks] == [[1, 2, 3], [11, 12, 13, 14], [21, 22, 23, 24, 25]]
    assert {stack.plane for stack in stacks} == {"axial"}
    assert [stack.spacing[2] for stack in stacks] == pytest.approx([4.0] * 3)


def test_parallel_axial_blocks_are_stacks_of_their_own(tmp_path):
    near = series(tmp_path, TINY[:3], plane="axial")
    apart = series(tmp_path, TINY[:3], plane="axial", origin=(0.0, 0.0, 30.0), first_number=4)
    aside = series(tmp_path, TINY[:3], plane="axial", origin=(0.0, 1.0, 2.0), first_number=7)
    stacks, notes = stacks_of(near + apart + aside)
    assert sorted(numbers(stack) for stack in stacks) == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    (note,) = notes
    assert "slices lie 4 mm apart, but 22 mm between instance 3 and instance 4: taken as 2 blocks" in note


@pytest.mark.parametrize(
    "other",
    [{"spacing": (0.6, 0.5, 4.0)}, {"EchoTime": 12.0}, {"EchoNumbers": 2}],
    ids=["pixel spacing", "echo time", "echo number"],
)
def test_images_of_another_kind_at_the_same_positions_are_a_stack_of_their_own(tmp_path, other):
    headers = series(tmp_path, TINY[:3], EchoTime=90.0)
    headers += series(tmp_path, TINY[3:], first_number=4, **{"EchoTime": 90.0, **other})
    stacks, _ = stacks_of(headers)
    assert [numbers(stack) for stack in stacks] == [[1, 2, 3], [4, 5, 6]]


def test_images_of_another_size_at_the_same_positions_are_a_stack_of_their_own(tmp_path):
    headers = series(tmp_path, TINY[:3]) + series(tmp_path, TINY[3:, :3], first_number=4)
    assert [stack.size for stack in stacks_of(headers)[0]] == [(3, 4, 3), (3, 3, 3)]


def test_a_stray_slice_of_another_orientation_does_not_disturb_the_rest(tmp_path):
    headers = series(tmp_path) + series(tmp_path, TINY[:1], plane="axial", first_number=7, SliceThickness=5.0)
    stacks, notes = stacks_of(headers)
    assert [(stack.plane, stack.size[2]) for stack in stacks] == [("sagittal", 6), ("axial", 1)]
    (note,) = notes
    assert "instance 7 is a stack of one slice, its depth its SliceThickness 5 mm" in note


def test_missing_sagittal_slices_are_an_error_that_says_where(tmp_path):
    headers = series(tmp_path, series="1.9", description="sag t2")
    with pytest.raises(CaseError) as caught:
        stacks_of(headers[:2] + headers[3:])
    assert "series 1.9 (sag t2)" in str(caught.value)
    assert "slices lie 4 mm apart, but 8 mm between instance 2 and instance 4: slices are missing" in str(caught.value)


def test_a_missing_first_or_last_slice_only_makes_the_stack_smaller(tmp_path):
    (stack,), notes = stacks_of(series(tmp_path)[1:-1])
    assert (numbers(stack), notes) == ([2, 3, 4, 5], [])
    assert stack.spacing[2] == pytest.approx(4.0)


def moved(tmp_path: Path, places: list[float], sideways: float = 0.0) -> list[SliceHeader]:
    """Sagittal slices at these places along the normal (-x)."""
    return [
        read_slice_header(write_slice(tmp_path / f"{i}.dcm", TINY[i], number=i, position=(-place, i * sideways, 0.0)))
        for i, place in enumerate(places)
    ]


def test_jitter_below_a_tenth_is_accepted(tmp_path):
    (stack,), notes = stacks_of(moved(tmp_path, [0.0, 4.0, 8.1, 12.0, 16.0]))
    assert notes == []
    assert stack.spacing[2] == pytest.approx(4.0)


def test_slices_a_little_uneven_are_placed_evenly_with_a_note(tmp_path):
    (stack,), notes = stacks_of(moved(tmp_path, [0.0, 4.0, 8.6, 12.0, 16.0]))
    assert stack.spacing[2] == pytest.approx(4.0)
    assert "slices lie 3.4 to 4.6 mm apart; placed evenly at 4 mm, at most 0.6 mm off" in notes[0]


def test_slices_far_from_an_even_grid_are_an_error(tmp_path):
    with pytest.raises(CaseError, match=r"lie 3\.2 to 5\.2 mm apart, instance 2 1\.2 mm off a regular grid"):
        stacks_of(moved(tmp_path, [0.0, 4.0, 9.2, 12.4, 16.0, 20.0]))


def test_sagittal_slices_that_drift_sideways_are_an_error(tmp_path):
    with pytest.raises(CaseError, match="are not above each other, such as instance 0"):
        stacks_of(moved(tmp_path, [0.0, 4.0, 8.0, 12.0], sideways=0.2))


def test_an_offset_below_a_quarter_pixel_is_no_drift(tmp_path):
    (stack,), notes = stacks_of(moved(tmp_path, [0.0, 4.0, 8.0, 12.0], sideways=0.04))
    assert (stack.size[2], notes) == (4, [])


@pytest.mark.parametrize("same", ["instance", "pixels"])
def test_copies_of_a_slice_are_left_out_with_a_note(tmp_path, same):
    headers = series(tmp_path)
    chosen = headers[2]
    copy = write_slice(
        tmp_path / "copy.dcm",
        TINY[2] if same == "pixels" else TINY[2] + 1,
        number=99,
        instance=chosen.instance if same == "instance" else "1.2.3.4.5",
        position=chosen.position,
        row=chosen.row,
        column=chosen.column,
    )
    (stack,), notes = stacks_of([read_slice_header(copy), *headers])
    assert stack.slices == tuple(headers)
    assert notes == [f"{stack.name}: left out copies of slices: {copy}"]


def test_different_images_at_one_position_are_an_error_that_names_both(tmp_path):
    headers = series(tmp_path)
    other = write_slice(tmp_path / "other.dcm", TINY[2] + 1, number=99, position=headers[2].position)
    with pytest.raises(CaseError) as caught:
        stacks_of([read_slice_header(other), *headers])
    assert "different images at one position" in str(caught.value)
    assert str(other) in str(caught.value)
    assert str(headers[2].path) in str(caught.value)


def test_duplicate_instance_numbers_are_noted_and_positions_decide(tmp_path):
    paths = write_series(tmp_path, TINY)
    for path, number, position in ((paths[3], 3, (-12.0, 0.0, 0.0)), (paths[5], 3, (-20.0, 0.0, 0.0))):
        write_slice(path, TINY[0], number=number, instance=f"1.7.{path.stem}", position=position)
    (stack,), notes = stacks_of([read_slice_header(path) for path in reversed(paths)])
    assert [header.path for header in stack.slices] == paths
    assert notes == [f"{stack.name}: several slices have instance number 3; ordered by their positions"]


def test_slices_without_number_are_called_by_their_file(tmp_path):
    paths = write_series(tmp_path, TINY, InstanceNumber=None)
    with pytest.raises(CaseError, match=r"between 2\.dcm and 4\.dcm"):
        stacks_of([read_slice_header(path) for path in paths if path.stem != "3"])


@pytest.mark.parametrize(
    ("thickness", "depth", "said"),
    [(3.5, 3.5, "its SliceThickness 3.5 mm"), (None, 1.0, "unknown, so taken as 1 mm"), (-1.0, 1.0, "unknown")],
)
def test_one_slice_is_a_stack_whose_depth_is_noted(tmp_path, thickness, depth, said):
    (stack,), (note,) = stacks_of(series(tmp_path, TINY[:1], SliceThickness=thickness))
    assert stack.spacing == (0.5, 0.5, depth)
    assert said in note
