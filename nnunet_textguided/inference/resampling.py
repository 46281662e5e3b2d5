"""How scores are brought to the image's own grid, other than the plans say."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager


def resample_with_torch(configuration: ConfigurationManager) -> None:
    """Let nnU-Net resample scores with torch instead of what the plans name, for predictions yet to come.

    Both interpolate linearly between the same points, so labels differ where two scores are equal but for rounding.
    nnU-Net's default goes class by class through scikit-image in double precision.

    Args:
        configuration: Of a loaded predictor; its dictionary of the plans is changed, files are not.
    """
    given = configuration.configuration["resampling_fn_probabilities_kwargs"]
    kept = {key: given[key] for key in ("is_seg", "force_separate_z") if key in given}
    configuration.configuration["resampling_fn_probabilities"] = "resample_torch_fornnunet"
    configuration.configuration["resampling_fn_probabilities_kwargs"] = kept
    type(configuration).resampling_fn_probabilities.fget.cache_clear()
