"""Whether the starting weights of the image encoder can be had, before any time is spent."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nnunet_textguided.architectures import check_encoder_file
from nnunet_textguided.errors import UserError
from nnunet_textguided.text.probe import ensure_reachable
from nnunet_textguided.trainers.guidance import TextGuidance

WAYS_OUT = (
    "a file in timm's key names (nnunet_textguided plan --encoder-weights FILE), "
    "or training from scratch (--encoder-weights none)"
)


def check_source(source: str) -> None:
    """Accept `timm`, `none` or an existing file.

    Raises:
        UserError: It is none of these.
    """
    if source not in ("timm", "none") and not Path(source).is_file():
        raise UserError(f"Encoder weights are 'timm', 'none' or a file; there is no file {source}.")


def source_of_file(source: str, encoder: str) -> dict[str, Any] | None:
    """Where the weights of a file come from; None for `timm` and `none`.

    Args:
        source: As in the plans.
        encoder: timm's name.

    Raises:
        UserError: No such file, or weights of another encoder.
    """
    check_source(source)
    return None if source in ("timm", "none") else check_encoder_file(Path(source), encoder)


def same_source(known: Mapping[str, Any] | None, loaded: Mapping[str, Any]) -> dict[str, Any]:
    """What to note about the weights just loaded, if they are those that the plans or another fold know.

    Args:
        known: `encoder_source` of the plans.
        loaded: Of `load_encoder_weights`.

    Raises:
        UserError: They differ.
    """
    if known and known["sha256"] != loaded["sha256"]:
        raise UserError(
            f"The encoder weights {loaded['source']} have changed: sha256 {loaded['sha256'][:12]}... instead of "
            f"{known['sha256'][:12]}.... Put the file back, or make plans of another name with them: nnunet_textguided "
            "plan --encoder-weights FILE --name NEW_NAME"
        )
    return {key: loaded[key] for key in ("source", "sha256", "licence", "pretraining")}


def check_reachable(guidance: TextGuidance) -> None:
    """Probe the model hub once, unless the weights are local, cached or not wanted.

    Raises:
        UserError: They cannot be had; the text names the ways out.
    """
    check_source(guidance.encoder_weights)
    if guidance.encoder_weights != "timm":
        return
    import timm

    config = timm.get_pretrained_cfg(guidance.encoder, allow_unregistered=False)
    if config is None or not config.hf_hub_id:
        raise UserError(f"timm has no pretrained weights for {guidance.encoder}. Ways out: {WAYS_OUT}.")
    ensure_reachable(config.hf_hub_id, None, f"the pretrained weights of {guidance.encoder}", WAYS_OUT)
