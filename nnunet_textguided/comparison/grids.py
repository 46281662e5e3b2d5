"""From what a user names to grids, and what has to be there before a training is started."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nnunet_textguided.comparison.folders import Folders
from nnunet_textguided.comparison.grid import Grid, Run, System
from nnunet_textguided.comparison.run_state import check_trainer
from nnunet_textguided.comparison.splits import folds_of
from nnunet_textguided.errors import UserError
from nnunet_textguided.files import load_json


def grids_of(
    datasets: Sequence[str],
    configurations: Sequence[str],
    folds: Sequence[int] | None,
    systems: Sequence[System],
    folders: Folders,
) -> list[Grid]:
    """Return a grid, and so a table, for every data set and configuration.

    Args:
        datasets: Names or numbers.
        configurations: Such as "2d".
        folds: Their numbers; None for all of splits_final.json.
        systems: In the order of the tables.
        folders: nnU-Net's.

    Raises:
        UserError: There is no such data set, or something is named twice.
    """
    names = [dataset_name(dataset) for dataset in datasets]
    for what, given in (("data set", names), ("configuration", configurations)):
        twice = sorted({name for name in given if list(given).count(name) > 1})
        if twice:
            raise UserError(f"The {what} {', '.join(twice)} is named twice.")
    grids = []
    for name in names:
        numbers = tuple(folds) if folds is not None else folds_of(folders.preprocessed / name)
        grids += [Grid(name, configuration, numbers, tuple(systems)) for configuration in configurations]
    return grids


def dataset_name(dataset: str) -> str:
    """Return DatasetXXX_Name.

    Args:
        dataset: That, or XXX.

    Raises:
        UserError: nnU-Net does not find it.
    """
    from nnunetv2.utilities.dataset_name_id_conversion import maybe_convert_to_dataset_name

    try:
        return maybe_convert_to_dataset_name(dataset)
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"Data set {dataset!r} is not found in nnUNet_raw, nnUNet_preprocessed or nnUNet_results. Give its number "
            "or DatasetXXX_Name, and see to it that these variables name the right folders."
        ) from error


def check_startable(runs: Iterable[Run], folders: Folders) -> None:
    """Check that nnU-Net will find trainer, plans and configuration, before the first of many trainings is started.

    Args:
        runs: Those that are to be trained.
        folders: nnU-Net's.

    Raises:
        UserError: One of them is not there; the text names what there is.
    """
    runs = list(runs)
    for trainer in dict.fromkeys(run.trainer for run in runs):
        check_trainer(trainer)
    for dataset, plans, configuration in dict.fromkeys((run.dataset, run.plans, run.configuration) for run in runs):
        folder = folders.preprocessed / dataset
        if not (folder / f"{plans}.json").is_file():
            known = sorted(path.stem for path in folder.glob("*Plans*.json"))
            raise UserError(
                f"Expected the plans {folder / f'{plans}.json'}, found none. There are: {', '.join(known) or 'none'}. "
                f"`nnunet_textguided plan -d {dataset} --name {plans}` writes such plans from nnU-Net's own."
            )
        configurations = load_json(folder / f"{plans}.json").get("configurations", {})
        if configuration not in configurations:
            raise UserError(
                f"{folder / f'{plans}.json'} has no configuration {configuration!r}; it has: "
                f"{', '.join(configurations)}. Choose with -c."
            )
