"""What plans.json of a model has nnU-Net import and call when the network is built.

nnU-Net looks up the names that plans give for the network, its convolutions, norms and non-linearities in all installed
packages, and calls them with the arguments that the plans give: `nonlin: subprocess.Popen` would start a program.
"""

from __future__ import annotations

import pydoc
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from nnunet_textguided.safe_checkpoint import UntrustedFileError, is_trusted, refusal

_LAYER = re.compile(r"torch\.nn(\.modules(\.[a-z_]+)?)?\.[A-Z]\w*")
_NETWORK = re.compile(r"(dynamic_network_architectures|nnunetv2\.training|nnunet_textguided)(\.[a-z_0-9]+)*\.[A-Z]\w*")


def check_plans(plans: Mapping[str, Any], path: Path, trust: bool = False) -> None:
    """Refuse plans that would have anything but a network and its layers called.

    Args:
        plans: Content of plans.json.
        path: The file, for the error's text.
        trust: Check nothing.

    Raises:
        UntrustedFileError: They name something else; the text says what.
    """
    if is_trusted(trust):
        return
    wrong = [str(name)[:80] for name, pattern in _names(plans) if not _is_module(name, pattern)]
    if wrong:
        raise UntrustedFileError(refusal(path, wrong))


def _names(plans: Mapping[str, Any]) -> Iterator[tuple[Any, re.Pattern[str]]]:
    """Names that nnU-Net's `get_network_from_plans` looks up, each with what it may be."""
    configurations = plans.get("configurations")
    for configuration in configurations.values() if isinstance(configurations, Mapping) else ():
        architecture = configuration.get("architecture") if isinstance(configuration, Mapping) else None
        if not isinstance(architecture, Mapping):
            continue
        yield architecture.get("network_class_name"), _NETWORK
        arguments, keys = architecture.get("arch_kwargs") or {}, architecture.get("_kw_requires_import") or ()
        for key in keys if isinstance(keys, Iterable) else (keys,):
            name = arguments.get(key) if isinstance(arguments, Mapping) and isinstance(key, str) else key
            if name is not None:
                yield name, _LAYER


def _is_module(name: Any, pattern: re.Pattern[str]) -> bool:
    """Tell whether a name is that of a torch module from one of the packages that networks are made of."""
    if not isinstance(name, str) or not pattern.fullmatch(name):
        return False
    from torch import nn

    found = pydoc.locate(name)
    return found is None or (isinstance(found, type) and issubclass(found, nn.Module))  # None: nnU-Net says so itself
