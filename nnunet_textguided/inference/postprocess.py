"""nnU-Net's postprocessing, applied to predictions before anything is read off them."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nnunet_textguided.errors import UserError
from nnunet_textguided.files import atomic_path

Steps = tuple[list[Any], list[dict[str, Any]]]


def load_steps(file: str | Path) -> Steps:
    """Read nnU-Net's postprocessing.pkl.

    It is a pickle, as nnU-Net writes it: open only files you trust.

    Args:
        file: Of nnUNetv2_find_best_configuration or nnUNetv2_determine_postprocessing.

    Raises:
        UserError: There is no such file, or it is something else.
    """
    path = Path(file)
    try:
        functions, arguments = pickle.loads(path.read_bytes())
    except OSError as error:
        raise UserError(f"Expected nnU-Net's postprocessing.pkl at {path}: {error.strerror or error}.") from error
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, ImportError) as error:
        raise UserError(f"{path} is not a postprocessing.pkl of nnU-Net: {error}") from error
    return list(functions), list(arguments)


def postprocess_files(files: Iterable[Path], steps: Steps, reader_writer: Any) -> None:
    """Replace label files by their postprocessed form, each as a whole or not at all.

    Args:
        files: Label files.
        steps: Of `load_steps`.
        reader_writer: nnU-Net's, which reads and writes label files in their own geometry.
    """
    from nnunetv2.postprocessing.remove_connected_components import load_postprocess_save

    for file in files:
        with atomic_path(file) as temporary:
            load_postprocess_save(str(file), str(temporary), reader_writer, *steps)
