"""`nnunet_textguided predict`: nnUNetv2_predict's arguments, for images in any orientation."""

from __future__ import annotations

import argparse
import os

from nnunet_textguided.errors import UserError

TRUST_HELP = "let the model's files run code when they are loaded; only if you know who made them"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add nnUNetv2_predict's own flags, and -m for a model folder.

    Args:
        parser: Of this command.
    """
    parser.add_argument("-i", required=True, metavar="FOLDER", help="input folder: CASE_0000.nii.gz, CASE_0001.nii.gz")
    parser.add_argument("-o", required=True, metavar="FOLDER", help="output folder, made if missing")
    parser.add_argument("-m", metavar="FOLDER", help="model folder (instead of -d, -tr, -p and -c)")
    parser.add_argument("-d", metavar="DATASET", help="name or number of the data set the model was trained on")
    parser.add_argument("-p", default="nnUNetPlans", metavar="PLANS", help="plans identifier")
    parser.add_argument("-tr", default="nnUNetTrainer", metavar="TRAINER", help="class name of the trainer")
    parser.add_argument("-c", metavar="CONFIGURATION", help="configuration, such as 2d or 3d_fullres")
    parser.add_argument(
        "-f", nargs="+", type=fold_or_all, default=[0, 1, 2, 3, 4], metavar="FOLD", help="folds to average, or all"
    )
    parser.add_argument("-step_size", type=float, default=0.5, help="sliding window step, as a part of the patch")
    parser.add_argument("--disable_tta", action="store_true", help="no mirroring: faster, less accurate")
    parser.add_argument("--verbose", action="store_true", help="more words from nnU-Net")
    parser.add_argument("--save_probabilities", action="store_true", help="write .npz and .pkl for nnUNetv2_ensemble")
    parser.add_argument("--continue_prediction", "--c", action="store_true", help="keep the predictions already there")
    parser.add_argument("-chk", default="checkpoint_final.pth", metavar="FILE", help="file name of the checkpoint")
    parser.add_argument("-npp", type=int, default=processes_of("nnUNet_npp"), help="preprocessing processes")
    parser.add_argument("-nps", type=int, default=processes_of("nnUNet_nps"), help="export processes")
    parser.add_argument("-prev_stage_predictions", metavar="FOLDER", help="first-stage predictions, for a cascade")
    parser.add_argument("-num_parts", type=int, default=1, help="calls that share the folder")
    parser.add_argument("-part_id", type=int, default=0, help="which of these calls this is, from 0")
    parser.add_argument("-device", choices=["cpu", "cuda", "mps"], help="cuda where there is one and else cpu")
    parser.add_argument("--disable_progress_bar", action="store_true", help="no progress bar")
    parser.add_argument(
        "--postprocessing", metavar="FILE", help="nnU-Net's postprocessing.pkl, applied before findings are read"
    )
    parser.add_argument(
        "--names_in_order",
        action="store_true",
        help="name vertebrae and discs as one column, each once and in order, before findings are read",
    )
    parser.add_argument("--not_on_device", action="store_true", help="collect results in main memory")
    parser.add_argument(
        "--resampling",
        choices=["plans", "torch"],
        default="plans",
        help="how scores are brought to the image's grid: as the plans say, or by torch (a third of the time)",
    )
    parser.add_argument("--trust", action="store_true", help=TRUST_HELP)


def run(args: argparse.Namespace) -> int:
    """Predict and say what was turned.

    Args:
        args: As parsed.

    Raises:
        UserError: Model, input or output is not usable.
    """
    if args.m is None and (args.d is None or args.c is None):
        raise UserError("Name the model: -d DATASET -c CONFIGURATION (with -tr and -p), or -m MODEL_FOLDER.")
    if args.m is not None and (args.d is not None or args.c is not None):
        raise UserError("-m names the model folder itself: leave out -d and -c.")
    from nnunet_textguided.inference.model_folder import find_model_folder
    from nnunet_textguided.inference.predict import predict_folder
    from nnunet_textguided.inference.predict_settings import PredictSettings, choose_device

    device = choose_device(args.device).type
    set_threads(device)
    names = [name for name in PredictSettings.__dataclass_fields__ if name != "device"]
    settings = PredictSettings(**{name: getattr(args, name) for name in names}, device=device)
    folder = args.m or find_model_folder(args.d, args.tr, args.p, args.c)
    summary = predict_folder(folder, args.i, args.o, args.f, args.chk, settings)
    for case, code in summary.reoriented.items():
        print(f"{case}: {code} image, predicted in {summary.orientation} and written back in its own geometry")
    already = f", {len(summary.skipped)} were there already" if summary.skipped else ""
    print(f"{len(summary.predicted)} cases predicted{already}: {summary.output_folder}")
    return 0


def fold_or_all(text: str) -> int | str:
    """Read a fold from the command line.

    Args:
        text: A number, or "all".

    Raises:
        argparse.ArgumentTypeError: Anything else.
    """
    if text == "all" or text.isdigit():
        return text if text == "all" else int(text)
    raise argparse.ArgumentTypeError(f"expected fold numbers or all, got {text!r}")


def processes_of(variable: str) -> int:
    """Return nnU-Net's default number of processes: 3, or what the variable says.

    Args:
        variable: nnUNet_npp or nnUNet_nps.
    """
    value = os.environ.get(variable, "")
    return int(value) if value.isdigit() else 3


def set_threads(device: str) -> None:
    """As nnUNetv2_predict: all cores on the CPU (or what OMP_NUM_THREADS allows), one thread beside a GPU.

    Args:
        device: Its type, such as "cpu".
    """
    import torch

    if device == "cuda":
        torch.set_num_threads(1)
    elif device == "cpu" and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(os.cpu_count() or 1)
