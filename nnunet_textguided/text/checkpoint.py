"""Reading a weights file and filling a text tower with every key accounted for."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnunet_textguided.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor, nn

WEIGHT_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")
_NOT_TEXT = ("visual.", "text_decoder.", "logit_scale", "logit_bias")
_NOT_WEIGHTS = ("attn_mask", "input_resolution", "context_length", "vocab_size")


def read_state_dict(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Read tensors without running any code from the file.

    Args:
        path: A .safetensors, .pt, .pth or .bin file: a state_dict, or a checkpoint that holds one as "state_dict".

    Returns:
        Key -> tensor; a "module." that DDP puts in front is taken off.

    Raises:
        UserError: Missing, corrupt, truncated, or something else than tensors.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = Path(path)
    if not path.is_file():
        raise UserError(f"Expected a weights file at {path}, found no file.")
    try:
        if path.suffix == ".safetensors":
            content: Any = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} is corrupt, or holds more than tensors, which is not loaded because it could run code. "
            "Save its state_dict alone, or as .safetensors."
        ) from error
    except (SafetensorError, RuntimeError, OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"{path} cannot be read as a weights file: it is corrupt, truncated or not a {path.suffix} file "
            f"({reason}). Download or copy it again; TorchScript archives have to be saved as a state_dict first."
        ) from error
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not content or not all(isinstance(v, torch.Tensor) for v in content.values()):
        raise UserError(f"{path} holds no state_dict (names of tensors); save model.state_dict().")
    return {str(key).removeprefix("module."): value for key, value in content.items()}


def _text_part(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """Keys of the text tower, bare of the "text." that open_clip's newer layout puts in front."""
    if any(key.startswith("text.") for key in state_dict):
        part = {key.removeprefix("text."): value for key, value in state_dict.items() if key.startswith("text.")}
    else:
        part = {key: value for key, value in state_dict.items() if not key.startswith(_NOT_TEXT)}
    # Buffers that older versions of open_clip and transformers saved; both build them anew.
    return {k: v for k, v in part.items() if k not in _NOT_WEIGHTS and not k.endswith("embeddings.position_ids")}


def load_text_tower(model: nn.Module, state_dict: dict[str, Tensor], path: str | os.PathLike[str]) -> None:
    """Fill the text tower of an open_clip model; the vision tower is left as it is.

    Args:
        model: An open_clip CLIP (text keys at the top) or CustomTextCLIP or CoCa (text keys under "text.").
        state_dict: A whole CLIP checkpoint or the text tower alone, in either layout.
        path: For the messages.

    Raises:
        UserError: A key of the text tower is missing, left over or of another shape, or a weight is not finite.
    """
    from open_clip.convert import convert_state_dict

    target = _text_part(model.state_dict())
    source = _text_part(convert_state_dict(model, state_dict))
    missing = sorted(set(target) - set(source))
    if missing:
        raise UserError(
            f"{path} lacks {len(missing)} of {len(target)} keys of the text tower ({_few(missing)}): it belongs to "
            "another model. Name the model it was trained with (--text-model)."
        )
    left_over = sorted(set(source) - set(target))
    if left_over:
        raise UserError(
            f"{path} holds {len(left_over)} keys that this text tower does not have ({_few(left_over)}): it belongs to "
            "another model. Name the model it was trained with (--text-model)."
        )
    for key, value in target.items():
        if source[key].shape != value.shape:
            raise UserError(
                f"{path}: {key} has shape {tuple(source[key].shape)}, the model expects {tuple(value.shape)}. "
                "Name the model it was trained with (--text-model)."
            )
        if not source[key].isfinite().all():
            raise UserError(f"{path}: {key} holds NaN or infinity; the weights are broken.")
    prefix = "text." if any(key.startswith("text.") for key in model.state_dict()) else ""
    model.load_state_dict({prefix + key: value for key, value in source.items()}, strict=False)


def _few(keys: list[str]) -> str:
    return ", ".join(keys[:3]) + (", ..." if len(keys) > 3 else "")
