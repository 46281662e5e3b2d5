"""MRSpineSeg (Southern Medical University): the source of the shared codes 1 to 19.

Sources: label table of the challenge as pangshumao/SpineParseNet and PaddleSeg's
contrib/MedicalSeg/tools/prepare_mri_spine_seg.py use it; neuropoly/totalspineseg's labels_maps/mrspineseg.json agrees.
"""

from __future__ import annotations

from nnunet_textguided.dataset_conversion.label_maps.label_map import LabelMap
from nnunet_textguided.spine import SPINE_STRUCTURES

MRSPINESEG = LabelMap(
    name="mrspineseg",
    codes=dict(enumerate(SPINE_STRUCTURES, start=1)),
    licence="MRSpineSeg: research only, no commercial use, under a signed agreement",
)
