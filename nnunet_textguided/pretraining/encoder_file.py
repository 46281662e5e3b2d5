"""The encoder's file: timm's own names, and where the weights come from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from nnunet_textguided import __version__
from nnunet_textguided.files import atomic_path
from nnunet_textguided.pretraining.masked_encoder import MaskedEncoder

LICENCE = "trained from random weights; the licence of the training images applies"


def save_encoder(encoder: MaskedEncoder, path: Path, summary: dict[str, Any]) -> None:
    """Write the encoder for `plan --encoder-weights FILE` and for timm (`num_classes=0`).

    Args:
        encoder: The encoder.
        path: File to write, .safetensors.
        summary: What it was trained on, for how long, and how well.
    """
    metadata = {
        "architecture": encoder.architecture,
        "method": "FCMAE",
        "made_by": f"nnunet_textguided {__version__}",
        "licence": LICENCE,
        "training": json.dumps(summary),
        "format": "pt",
    }
    state = {key: value.detach().cpu().contiguous() for key, value in encoder.model.state_dict().items()}
    with atomic_path(path) as temporary:
        save_file(state, str(temporary), metadata)
