"""The pixel size that a data set's plans work at."""

from __future__ import annotations

from pathlib import Path

from nnunet_textguided.errors import UserError
from nnunet_textguided.plans_json import read_plans


def spacing_of_plans(path: str | Path) -> tuple[float, float]:
    """Return mm a pixel along (H, W) of the slices, of the 2D configuration, else of the first one.

    Args:
        path: nnU-Net's plans as JSON.

    Raises:
        UserError: No such file, or no plans.
    """
    configurations = read_plans(path)["configurations"]
    spacings = {name: entry["spacing"] for name, entry in configurations.items() if "spacing" in entry}
    if not spacings:
        raise UserError(f"{path}: expected plans of nnU-Net with the spacing of a configuration, found none.")
    height, width = spacings.get("2d", next(iter(spacings.values())))[-2:]
    return float(height), float(width)
