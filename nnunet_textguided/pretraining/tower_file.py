"""The text tower's files: a whole open_clip checkpoint and the configuration that goes with it."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nnunet_textguided.files import atomic_path, save_json_atomic
from nnunet_textguided.text.clip_encoder import SMALLEST_VISION

WEIGHTS, CONFIG = "open_clip_model.pt", "open_clip_config.json"


def save_tower(clip: nn.Module, config: dict[str, Any], folder: Path, provenance: dict[str, Any]) -> tuple[Path, Path]:
    """Write what `plan --text-model CONFIG --text-weights WEIGHTS` and open_clip itself load.

    open_clip loads whole checkpoints only, so the smallest vision tower lies beside the text tower. It knows nothing.

    Args:
        clip: open_clip model.
        config: Its configuration; the vision tower is replaced by the smallest.
        folder: Where to write.
        provenance: What it was trained from; kept in the configuration under `provenance`.

    Returns:
        Configuration and weights.
    """
    config = deepcopy(config)
    config["vision_cfg"] = dict(SMALLEST_VISION)
    state = {key: value.detach().cpu().contiguous() for key, value in clip.state_dict().items()}
    with atomic_path(folder / WEIGHTS) as temporary:
        torch.save(state, temporary)
    save_json_atomic({"model_cfg": config, "provenance": provenance}, folder / CONFIG)
    return folder / CONFIG, folder / WEIGHTS
