"""DGMSNet's masks of the mid-sagittal slices of 100 Tianchi studies (Case417 to Case516).

Source: pangshumao/DGMSNet, data/Spinal_disease_dataset/in/mask, measured on the files: int16, 2D, 1-5 are L1-L5 and
6-10 the discs L1/L2 to L5/S. The sacrum, T12/L1 and all that lies above are not labelled.
"""

from __future__ import annotations

from nnunet_textguided.dataset_conversion.label_maps.label_map import LabelMap

DGMSNET = LabelMap(
    name="dgmsnet",
    codes={
        **{1: "L1", 2: "L2", 3: "L3", 4: "L4", 5: "L5"},
        **{6: "L1/L2", 7: "L2/L3", 8: "L3/L4", 9: "L4/L5", 10: "L5/S"},
    },
    licence="DGMSNet's repository has no licence file, and the images are under Tianchi's terms: do not redistribute",
)
