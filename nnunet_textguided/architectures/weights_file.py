"""Reads a state dict from a file nobody vouches for."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from nnunet_textguided.errors import UserError

WRAPPERS = ("model", "state_dict")  # names under which training scripts put the weights into a checkpoint
UNREADABLE = (
    OSError,
    RuntimeError,
    ValueError,
    EOFError,
    KeyError,
    IndexError,
    pickle.UnpicklingError,
    SafetensorError,
)


def read_weights_file(path: Path, expected: str) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Read a .safetensors, .pth, .pt or .bin file; no code in it is run.

    Args:
        path: The file.
        expected: What should be in it, for the error text.

    Returns:
        State dict on the CPU, and the file's own metadata (safetensors only).

    Raises:
        UserError: Missing, corrupt, truncated, or not a state dict.
    """
    if not path.is_file():
        raise UserError(f"Expected encoder weights ({expected}) in the file {path}, found no such file.")
    try:
        content, metadata = _read(path)
    except UNREADABLE as error:
        raise UserError(
            f"Could not read encoder weights from {path}: {str(error).splitlines()[0] if str(error) else error!r}. "
            f"Expected the weights of {expected} as .safetensors or as a PyTorch file that torch.load reads with "
            "weights_only=True. The file may be truncated or be something else; get it again."
        ) from error
    for name in WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(name), dict):
            content = content[name]
    if not isinstance(content, dict) or not content or not all(isinstance(v, torch.Tensor) for v in content.values()):
        raise UserError(f"Expected a state dict (names and tensors) of {expected} in {path}, got something else.")
    return content, metadata


def _read(path: Path) -> tuple[object, dict[str, str]]:
    if path.suffix == ".safetensors":
        with safe_open(path, framework="pt", device="cpu") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    return torch.load(path, map_location="cpu", weights_only=True), {}
