"""TotalSpineSeg, step 2 (the mask of vertebrae, discs, cord and canal).

Sources: neuropoly/totalspineseg, totalspineseg/resources/labels_maps/tss_map.json; disc 96 (L5/L6) and the meaning of
91 and 100 as the landmarks at the ends of the lumbar spine: totalspineseg/inference.py. So 100 is the disc on the
sacrum, whatever vertebra lies above it, and 91 the one between the last thoracic vertebra and L1.

Its canal (2, named CSF there) leaves the cord (1) out. Our canal is SPIDER's, which holds the cord, so both are canal.
"""

from __future__ import annotations

from nnunet_textguided.dataset_conversion.label_maps.label_map import LabelMap, Variant

_LUMBAR = {40 + number: f"L{number}" for number in range(1, 6)}
_THORACIC = {20 + number: f"T{number}" for number in range(9, 13)}
_DISCS = {
    **{100: "L5/S", 95: "L4/L5", 94: "L3/L4", 93: "L2/L3", 92: "L1/L2"},
    **{91: "T12/L1", 82: "T11/T12", 81: "T10/T11", 80: "T9/T10"},
}

TOTALSPINESEG = LabelMap(
    name="totalspineseg",
    codes={50: "S", **_LUMBAR, **_THORACIC, **_DISCS, 2: "canal", 1: "canal", 46: "L6", 47: "L7", 96: "L5/L6"},
    background={
        **{10 + number: f"C{number}" for number in range(1, 8)},
        **{20 + number: f"T{number}" for number in range(1, 9)},
        **dict.fromkeys((*range(63, 68), *range(71, 80)), "disc above T9"),
    },
    variants=(
        Variant(present=("L6",), absent=("L7",), codes={100: "L6/S"}),
        Variant(present=("L7",), codes={100: "L7/S"}),
        Variant(present=("L4", "S"), absent=("L5", "L6", "L7"), codes={100: "L4/S"}),
        Variant(present=("T11", "L1"), absent=("T12",), codes={91: "T11/L1"}),
    ),
    licence="TotalSpineSeg: LGPL-3.0; the masks are as free as the images they were made from",
    hint=(
        "Releases of 2024 numbered as TotalSegmentator did (L5 18, sacrum 92, discs from 202): make the masks anew "
        "with a newer release, or describe their codes in a JSON file (--from map.json)"
    ),
)
