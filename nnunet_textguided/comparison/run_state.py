"""Whether a run is finished, and what is missing where it is not."""

from __future__ import annotations

import difflib
import io
import os
import re
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from nnunet_textguided import ext_path
from nnunet_textguided.checkpoint_files import BEST, FINAL, LATEST, is_whole
from nnunet_textguided.comparison.checkpoint import planned_length, read_checkpoint
from nnunet_textguided.comparison.grid import Run
from nnunet_textguided.dataset_json import read_dataset_json
from nnunet_textguided.errors import UserError
from nnunet_textguided.safe_checkpoint import UntrustedFileError

if TYPE_CHECKING:
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

SHOWN_CASES = 5


@dataclass(frozen=True)
class RunState:
    """How far a run is.

    Attributes:
        kind: Nothing there, something there, or trained and validated on every case.
        reason: In words.
    """

    kind: Literal["missing", "unfinished", "finished"]
    reason: str


def state_of(run: Run, results: Path, expected_cases: Sequence[str]) -> RunState:
    """Look at a run's folder; torch is needed only for a training that was interrupted.

    Args:
        run: Which one.
        results: nnUNet_results.
        expected_cases: What its fold validates by splits_final.json.

    Raises:
        UserError: It validated other cases, so it was trained with other splits.
    """
    model, fold = run.model_folder(results), run.fold_folder(results)
    if not fold.is_dir():
        return RunState("missing", "not trained here")
    absent = [name for name in ("plans.json", "dataset.json") if not (model / name).is_file()]
    if absent:
        return RunState("unfinished", f"the model folder has no {' and no '.join(absent)}: training was not started")
    if not (fold / FINAL).is_file():
        return RunState("unfinished", _progress(fold))
    if not is_whole(fold / FINAL):
        return RunState("unfinished", f"{FINAL} is cut short; delete it, then training goes on from an earlier one")
    if is_superseded(fold):
        reason = f"{LATEST} is newer than {FINAL}: a training that began anew was interrupted"
        return RunState("unfinished", f"{reason}; delete {LATEST} to keep the one before")
    ending = read_dataset_json(model / "dataset.json", ["file_ending"])["file_ending"]
    return _validation_state(fold / "validation", ending, expected_cases)


def is_superseded(fold: Path) -> bool:
    """Return whether a fold was trained anew since its final checkpoint, and that training is not at its end.

    nnU-Net writes the final checkpoint last and then removes the latest one; a training that starts anew leaves the
    final checkpoint of the one before where it is.

    Args:
        fold: With the checkpoints; need not exist.
    """
    final, latest = fold / FINAL, fold / LATEST
    return final.is_file() and latest.is_file() and latest.stat().st_mtime_ns > final.stat().st_mtime_ns


def check_trainer(name: str) -> type[nnUNetTrainer]:
    """Check that nnU-Net finds a trainer: its own, ours, or one in a folder that nnUNet_extTrainer lists.

    Args:
        name: Class name.

    Returns:
        The class.

    Raises:
        UserError: It does not; the text names similar ones.
    """
    ext_path.activate()
    from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name

    try:
        with redirect_stdout(io.StringIO()):  # nnU-Net prints every folder it searches
            return recursive_find_trainer_class_by_name(name)
    except (RuntimeError, AssertionError, TypeError) as error:
        near = difflib.get_close_matches(name, _trainer_names(), n=5, cutoff=0.5)
        raise UserError(
            f"No trainer is called {name!r}. Similar: {', '.join(near) or 'none'}. A trainer of your own has to be in "
            f"a folder that the variable {ext_path.VARIABLE} lists."
        ) from error


def _progress(fold: Path) -> str:
    """How far an interrupted training came; checkpoints in the order in which nnU-Net goes on from them."""
    file = next((fold / name for name in (LATEST, BEST) if (fold / name).is_file()), None)
    if file is None:
        return "training was started and left no checkpoint; it starts anew"
    try:
        epoch = read_checkpoint(file)["current_epoch"]
    except UntrustedFileError:
        raise
    except UserError:
        return f"{file.name} is cut short; delete it, then training goes on from an earlier one or starts anew"
    planned = planned_length(fold).get("num_epochs")
    return f"{file.name} at epoch {epoch}" + (f" of {planned}" if planned else "")


def _validation_state(folder: Path, ending: str, expected_cases: Sequence[str]) -> RunState:
    there = {file.name.removesuffix(ending) for file in folder.glob(f"*{ending}") if not file.name.startswith(".")}
    if unknown := sorted(there - set(expected_cases)):
        raise UserError(
            f"{folder} holds predictions of {_some(unknown)}, which splits_final.json does not give to this fold: it "
            "was trained with other splits and may have seen the cases it is to be judged by. Restore its splits, or "
            "delete the fold's folder and train it anew."
        )
    missing = sorted(set(expected_cases) - there)
    if missing:
        return RunState("unfinished", f"trained; validation lacks {_some(missing)}")
    if not (folder / "summary.json").is_file():
        return RunState("unfinished", "trained; validation has no summary.json yet")
    return RunState("finished", f"trained and validated on {len(there)} cases")


def _some(cases: Sequence[str]) -> str:
    more = len(cases) - SHOWN_CASES
    return ", ".join(cases[:SHOWN_CASES]) + (f" and {more} more" if more > 0 else "")


def _trainer_names() -> list[str]:
    """Names of trainer classes as the source files have them: importing them all would take minutes."""
    import nnunetv2

    from nnunet_textguided import trainers

    folders = [Path(nnunetv2.__path__[0]) / "training" / "nnUNetTrainer"]
    folders += [Path(entry) for entry in os.environ.get(ext_path.VARIABLE, "").split(os.pathsep) if entry.strip()]
    sources = (
        file.read_text(encoding="utf-8", errors="replace") for folder in folders for file in folder.rglob("*.py")
    )
    found = {name for text in sources for name in re.findall(r"^class (\w*Trainer\w*)\(", text, re.MULTILINE)}
    return sorted(found | set(trainers.__all__))
