"""A study's files and series, and the sagittal stack chosen from them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from dicom_files import cut, write_series

from nnunet_textguided.dataset_conversion.base.problems import CaseError
from nnunet_textguided.dataset_conversion.dicom.header import read_slice_header
from nnunet_textguided.dataset_conversion.dicom.stack import Stack
from nnunet_textguided.dataset_conversion.dicom.study import (
    choose_sagittal,
    find_dicom_files,
    read_study,
    stacks_of_study,
)

TINY = np.arange(24, dtype=np.uint16).reshape(4, 3, 2)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    folder.mkdir()
    return folder


def test_dicom_files_are_found_by_suffix_or_content_and_others_passed_over(tree):
    wanted = write_series(tree / "a" / "b", TINY) + write_series(tree / "c", TINY)
    for path, name in ((wanted[0], "first.IMA"), (wanted[1], "no suffix ü"), (wanted[2], "slice.dicom")):
        wanted[wanted.index(path)] = path.rename(path.with_name(name))
    (tree / "notes.txt").write_text("no image")
    (tree / "._1.dcm").write_bytes(b"resource fork")
    (tree / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
    assert find_dicom_files(tree, tree) == (sorted(wanted), [])


def test_links_are_followed_inside_the_tree_only(tree, tmp_path):
    outside, inside = write_series(tmp_path / "outside", TINY), write_series(tree / "store", TINY)
    (tree / "study").mkdir()
    (tree / "study" / "out.dcm").symlink_to(outside[0])
    (tree / "study" / "out").symlink_to(tmp_path / "outside", target_is_directory=True)
    (tree / "study" / "climbs.dcm").symlink_to(Path("..") / ".." / "outside" / "1.dcm")
    (tree / "study" / "nothing.dcm").symlink_to(tree / "gone.dcm")
    (tree / "study" / "in.dcm").symlink_to(inside[0])
    (tree / "study" / "in").symlink_to(tree / "store", target_is_directory=True)
    (tree / "study" / "round").symlink_to(tree / "study", target_is_directory=True)
    files, problems = find_dicom_files(tree / "study", tree)
    assert files == sorted([tree / "study" / "in.dcm", *(tree / "study" / "in" / path.name for path in inside)])
    assert problems == [
        f"{tree / 'study' / 'climbs.dcm'}: leads out of {tree}; left out",
        f"{tree / 'study' / 'nothing.dcm'}: leads to nothing; left out",
        f"{tree / 'study' / 'out'}: leads out of {tree}; left out",
        f"{tree / 'study' / 'out.dcm'}: leads out of {tree}; left out",
    ]


@pytest.mark.parametrize("name", ["../outside", "link"])
def test_a_folder_outside_the_tree_is_not_searched(tree, tmp_path, name):
    write_series(tmp_path / "outside", TINY)
    (tree / "link").symlink_to(tmp_path / "outside", target_is_directory=True)
    files, problems = find_dicom_files(tree / name, tree)
    assert files == []
    assert problems == [f"{tree / name}: leads out of {tree}; left out"]


def test_a_pipe_does_not_block_the_search(tree):
    os.mkfifo(tree / "pipe.dcm")
    assert find_dicom_files(tree, tree) == ([], [])


def test_a_study_is_sorted_into_series_and_broken_files_are_listed(tree):
    first = write_series(tree / "flat", TINY, series="1.1")
    second = write_series(tree / "flat", TINY, series="1.2", first_number=11)
    (tree / "flat" / "table.dcm").write_text("text")
    cut(first[3], TINY[0].nbytes + 40)
    files, _ = find_dicom_files(tree, tree)
    series, problems = read_study(files)
    assert {uid: sorted(header.path for header in headers) for uid, headers in series.items()} == {
        "1.1": first[:3],
        "1.2": second,
    }
    assert set(problems) == {str(tree / "flat" / "table.dcm"), str(first[3])}
    assert "not a DICOM file" in problems[str(tree / "flat" / "table.dcm")]


def test_series_without_uid_are_told_apart_by_their_folders(tree):
    write_series(tree / "t1", TINY, SeriesInstanceUID=None)
    write_series(tree / "t2", TINY, SeriesInstanceUID=None)
    series, _ = read_study(find_dicom_files(tree, tree)[0])
    assert {uid: len(headers) for uid, headers in series.items()} == {str(tree / "t1"): 4, str(tree / "t2"): 4}


def test_a_series_without_a_grid_is_left_out_and_the_others_stay(tree):
    paths = write_series(tree / "holes", TINY, series="1.1")
    write_series(tree / "whole", TINY, series="1.2")
    paths[1].unlink()
    stacks, notes = stacks_of_study(read_study(find_dicom_files(tree, tree)[0])[0])
    assert [stack.slices[0].series for stack in stacks] == ["1.2"]
    (note,) = notes
    assert note.startswith("left out series 1.1 (t2_tse_sag): slices lie 4 mm apart, but 8 mm between instance 1 and")


def stack(folder: Path, series: str, volume: np.ndarray = TINY, **options: object) -> Stack:
    paths = write_series(folder / series, volume, **{"series": series, "description": "T2", **options})
    return Stack(tuple(read_slice_header(path) for path in paths))


def test_the_only_sagittal_stack_of_the_weighting_is_taken_without_a_word(tree):
    wanted = stack(tree, "1.2")
    others = [stack(tree, "1.1", description="T1"), stack(tree, "1.3", plane="axial")]
    assert choose_sagittal([others[0], wanted, others[1]], "T2") == (wanted, [])
    assert choose_sagittal([others[0], wanted, others[1]], "T1") == (others[0], [])


def test_no_stack_of_the_weighting_is_an_error_that_lists_what_there_is(tree):
    stacks = [stack(tree, "1.1", description="T1"), stack(tree, "1.3", plane="axial")]
    with pytest.raises(CaseError) as caught:
        choose_sagittal(stacks, "T2")
    assert str(caught.value) == (
        "expected a sagittal T2 series, found series 1.1 (T1): sagittal, T1; series 1.3 (T2): axial, T2"
    )
    with pytest.raises(CaseError, match="found no series with a regular grid"):
        choose_sagittal([], "T2")


def test_preferences_count_in_their_order_and_are_noted(tree):
    suppressed = stack(tree, "1.1", np.concatenate([TINY] * 3), description="T2 FS")
    few = stack(tree, "1.2", TINY[:3], spacing=(0.2, 0.2, 4.0))
    coarse = stack(tree, "1.3", spacing=(0.5, 0.6, 4.0))
    fine = stack(tree, "1.4", spacing=(0.5, 0.5, 4.0))
    chosen, notes = choose_sagittal([suppressed, few, coarse, fine], "T2")
    assert chosen == fine
    assert notes == [
        "sagittal T2: left out series 1.1 (T2 FS) for one without fat suppression",
        "sagittal T2: left out series 1.2 (T2) for one of more slices",
        "sagittal T2: left out series 1.3 (T2) for one of finer pixels",
    ]


def test_fat_suppressed_is_better_than_nothing(tree):
    wanted = stack(tree, "1.1", description="STIR sag")
    assert choose_sagittal([wanted, stack(tree, "1.2", description="T1 sag")], "T2") == (wanted, [])


def test_of_stacks_that_do_not_say_the_brighter_is_taken(tree):
    dark, bright = stack(tree, "1.1"), stack(tree, "1.2", TINY + 50)
    chosen, notes = choose_sagittal([dark, bright], "T2")
    assert chosen == bright
    assert notes == ["sagittal T2: left out series 1.1 (T2) for one whose middle slice is brighter"]


def test_pixels_are_not_read_where_headers_decide(tree):
    stacks = [stack(tree, "1.1", description="T2 FS"), stack(tree, "1.2")]
    for header in stacks[0].slices + stacks[1].slices:
        header.path.unlink()
    assert choose_sagittal(stacks, "T2")[0] == stacks[1]


def test_the_first_of_equal_stacks_is_taken_and_noted(tree):
    stacks = [stack(tree, "1.1"), stack(tree, "1.2")]
    chosen, notes = choose_sagittal(stacks, "T2")
    assert chosen == stacks[0]
    assert notes == ["sagittal T2: 2 stacks are alike; took the first, series 1.1 (T2)"]


def test_a_weighting_known_by_timing_alone_is_noted(tree):
    wanted = stack(tree, "1.1", description="sag", EchoTime=102.0, RepetitionTime=3000.0)
    notes = choose_sagittal([wanted], "T2")[1]
    assert notes == ["sagittal T2: series 1.1 (sag) is taken for it by its echo time, 102 ms"]
