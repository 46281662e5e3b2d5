"""A trained model's folder as nnU-Net writes it: found, and checked before anything is loaded from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnunet_textguided import ext_path
from nnunet_textguided.dataset_json import block_of, check_dataset_json
from nnunet_textguided.errors import UserError
from nnunet_textguided.files import load_json
from nnunet_textguided.inference.reorient import OrientationError, check_code
from nnunet_textguided.nnunet_paths import require_paths
from nnunet_textguided.plans_json import check_plans_form
from nnunet_textguided.safe_checkpoint import check_checkpoints, open_checkpoint
from nnunet_textguided.safe_plans import check_plans

if TYPE_CHECKING:
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

Fold = int | str
PLANS_BLOCK = "text_guidance"


class ModelFolderError(UserError):
    """A model folder lacks something, or what is in it cannot be loaded."""


@dataclass(frozen=True)
class ModelFolder:
    """A model folder that has what prediction needs.

    Attributes:
        path: The folder with plans.json, dataset.json and fold_X.
        folds: Folds whose checkpoints are averaged.
        checkpoint: File name of the checkpoints.
        plans: Content of plans.json.
        dataset_json: Content of dataset.json.
        orientation: Code the model was trained in, or None where the plans do not say.
        trust: Whether checkpoints may run code when they are loaded.
    """

    path: Path
    folds: tuple[Fold, ...]
    checkpoint: str
    plans: dict[str, Any]
    dataset_json: dict[str, Any]
    orientation: str | None
    trust: bool = False

    @property
    def weights(self) -> list[Path]:
        """The checkpoint of every fold."""
        return [self.path / f"fold_{fold}" / self.checkpoint for fold in self.folds]

    @property
    def num_channels(self) -> int:
        """Image channels the model takes."""
        return len(self.dataset_json.get("channel_names") or self.dataset_json.get("modality") or [None])


def find_model_folder(dataset: str, trainer: str, plans: str, configuration: str) -> Path:
    """Return where nnU-Net keeps a trained model.

    Args:
        dataset: Name or number of the data set.
        trainer: Class name of the trainer.
        plans: Plans identifier.
        configuration: Such as "2d" or "3d_fullres".

    Raises:
        UserError: nnUNet_results is not set, or there is no such data set or model; the text names what there is.
    """
    results = require_paths("nnUNet_results")["nnUNet_results"]
    from nnunetv2.utilities.dataset_name_id_conversion import maybe_convert_to_dataset_name

    try:
        dataset_folder = results / maybe_convert_to_dataset_name(dataset)
    except (RuntimeError, ValueError) as error:
        raise ModelFolderError(f"Data set {dataset!r} not found by nnU-Net: {error}") from error
    folder = dataset_folder / f"{trainer}__{plans}__{configuration}"
    if not folder.is_dir():
        trained = names_in(dataset_folder, folders_only=True)
        raise ModelFolderError(
            f"No trained model at {folder}. Trained there (TRAINER__PLANS__CONFIGURATION): {trained}. "
            "Give another -tr, -p or -c, or train first."
        )
    return folder


def check_model_folder(
    folder: str | Path,
    folds: Sequence[Fold] | Fold | None = None,
    checkpoint: str = "checkpoint_final.pth",
    trust: bool = False,
) -> ModelFolder:
    """Check that a model folder is complete and read its two JSON files.

    Args:
        folder: The folder with plans.json, dataset.json and fold_X.
        folds: Folds to use, "all" for the model of fold_all; None for every numbered fold that has the checkpoint.
        checkpoint: File name of the checkpoints.
        trust: Let checkpoints run code when they are loaded.

    Raises:
        UserError: Something is missing or unreadable; the text names what is there.
    """
    path = Path(folder)
    if Path(checkpoint).name != checkpoint:
        raise ModelFolderError(f"Expected the file name of a checkpoint inside fold_X, got {checkpoint!r}.")
    if not path.is_dir():
        raise ModelFolderError(f"Expected a model folder (plans.json, dataset.json, fold_X) at {path}, found none.")
    for name in ("plans.json", "dataset.json"):
        if not (path / name).is_file():
            raise ModelFolderError(
                f"{path} is not a model folder: it has no {name}. There is: {names_in(path)}. Expected the folder "
                "named TRAINER__PLANS__CONFIGURATION under nnUNet_results/DatasetXXX_Name."
            )
    plans, dataset_json = load_json(path / "plans.json"), load_json(path / "dataset.json")
    for name, content, keys in (
        ("plans.json", plans, ("configurations", "image_reader_writer")),
        ("dataset.json", dataset_json, ("labels", "file_ending")),
    ):
        absent = [key for key in keys if not isinstance(content, dict) or key not in content]
        if absent:
            raise ModelFolderError(f"{path / name} lacks {', '.join(absent)}: it is not nnU-Net's {name}.")
    check_plans_form(plans, path / "plans.json")
    check_dataset_json(dataset_json, path / "dataset.json")
    chosen, orientation = _check_folds(path, folds, checkpoint), model_orientation(plans, path)
    return ModelFolder(path, chosen, checkpoint, plans, dataset_json, orientation, trust)


def model_orientation(plans: dict[str, Any], source: str | Path = "plans.json") -> str | None:
    """Return the orientation code in a plans' block, or None where there is none.

    Args:
        plans: Content of plans.json.
        source: Where it came from, for the error's text.

    Raises:
        OrientationError: The block names an orientation that is none.
    """
    code = block_of(plans, source).get("orientation")
    try:
        return None if code is None else check_code(str(code))
    except OrientationError as error:
        raise OrientationError(f"{PLANS_BLOCK}.orientation in the plans of {source}: {error}") from error


def load_predictor(model: ModelFolder, **options: Any) -> nnUNetPredictor:
    """Return nnU-Net's predictor, or ours for a model with findings, with the model's network and weights.

    Args:
        model: A checked model folder.
        options: Of nnUNetPredictor, such as `device` or `use_mirroring`.

    Raises:
        UntrustedFileError: A checkpoint or the plans would run code, and the model is not trusted.
        ModelFolderError: The trainer is not found, or weights do not load.
    """
    check_checkpoints(model.weights, model.trust)  # nnU-Net unpickles whatever is there
    check_plans(model.plans, model.path / "plans.json", model.trust)  # and calls whatever plans name
    ext_path.activate()
    predictor: Any
    if has_findings(model):
        from nnunet_textguided.inference.finding_predictor import FindingPredictor

        predictor = FindingPredictor(**options)
    else:
        from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

        predictor = nnUNetPredictor(**options)
    try:
        predictor.initialize_from_trained_model_folder(str(model.path), model.folds, model.checkpoint)
    except (UserError, MemoryError):
        raise
    except Exception as error:  # nnU-Net and torch raise whatever they stumble over first in plans or checkpoint
        raise ModelFolderError(
            f"The model in {model.path} (folds {model.folds}, {model.checkpoint}) does not load: "
            f"{type(error).__name__}: {error}"
        ) from error
    return predictor


def has_findings(model: ModelFolder) -> bool:
    """Tell whether a model predicts findings: its plans name some and its trainer trains for them.

    A U-Net trained with the same plans, to compare with, does not.

    Args:
        model: A checked model folder.

    Raises:
        UserError: The checkpoint cannot be read, or would run code.
    """
    if not block_of(model.plans, model.path / "plans.json").get("findings"):
        return False
    name = open_checkpoint(model.weights[0], model.trust).get("trainer_name")
    if not isinstance(name, str):
        raise ModelFolderError(f"{model.weights[0]} is not a checkpoint of nnU-Net: it names no trainer.")
    ext_path.activate()
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
    from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name

    trainer: type[nnUNetTrainer] | None = recursive_find_trainer_class_by_name(name)
    return hasattr(trainer, "finding_vocabulary")


def names_in(folder: Path, folders_only: bool = False) -> str:
    """Return the names in a folder as one text for an error message, the first 20 of them.

    Args:
        folder: Any path.
        folders_only: Leave files out.
    """
    if not folder.is_dir():
        return f"nothing ({folder} does not exist)"
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() or not folders_only)
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "") or "nothing"


def _check_folds(path: Path, folds: Sequence[Fold] | Fold | None, checkpoint: str) -> tuple[Fold, ...]:
    there = sorted(entry.name.removeprefix("fold_") for entry in path.glob("fold_*") if (entry / checkpoint).is_file())
    if folds is None:
        chosen: tuple[Fold, ...] = tuple(int(fold) for fold in there if fold.isdigit())
        if not chosen and "all" in there:
            chosen = ("all",)
    else:
        chosen = (folds,) if isinstance(folds, int | str) else tuple(folds)
    missing = [fold for fold in chosen if str(fold) not in there]
    if missing or not chosen:
        wanted = ", ".join(f"fold_{fold}" for fold in missing) or "any fold"
        others = sorted({file.name for file in path.glob("fold_*/*.pth")})
        raise ModelFolderError(
            f"Expected {checkpoint} of {wanted} in {path}. Folds that have it: {', '.join(there) or 'none'}. "
            f"Checkpoints there: {', '.join(others) or 'none'}. Name the folds to use (-f on the command line) or "
            "another checkpoint (-chk)."
        )
    return chosen
