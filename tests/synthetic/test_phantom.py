from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage

from nnunet_textguided.errors import UserError
from nnunet_textguided.synthetic.phantom import DIRECTION, Phantom, PhantomSpec, generate_phantom
from nnunet_textguided.synthetic.structures import BOTTOM_UP, CODES

FULL = PhantomSpec(full_field_of_view=True)
TINY = PhantomSpec(shape=(3, 128, 64), spacing=(4.0, 2.7, 2.7))
SMALL = PhantomSpec(shape=(7, 160, 96), spacing=(4.0, 2.15, 2.15))


@pytest.fixture(scope="module", params=[0, 1, 2])
def whole_spine(request: pytest.FixtureRequest) -> Phantom:
    return generate_phantom(request.param, FULL)


def test_same_seed_gives_the_same_volumes_and_another_seed_other_ones():
    first, again, other = (generate_phantom(seed, SMALL) for seed in (3, 3, 4))
    for name in ("t1", "t2", "labels", "canal"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert first.findings == again.findings
    assert not np.array_equal(first.labels, other.labels)
    assert not np.array_equal(first.t2, other.t2)


def test_same_seed_at_another_resolution_is_the_same_patient():
    coarse, fine = generate_phantom(5, SMALL), generate_phantom(5, PhantomSpec((7, 320, 192), (4.0, 1.075, 1.075)))
    volumes = [p.labels.astype(bool).sum() * np.prod(p.spacing) for p in (coarse, fine)]
    assert volumes[0] == pytest.approx(volumes[1], rel=0.05)
    assert [(f.structure, f.finding, f.present) for f in coarse.findings] == [
        (f.structure, f.finding, f.present) for f in fine.findings
    ]


def test_arrays_have_the_asked_shape_and_types():
    phantom = generate_phantom(0, SMALL)
    assert phantom.t1.shape == phantom.t2.shape == phantom.labels.shape == phantom.canal.shape == (7, 160, 96)
    assert phantom.t1.dtype == phantom.t2.dtype == np.float32
    assert phantom.labels.dtype == np.uint8
    assert phantom.canal.dtype == bool
    assert phantom.spacing == (4.0, 2.15, 2.15)
    assert np.isfinite(phantom.t1).all()
    assert np.isfinite(phantom.t2).all()


def test_full_field_of_view_holds_all_19_structures_in_one_piece_each(whole_spine: Phantom):
    assert set(np.unique(whole_spine.labels)) == set(range(20))
    for name, code in CODES.items():
        pieces, count = ndimage.label(whole_spine.labels == code)
        assert count == 1, f"{name}: {np.bincount(pieces.ravel())[1:]} voxels"


def test_structures_stand_in_anatomical_order_from_foot_to_head(whole_spine: Phantom):
    rows = [np.nonzero(whole_spine.labels == CODES[name])[1].mean() for name in BOTTOM_UP]
    assert BOTTOM_UP[:3] == ("S", "L5/S", "L5")
    assert all(lower > upper for lower, upper in pairwise(rows))  # rows run from head to foot


def test_neighbours_touch_and_sizes_are_those_of_a_lumbar_spine(whole_spine: Phantom):
    heights = {}
    for name in BOTTOM_UP[1:]:
        volume = (whole_spine.labels == CODES[name]).sum() * np.prod(whole_spine.spacing)
        heights[name] = volume / 1000
    assert all(15 < heights[name] < 60 for name in ("L1", "L2", "L3", "L4", "L5")), heights  # ml
    assert all(2.5 < heights[name] < 20 for name in ("L4/L5", "L1/L2")), heights
    grown = ndimage.binary_dilation(whole_spine.labels == CODES["L4"], iterations=2)
    assert {CODES["L4/L5"], CODES["L3/L4"]} <= set(np.unique(whole_spine.labels[grown]))


def test_spine_is_lordotic(whole_spine: Phantom):
    columns = {name: np.nonzero(whole_spine.labels == CODES[name])[2].mean() for name in ("S", "L3", "T12")}
    assert columns["L3"] < columns["T12"] < columns["S"]  # columns run from front to back


def test_field_of_view_varies_but_shows_every_graded_structure_whole():
    top_lost = sacrum_cut = 0
    graded = {
        CODES[name] for name in ("L5/S", "L5", "L4/L5", "L4", "L3/L4", "L3", "L2/L3", "L2", "L1/L2", "L1", "T12/L1")
    }
    for seed in range(30):
        phantom = generate_phantom(seed, TINY)
        present = set(np.unique(phantom.labels))
        assert present >= graded
        edge_rows = phantom.labels[:, [0, -1]]
        assert not graded & set(np.unique(edge_rows)), seed
        top_lost += CODES["T9"] not in present
        sacrum_cut += bool((phantom.labels[:, -1] == CODES["S"]).any())
    assert 6 <= top_lost <= 20
    assert 1 <= sacrum_cut <= 12


def test_fluid_is_bright_on_t2_and_dark_on_t1(whole_spine: Phantom):
    bone = (whole_spine.labels > 0) & (whole_spine.labels <= CODES["T9"])
    assert whole_spine.t2[whole_spine.canal].mean() > 1.4 * whole_spine.t2[bone].mean()
    assert whole_spine.t1[whole_spine.canal].mean() < 0.8 * whole_spine.t1[bone].mean()


def test_canal_lies_behind_the_vertebrae_and_overlaps_none(whole_spine: Phantom):
    assert not (whole_spine.canal & (whole_spine.labels > 0)).any()
    row = int(np.nonzero(whole_spine.labels == CODES["L3"])[1].mean())
    middle = whole_spine.labels.shape[0] // 2
    last_bone = np.flatnonzero(whole_spine.labels[middle, row])[-1]
    first_fluid = np.flatnonzero(whole_spine.canal[middle, row])[0]
    assert 0 < first_fluid - last_bone <= 5  # a few mm of epidural space


def test_sensitivity_falls_off_towards_the_front():
    falls = 0
    for seed in range(4):
        phantom = generate_phantom(seed, SMALL)
        front, back = phantom.t1[:, 40:120, :6].mean(), phantom.t1[:, 40:120, 10:16].mean()
        falls += front < back
    assert falls == 4


def test_direction_is_pir():
    sitk = pytest.importorskip("SimpleITK")
    assert sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(DIRECTION) == "PIR"


def test_too_small_field_of_view_says_what_is_needed():
    with pytest.raises(UserError, match="at least 340 mm"):
        generate_phantom(0, PhantomSpec(shape=(7, 100, 96), spacing=(4.0, 2.0, 2.0)))
