"""Loads pretrained weights into the encoder, every key accounted for on both sides."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import timm
import torch
from torch import nn

from nnunet_textguided.architectures.encoder import slice_encoder
from nnunet_textguided.architectures.encoder_names import check_encoder_name
from nnunet_textguided.architectures.lift import STEM_KERNEL, feature_network_keys, lift_encoder_state
from nnunet_textguided.architectures.weights_file import read_weights_file
from nnunet_textguided.errors import UserError
from nnunet_textguided.files import file_sha256

logger = logging.getLogger(__name__)

CLASSIFIER_PREFIXES = ("head.", "norm_pre.", "norm.")  # parts of the classifier that a feature network does not have


def load_encoder_weights(network_or_encoder: nn.Module, source: str, encoder_name: str) -> dict[str, Any]:
    """Load pretrained weights into a 2D or 3D encoder of any channel count.

    Args:
        network_or_encoder: A `TextGuidedNetwork` or its encoder.
        source: "timm" (downloaded through timm, or from its cache) or the path of a local file with timm's key names,
            2D, of three or of the encoder's own number of channels.
        encoder_name: timm's name; with source "timm" its tag says which weights.

    Returns:
        What was loaded: source, encoder, sha256 (of the file; with "timm" of the tensors), licence, pretraining (what
        the file notes about it, else None), n_loaded (tensors taken over), n_parameters, unused (keys of the
        classifier left out).

    Raises:
        UserError: Unknown encoder, file missing or corrupt, weights not reached, or keys or shapes that do not fit.
    """
    encoder = getattr(network_or_encoder, "encoder", network_or_encoder)
    check_encoder_name(encoder_name)
    state, info = _from_timm(encoder_name) if source == "timm" else _from_file(Path(source), encoder_name)
    state, unused = _of_the_encoder(state, encoder_name, info["source"])
    _load(encoder, state)
    info.update(
        encoder=encoder_name,
        n_loaded=len(state),
        n_parameters=sum(value.numel() for value in state.values()),
        unused=unused,
    )
    logger.info("Encoder weights: %s, licence: %s, sha256 %s", info["source"], info["licence"], info["sha256"])
    return info


def check_encoder_file(path: Path, encoder_name: str) -> dict[str, Any]:
    """Say where the weights of a file come from, once they are seen to fit.

    Args:
        path: As `source` of `load_encoder_weights`.
        encoder_name: timm's name.

    Returns:
        source, sha256, licence and pretraining, as `load_encoder_weights` has them.

    Raises:
        UserError: See `load_encoder_weights`.
    """
    state, info = _from_file(path, encoder_name)
    _of_the_encoder(state, encoder_name, info["source"])
    return info


def _of_the_encoder(
    state: Mapping[str, torch.Tensor], encoder_name: str, origin: str
) -> tuple[dict[str, torch.Tensor], list[str]]:
    """Weights of the feature network, and the names of those of the classifier."""
    state = feature_network_keys(state)
    unused = sorted(key for key in state if key.startswith(CLASSIFIER_PREFIXES))
    kept = {key: value.float() for key, value in state.items() if key not in unused}
    check_accounted(kept, encoder_name, origin)
    return kept, unused


def check_accounted(state: Mapping[str, torch.Tensor], encoder_name: str, origin: str) -> None:
    """Compare weights with timm's feature network of that name.

    Args:
        state: State dict with the keys of timm's `features_only` network.
        encoder_name: timm's name.
        origin: Where the weights are from, for the error text.

    Raises:
        UserError: Keys missing or left over, other shapes, or values that are not finite; all of them are listed.
    """
    with torch.device("meta"):
        expected = slice_encoder(encoder_name.split(".")[0], 3).state_dict()
    problems = [f"missing {key}" for key in expected if key not in state]
    problems += [f"not part of the encoder: {key}" for key in state if key not in expected]
    for key in expected.keys() & state.keys():
        have, want = list(state[key].shape), list(expected[key].shape)
        if key == STEM_KERNEL and len(have) == 4:
            want[1] = have[1]  # any number of channels can be adapted
        if have != want:
            problems.append(f"{key} has shape {have} instead of {want}")
        elif not bool(torch.isfinite(state[key]).all()):
            problems.append(f"{key} holds NaN or infinity")
    if problems:
        shown = "; ".join(problems[:20]) + (f"; and {len(problems) - 20} more" if len(problems) > 20 else "")
        raise UserError(f"The weights of {origin} are not those of the encoder {encoder_name}: {shown}.")


def _from_file(path: Path, encoder_name: str) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    path = path.expanduser()
    state, metadata = read_weights_file(path, encoder_name)
    licence = metadata.get("licence") or metadata.get("license") or "not stated in the file"
    pretraining = " ".join(metadata[key] for key in ("method", "training") if key in metadata) or None
    return state, {
        "source": str(path),
        "sha256": file_sha256(path),
        "licence": licence,
        "pretraining": pretraining,
    }


def _from_timm(encoder_name: str) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    try:
        model = timm.create_model(encoder_name, pretrained=True)
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(
            f"timm could not load the pretrained weights of {encoder_name}: {error}. Ways out: another tag, a local "
            "file with those weights, or no pretrained weights (none)."
        ) from error
    config = cast(dict[str, Any], model.pretrained_cfg)
    state = model.state_dict()
    digest = hashlib.sha256()
    for key, value in state.items():
        digest.update(key.encode())
        digest.update(value.contiguous().numpy().tobytes())
    source = f"timm:{config['architecture']}.{config['tag']}"
    return state, {
        "source": source,
        "sha256": digest.hexdigest(),
        "licence": config.get("license") or "not stated",
        "pretraining": None,
    }


def _load(encoder: nn.Module, state: Mapping[str, torch.Tensor]) -> None:
    factors: dict[str, int] = getattr(encoder, "slice_factors", dict)()
    read = encoder.get_parameter(STEM_KERNEL).shape[1]
    lifted = lift_encoder_state(state, read // factors.get(STEM_KERNEL, 1), factors)
    result = encoder.load_state_dict(lifted, strict=False)
    left = [key for key in result.missing_keys if not key.startswith("mixers.")] + list(result.unexpected_keys)
    if left:
        raise ValueError(f"The encoder differs from timm's feature network in {left}.")
