"""Plans and data set as if there were more or fewer structures, or another image encoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

BLOCK = "text_guidance"


def with_encoder(plans: Mapping[str, Any], encoder: str | None) -> dict[str, Any]:
    """Return plans whose text-guided network starts from random weights: nothing is fetched for a benchmark.

    Args:
        plans: nnU-Net's, with or without the block `text_guidance`.
        encoder: timm's name of another image encoder; None for that of the plans.
    """
    block = {**plans.get(BLOCK, {}), "encoder_weights": "none", "encoder_source": None}
    if encoder is not None:
        block["encoder"] = encoder
    return {**plans, BLOCK: block}


def with_classes(
    plans: Mapping[str, Any], dataset_json: Mapping[str, Any], classes: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return plans and dataset.json with so many structures, without findings, with random vectors for names.

    Mirroring is set by hand, because the rule for it reads the labels of the real cases.

    Args:
        plans: nnU-Net's.
        dataset_json: nnU-Net's.
        classes: Number of structures.
    """
    names = [f"structure {number}" for number in range(1, classes + 1)]
    block = {
        **plans.get(BLOCK, {}),
        "names": names,
        "terms": {name: name for name in names},
        "findings": {},
        "text_model": "random",
        "text_weights": None,
        "bank": None,
        "mirror_axes": {"mode": "none", "order_fixed_axes": None},
    }
    labels = {"background": 0, **{name: code for code, name in enumerate(names, start=1)}}
    dataset = {key: value for key, value in dataset_json.items() if key not in (BLOCK, "regions_class_order")}
    return {**plans, BLOCK: block}, {**dataset, "labels": labels}
