"""nnU-Net's validation after training, with findings: one pass of the network gives segmentation and findings."""

from __future__ import annotations

import multiprocessing
from collections import deque
from concurrent.futures import Future, ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from nnunetv2.configuration import default_num_processes
from nnunetv2.evaluation.evaluate_predictions import compute_metrics_on_folder
from nnunetv2.inference.export_prediction import export_prediction_from_logits
from torch import distributed

from nnunet_textguided.csv_cells import read_table, write_table
from nnunet_textguided.evaluation.finding_metrics import score_findings
from nnunet_textguided.evaluation.finding_table import KEYS, assessed, join_truth
from nnunet_textguided.files import save_json_atomic
from nnunet_textguided.findings.annotations import FindingAnnotations
from nnunet_textguided.findings.vocabulary import FindingVocabulary
from nnunet_textguided.inference.finding_files import write_tables
from nnunet_textguided.inference.finding_predictor import FindingPredictor
from nnunet_textguided.inference.predict_findings import FindingOutput

if TYPE_CHECKING:
    from nnunet_textguided.trainers.finding_training import FindingTraining

SUMMARY_FILE = "findings_summary.json"


def validate_with_findings(trainer: FindingTraining, save_probabilities: bool) -> None:
    """Predict the fold's validation cases and evaluate segmentation and findings.

    Args:
        trainer: At the end of its training; its network is left without deep supervision.
        save_probabilities: As in nnU-Net.
    """
    folder = Path(trainer.output_folder) / "validation"
    folder.mkdir(parents=True, exist_ok=True)
    about = {"trainer": trainer.__class__.__name__, "fold": trainer.fold}
    plans = trainer.plans_manager.plans
    output = FindingOutput(plans, trainer.dataset_json, trainer.configuration_manager, folder, about, None)
    _, cases = trainer.do_split()
    own = list(cases[trainer.local_rank :: distributed.get_world_size()]) if trainer.is_ddp else list(cases)
    _predict(trainer, own, folder, output, save_probabilities)
    output.finish(own)
    if trainer.is_ddp:
        distributed.barrier()
    if trainer.local_rank == 0:
        write_tables(folder)  # once more: now the other processes' cases are there too
        _evaluate_segmentation(trainer, folder)
        _evaluate_findings(trainer, folder, list(cases))


def _predict(
    trainer: FindingTraining, cases: list[str], folder: Path, output: FindingOutput, save_probabilities: bool
) -> None:
    predictor = FindingPredictor(
        perform_everything_on_device=True, device=trainer.device, verbose=False, allow_tqdm=False
    )
    predictor.manual_initialization(
        trainer.network,
        trainer.plans_manager,
        trainer.configuration_manager,
        None,
        trainer.dataset_json,
        trainer.__class__.__name__,
        trainer.inference_allowed_mirroring_axes,
    )
    dataset = trainer.dataset_class(trainer.preprocessed_dataset_folder, cases)
    heads = trainer.label_manager.num_segmentation_heads
    context = multiprocessing.get_context("spawn")
    pending: deque[Future[None]] = deque()
    with ProcessPoolExecutor(default_num_processes, mp_context=context) as pool:
        for case in dataset.identifiers:
            trainer.print_to_log_file(f"predicting {case}")
            data, _, _, properties = dataset.load_case(case)
            logits = predictor.predict_sliding_window_return_logits(torch.from_numpy(np.array(data[:]))).cpu()
            target = str(folder / case)
            output.keep({"ofile": target, "data_properties": properties}, logits[heads:])
            arguments = (trainer.configuration_manager, trainer.plans_manager, trainer.dataset_json, target)
            export = partial(export_prediction_from_logits, logits[:heads].numpy(), properties, *arguments)
            pending.append(pool.submit(export, save_probabilities))
            while len(pending) > 2 * default_num_processes:  # each holds its logits in memory
                pending.popleft().result()
        while pending:
            pending.popleft().result()


def _evaluate_segmentation(trainer: FindingTraining, folder: Path) -> None:
    metrics = compute_metrics_on_folder(
        str(Path(trainer.preprocessed_dataset_folder_base) / "gt_segmentations"),
        str(folder),
        str(folder / "summary.json"),
        trainer.plans_manager.image_reader_writer_class(),
        trainer.dataset_json["file_ending"],
        trainer.label_manager.foreground_labels,
        trainer.label_manager.ignore_label,
        chill=True,
        num_processes=default_num_processes,
    )
    trainer.logger.log_summary("final_val/foreground_dice", metrics["foreground_mean"]["Dice"])
    trainer.print_to_log_file("Validation complete", also_print_to_console=True)
    trainer.print_to_log_file("Mean Validation Dice: ", metrics["foreground_mean"]["Dice"], also_print_to_console=True)


def _evaluate_findings(trainer: FindingTraining, folder: Path, cases: list[str]) -> None:
    """Write the truth beside the probabilities, and the scores; reported at 0.5, as there is one fold only."""
    targets = trainer.loss.targets
    truth = truth_table(targets.annotations, targets.vocabulary, cases)
    table = join_truth(read_table(folder / "findings.csv", KEYS), truth)
    write_table(table, folder / "findings.csv")
    scores = score_findings(assessed(table, table["probability"] >= 0.5))
    rows = {name: {key: _json_number(value) for key, value in row.items()} for name, row in scores.iterrows()}
    save_json_atomic({"threshold": 0.5, "findings": rows}, folder / SUMMARY_FILE)
    columns = ["n", "n_present", "auroc", "recall", "fpr", "precision"]
    trainer.print_to_log_file("Findings:\n" + scores[columns].round(3).to_string(), also_print_to_console=True)


def truth_table(annotations: FindingAnnotations, vocabulary: FindingVocabulary, cases: list[str]) -> pd.DataFrame:
    """The assessed decisions of cases: columns case, structure, finding, truth.

    Args:
        annotations: Of the data set.
        vocabulary: What the model is trained for.
        cases: Which cases.
    """
    rows = [
        (a.case, a.structure, a.finding, a.present)
        for case in cases
        for a in annotations.of_case(case)
        if a.finding in vocabulary.names
    ]
    return pd.DataFrame(rows, columns=["case", "structure", "finding", "truth"])


def _json_number(value: float) -> float | None:
    """JSON has no NaN: what is not defined is null."""
    return None if np.isnan(value) else round(float(value), 6)
