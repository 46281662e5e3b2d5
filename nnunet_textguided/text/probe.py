"""Finding out in seconds, once, whether weights can be had at all."""

from __future__ import annotations

import http.client
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from nnunet_textguided.errors import UserError

DEFAULT_ENDPOINT = "https://huggingface.co"
_OFFLINE_VARIABLES = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
_TIMM_WEIGHTS = ("model.safetensors", "pytorch_model.bin")


class WeightsUnreachableError(UserError):
    """Weights are neither in the local cache nor reachable over the network."""


def hub_endpoint() -> str:
    """Address of the hub, honouring HF_ENDPOINT.

    Returns:
        An URL without a slash at its end.
    """
    return os.environ.get("HF_ENDPOINT", "").strip().rstrip("/") or DEFAULT_ENDPOINT


def is_offline_by_choice() -> bool:
    """Whether the user has switched the hub off (HF_HUB_OFFLINE=1).

    Returns:
        True if so.
    """
    return any(os.environ.get(name, "").strip().upper() in ("1", "ON", "YES", "TRUE") for name in _OFFLINE_VARIABLES)


def can_reach(url: str, timeout: float = 3.0) -> bool:
    """Ask a server once for its headers, through the proxy of the environment if there is one.

    Args:
        url: Where to ask.
        timeout: Hard limit in seconds, name resolution included.

    Returns:
        Whether any answer below status 500 came in time.
    """
    answer: list[bool] = []

    def ask() -> None:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=timeout):
                answer.append(True)
        except urllib.error.HTTPError as error:
            answer.append(error.code < 500)
        except (OSError, ValueError, http.client.HTTPException):
            answer.append(False)

    # A thread, because looking up a name cannot be given a time limit and may take far longer than one.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(timeout)
    return bool(answer and answer[0])


def can_reach_hub(timeout: float = 3.0) -> bool:
    """Probe the hub once.

    Args:
        timeout: Hard limit in seconds.

    Returns:
        False if offline by choice or without an answer in time.
    """
    return not is_offline_by_choice() and can_reach(hub_endpoint(), timeout)


def cached_file(repo_id: str, filenames: Sequence[str]) -> Path | None:
    """Look for a hub file in the local cache, without any network.

    Args:
        repo_id: "owner/name".
        filenames: Names in order of preference.

    Returns:
        The first one found, or None.
    """
    from huggingface_hub import try_to_load_from_cache

    for filename in filenames:
        found = try_to_load_from_cache(repo_id, filename)
        if isinstance(found, str) and os.path.isfile(found):
            return Path(found)
    return None


def unreachable(what: str, where: str, ways_out: str) -> WeightsUnreachableError:
    """Word the one message.

    Args:
        what: What was wanted.
        where: Address that was tried.
        ways_out: What the user can do instead.

    Returns:
        The error, to be raised.
    """
    why = "HF_HUB_OFFLINE is set" if is_offline_by_choice() else "no answer within a few seconds"
    return WeightsUnreachableError(
        f"{what} is not in the local cache and {where} cannot be reached ({why}). {ways_out}"
    )


def ensure_reachable(repo_id: str, filename: str | None, what: str, ways_out: str, timeout: float = 3.0) -> None:
    """Fail fast and clearly where a hub client would retry for a minute.

    Args:
        repo_id: "owner/name" on the hub.
        filename: File wanted; None for timm's usual weights files.
        what: What it is for, as the start of a sentence ("Weights 'x' of text model 'y'").
        ways_out: What the user can do instead, as a sentence.
        timeout: Hard limit in seconds of the probe.

    Raises:
        WeightsUnreachableError: Neither in the cache nor reachable.
    """
    if cached_file(repo_id, (filename,) if filename else _TIMM_WEIGHTS) is None and not can_reach_hub(timeout):
        raise unreachable(what, hub_endpoint(), ways_out)
