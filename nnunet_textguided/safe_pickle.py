"""nnU-Net's small pickles (postprocessing.pkl, the .pkl beside probabilities), read without running what is in them."""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Collection
from pathlib import Path
from typing import Any

from nnunet_textguided.errors import UserError
from nnunet_textguided.safe_checkpoint import UntrustedFileError, is_trusted, refusal

MAX_BYTES = 256 << 20
ARRAYS = frozenset(
    {
        *(("numpy", name) for name in ("ndarray", "dtype")),
        *((f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("scalar", "_reconstruct")),
        *((f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")),
        ("_codecs", "encode"),  # how protocol 2 writes bytes
        ("collections", "OrderedDict"),
    }
)
"""Functions and classes that numbers and arrays are made of, by module and name."""


class _Restricted(pickle.Unpickler):
    """Loads names of a list only (https://docs.python.org/3/library/pickle.html#restricting-globals)."""

    def __init__(self, content: bytes, path: Path, allowed: Collection[tuple[str, str]]) -> None:
        super().__init__(io.BytesIO(content))
        self.path, self.allowed = path, allowed

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.allowed:
            raise UntrustedFileError(refusal(self.path, [f"{module}.{name}"]))
        return super().find_class(module, name)


def load_small_pickle(
    path: str | os.PathLike[str],
    what: str,
    allowed: Collection[tuple[str, str]] = ARRAYS,
    trust: bool = False,
) -> Any:
    """Read a pickle of nnU-Net's.

    Args:
        path: The file.
        what: What it should be, for the error's text.
        allowed: Module and name of everything the file may load.
        trust: Load anything.

    Raises:
        UntrustedFileError: It wants to load something else.
        UserError: It is missing, larger than 256 MB, or no such file.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise UserError(f"{path} has {size / 1e6:.0f} MB, {what} at most {MAX_BYTES / 1e6:.0f} MB.")
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"Expected {what} at {path}: {error.strerror or error}.") from error
    try:
        return pickle.loads(content) if is_trusted(trust) else _Restricted(content, path, allowed).load()
    except UserError:
        raise
    except Exception as error:  # whatever a damaged or hostile file makes pickle say
        raise UserError(f"{path} is not {what}: {error}") from error
