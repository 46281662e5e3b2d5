"""SPINEPS with its labelling model VERIDAH: the vertebra mask (seg-vert).

Sources: README of Hendrik-code/spineps (X is a vertebra, 100 + X its disc, 200 + X its endplate); numbers of the
levels: `Vertebra_Instance` of Hendrik-code/TPTBox (1-7 C1-C7, 8-19 T1-T12, 20-24 L1-L5, 25 L6, 26 S1, 28 T13);
`add_ivd_ep_vert_label` in spineps/phase_post.py gives a disc the number of the vertebra above it.
Measured on the masks among panoptica's examples: disc 100 + X lies below vertebra X, the sacrum is 26.

A disc takes its name from the vertebra above, so in transitional anatomy a standard number is another disc: 124 is
L5/L6 where there is an L6. Four lumbar vertebrae are L1-L4 (20-23) above the sacrum, eleven thoracic end at T11.
"""

from __future__ import annotations

from nnunet_textguided.dataset_conversion.label_maps.label_map import LabelMap, Variant

SACRUM = 26
DISC, ENDPLATE = 100, 200
VERTEBRAE = range(1, 26)

SUBREGION_HINT = (
    "Codes 41 to 64 and 100 are those of SPINEPS's subregion mask (seg-spine): parts of vertebrae, cord, canal and "
    "discs without levels. Give its vertebra mask (seg-vert) instead"
)

_CERVICAL = {number: f"C{number}" for number in range(1, 8)}
_THORACIC = {7 + number: f"T{number}" for number in range(1, 13)}
_LUMBAR = {19 + number: f"L{number}" for number in range(1, 6)}
_SHARED = {code: name for code, name in {**_THORACIC, **_LUMBAR}.items() if code >= 16}
_ABOVE = {code: name for code, name in {**_CERVICAL, **_THORACIC}.items() if code not in _SHARED}
_BELOW = {16: "T10", 17: "T11", 18: "T12", 19: "L1", 20: "L2", 21: "L3", 22: "L4", 23: "L5", 24: "S"}

SPINEPS = LabelMap(
    name="spineps",
    codes={
        **_SHARED,
        SACRUM: "S",
        **{DISC + code: f"{_SHARED[code]}/{below}" for code, below in _BELOW.items()},
        25: "L6",
        28: "T13",
        DISC + 25: "L6/S",
        DISC + 28: "T13/L1",
    },
    background={
        **_ABOVE,
        **{DISC + code: f"disc below {name}" for code, name in _ABOVE.items()},
        DISC + SACRUM: "disc below S1",
        **{ENDPLATE + code: "endplate" for code in (*VERTEBRAE, SACRUM, 28)},
    },
    variants=(
        Variant(present=("L6",), codes={124: "L5/L6"}),
        Variant(present=("T13",), codes={119: "T12/T13"}),
        Variant(present=("L4", "S"), absent=("L5", "L6"), codes={123: "L4/S"}),
        Variant(present=("T11", "L1"), absent=("T12", "T13"), codes={118: "T11/L1"}),
    ),
    licence="SPINEPS: Apache-2.0; the masks are as free as the images they were made from",
    hint=SUBREGION_HINT,
)
