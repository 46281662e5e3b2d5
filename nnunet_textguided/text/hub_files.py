"""Fetching open_clip's files: from the local cache, else over the network after one short probe."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nnunet_textguided.errors import UserError
from nnunet_textguided.text.probe import cached_file, can_reach, can_reach_hub, hub_endpoint, unreachable

WAYS_OUT = (
    "Use another tag, a file you have (--text-model MODEL --text-weights FILE), a machine with network for this one "
    "step (the bank it writes is all that training needs), or a control (--text-model random | one-hot)."
)


def hub_names(filename: str | None) -> tuple[str, ...]:
    """Names under which a repository may keep open_clip weights.

    Args:
        filename: Name in open_clip's table; None or "" for the usual one.

    Returns:
        Names in order of preference, safetensors first.
    """
    from open_clip.constants import HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME

    if not filename:
        return (HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME)
    path = Path(filename)
    return (str(path.with_suffix(".safetensors")), filename) if path.suffix in (".bin", ".pth") else (filename,)


def fetch_tag(tag: Mapping[str, Any], what: str) -> Path:
    """Take the weights of a pretrained tag from the local cache, else download them.

    Args:
        tag: Entry of open_clip's table of pretrained weights.
        what: What it is, as the start of a sentence.

    Returns:
        The local file.

    Raises:
        WeightsUnreachableError: Not cached and no network.
        UserError: The download failed.
    """
    repo, filename = os.path.split(tag.get("hf_hub", ""))
    if repo:
        return fetch_hub_file(repo, hub_names(filename), what)
    from open_clip.pretrained import download_pretrained_from_url

    url = tag["url"]
    cached = Path("~/.cache/clip").expanduser() / Path(url).name
    if not cached.is_file() and not can_reach(url):
        raise unreachable(what, url, WAYS_OUT)
    try:
        return Path(download_pretrained_from_url(url))
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(f"{what} could not be downloaded from {url}: {error}. {WAYS_OUT}") from error


def fetch_hub_file(repo: str, filenames: Sequence[str], what: str) -> Path:
    """Take a hub file from the local cache, else download it, after one short probe.

    Args:
        repo: "owner/name".
        filenames: Names in order of preference.
        what: What it is for, as the start of a sentence.

    Returns:
        The local file.

    Raises:
        WeightsUnreachableError: Not cached and no network.
        UserError: The hub has no such file, or the download failed.
    """
    cached = cached_file(repo, filenames)
    if cached is not None:
        return cached
    if not can_reach_hub():
        raise unreachable(what, f"{hub_endpoint()}/{repo}", WAYS_OUT)
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    reason = f"it has none of {', '.join(filenames)}"
    for filename in filenames:
        try:
            return Path(hf_hub_download(repo, filename))
        except EntryNotFoundError:
            continue
        except Exception as error:
            # The hub client raises whatever its HTTP library does; all of it means "not downloaded".
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            break
    raise UserError(f"{what} could not be downloaded from {hub_endpoint()}/{repo}: {reason}. {WAYS_OUT}")
