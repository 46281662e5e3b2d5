"""Whether the starting weights of the image encoder can be had, before any time is spent."""

from __future__ import annotations

from pathlib import Path

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
