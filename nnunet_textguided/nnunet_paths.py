"""nnU-Net's three folders, checked before a command starts working instead of deep inside it."""

from __future__ import annotations

import os
from pathlib import Path

from nnunet_textguided.errors import UserError

PURPOSES = {
    "nnUNet_raw": "converted data sets (DatasetXXX_Name with imagesTr, labelsTr, dataset.json)",
    "nnUNet_preprocessed": "preprocessed data, plans and text banks",
    "nnUNet_results": "trained models",
}


def missing_paths(*names: str) -> list[str]:
    """Return those of nnU-Net's path variables that are not set (or set to nothing).

    Args:
        names: Variables to look at; all three when none is given.
    """
    return [name for name in names or PURPOSES if not os.environ.get(name, "").strip()]


def require_paths(*names: str) -> dict[str, Path]:
    """Return nnU-Net's folders by variable name.

    Args:
        names: Variables the command needs; all three when none is given.

    Raises:
        UserError: At least one of them is not set; the text holds the lines to type.
    """
    missing = missing_paths(*names)
    if missing:
        lines = "\n".join(f"  export {name}=/path/to/{name}    # {PURPOSES[name]}" for name in missing)
        raise UserError(
            f"nnU-Net's environment {'variable' if len(missing) == 1 else 'variables'} {', '.join(missing)} must be "
            f"set and {'is' if len(missing) == 1 else 'are'} not. Type, with folders of your own:\n{lines}"
        )
    return {name: Path(os.environ[name]) for name in names or PURPOSES}
