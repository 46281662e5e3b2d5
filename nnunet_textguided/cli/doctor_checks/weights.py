"""Whether the default pretrained weights are here or can be had, with one short probe of the network."""

from __future__ import annotations

import os
from collections.abc import Sequence

from nnunet_textguided.cli.doctor_checks.check import Check

TIMM_FILES = ("model.safetensors", "pytorch_model.bin")
OPEN_CLIP_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")


def check_weights() -> list[Check]:
    """Check the image encoder's and the text encoder's default weights; neither is needed to predict."""
    import open_clip
    import timm

    from nnunet_textguided.text.hub_files import WAYS_OUT as TEXT_WAYS_OUT
    from nnunet_textguided.text.probe import can_reach_hub
    from nnunet_textguided.trainers.encoder_weights import WAYS_OUT as ENCODER_WAYS_OUT
    from nnunet_textguided.trainers.guidance import DEFAULT_ENCODER, DEFAULT_TEXT_MODEL, DEFAULT_TEXT_WEIGHTS

    reachable = can_reach_hub()
    image_repo = getattr(timm.get_pretrained_cfg(DEFAULT_ENCODER), "hf_hub_id", None) or ""
    text = open_clip.get_pretrained_cfg(DEFAULT_TEXT_MODEL, DEFAULT_TEXT_WEIGHTS)
    text_repo, text_file = os.path.split(text["hf_hub"])
    text_files = (*OPEN_CLIP_FILES, text_file) if text_file else OPEN_CLIP_FILES
    text_name = f"{DEFAULT_TEXT_MODEL} / {DEFAULT_TEXT_WEIGHTS}"
    return [
        _check(f"encoder weights {DEFAULT_ENCODER}", image_repo, TIMM_FILES, reachable, ENCODER_WAYS_OUT),
        _check(f"text weights {text_name}", text_repo, text_files, reachable, TEXT_WAYS_OUT),
    ]


def _check(name: str, repo_id: str, filenames: Sequence[str], reachable: bool, ways_out: str) -> Check:
    from nnunet_textguided.text.probe import cached_file, hub_endpoint, is_offline_by_choice

    cached = cached_file(repo_id, filenames)
    if cached is not None:
        return Check(name, "OK", f"in the local cache, {cached}")
    if reachable:
        return Check(name, "OK", f"not here yet; {hub_endpoint()} answers, so the first training will fetch {repo_id}")
    why = "HF_HUB_OFFLINE is set" if is_offline_by_choice() else f"{hub_endpoint()} does not answer"
    return Check(name, "WARN", f"not in the local cache, and {why}", f"Instead: {ways_out}")
