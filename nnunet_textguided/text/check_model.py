"""Whether a text model exists by that name, found out without fetching anything."""

from __future__ import annotations

from pathlib import Path

from nnunet_textguided.errors import UserError
from nnunet_textguided.text.encoders import is_control


def check_text_model(model: str, weights: str | None) -> None:
    """Check the names of a text model and its weights.

    Args:
        model: As for `load_text_encoder`.
        weights: Tag or file.

    Raises:
        UserError: There is no such model, tag or file; the text names near misses.
    """
    if is_control(model) or model.startswith("hf-hub:"):
        return
    from nnunet_textguided.text.clip_source import check_name, local_file, read_config

    if model.startswith("local-dir:"):
        read_config(Path(model.removeprefix("local-dir:")) / "open_clip_config.json")
    elif model.endswith(".json"):
        read_config(Path(model))
        if not weights:
            raise UserError(f"The text model {model} needs a weights file: --text-weights FILE.")
        local_file(weights)
    else:
        check_name(model, weights)
