"""`nnunet_textguided plan`: write the options of a text-guided model into plans of their own."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

OPTIONS = (
    "encoder",
    "encoder_weights",
    "encoder_rate",
    "text_model",
    "text_weights",
    "templates",
    "whitening",
    "seed",
)
"""Options that are fields of the block of the same name."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; what is left out keeps its default in the plans."""
    add = parser.add_argument
    add("-d", dest="dataset", required=True, help="id or name of the preprocessed data set")
    add("-p", dest="plans", default="nnUNetPlans", help="identifier of the plans to copy (ResEnc plans work too)")
    add("--name", help="identifier of the copy (default: that of the plans + TextGuided)")
    add("--encoder", help="timm name of a ConvNeXt V2 image encoder, such as convnextv2_atto")
    add("--encoder-weights", help="timm (the pretrained ones of that name), none, or a file")
    add("--encoder-rate", type=float, help="factor on the encoder's learning rate (default: 0.1 if pretrained)")
    add("--text-model", help="open_clip name, JSON configuration, local-dir:..., hf-hub:..., random or one-hot")
    add("--text-weights", help="open_clip tag or a checkpoint file")
    add("--templates", nargs="+", help="prompt templates with {term} and, optionally, {modality}")
    add("--findings", nargs="+", default=["none"], help="names of findings to train for, all, or none (default)")
    add("--mirror-axes", nargs="+", default=["auto"], help="auto, all, none, or axes of the preprocessed array: 0 1 2")
    add("--whitening", type=float, help="exponent of the bank's whitening, 0 (none) to 1 (orthogonal rows)")
    add("--seed", type=int, help="seed of the training (exact with nnUNet_n_proc_DA=0)")
    add("--overwrite", action="store_true", help="replace plans of that name")


def run(args: argparse.Namespace) -> int:
    """Write the plans and say what is in them."""
    from nnunet_textguided.dataset_conversion.base.splits import install_splits
    from nnunet_textguided.files import load_json
    from nnunet_textguided.findings.annotations import FINDINGS_FILE
    from nnunet_textguided.nnunet_paths import require_paths
    from nnunet_textguided.trainers.finding_targets import install_findings
    from nnunet_textguided.trainers.guidance import BLOCK
    from nnunet_textguided.trainers.plan import preprocessed_folder, write_text_guided_plans

    folder = preprocessed_folder(args.dataset)
    raw = require_paths("nnUNet_raw")["nnUNet_raw"] / folder.name
    if raw.is_dir() and install_splits(raw, folder):
        print(f"splits taken over from {raw / 'splits_final.json'}")
    if raw.is_dir() and install_findings(raw, folder):
        print(f"findings taken over from {raw / FINDINGS_FILE}")
    path = write_text_guided_plans(
        folder,
        args.plans,
        args.name,
        _options(args),
        mirror=_mirror_axes(args.mirror_axes),
        findings=[] if args.findings == ["none"] else args.findings,
        overwrite=args.overwrite,
    )
    plans = load_json(path)
    block = plans[BLOCK]
    print(f"wrote {path}")
    for key in ("encoder", "encoder_weights", "text_model", "text_weights", "mirror_axes", "whitening", "seed"):
        print(f"  {key}: {block[key]}")
    if block["encoder_source"]:
        source = block["encoder_source"]
        print(f"  encoder weights from: {source['pretraining'] or 'not stated'}; licence: {source['licence']}")
    for kind in ("names", "findings"):
        title = "structures" if kind == "names" else kind
        print(f"  {len(block[kind])} {title}: {', '.join(block[kind]) or '-'}")
    configuration = [*preprocessed_configurations(folder, plans), *plans["configurations"]][0]
    print(f"next: nnUNetv2_train {args.dataset} {configuration} 0 -tr TextGuidedTrainer -p {path.stem}")
    return 0


def preprocessed_configurations(folder: Path, plans: dict[str, Any]) -> list[str]:
    """List the configurations whose data are there.

    Args:
        folder: `nnUNet_preprocessed/DatasetXXX_Name`.
        plans: Content of a plans file.
    """
    own = {name: content.get("data_identifier") for name, content in plans["configurations"].items()}
    return [name for name, data in own.items() if data and (folder / data).is_dir()]


def _options(args: argparse.Namespace) -> dict[str, Any]:
    """Only what the user said."""
    options = {key: getattr(args, key) for key in OPTIONS if getattr(args, key) is not None}
    if args.text_model and not args.text_weights:
        options["text_weights"] = None  # the default tag belongs to the default model
    return options


def _mirror_axes(words: list[str]) -> Any:
    from nnunet_textguided.trainers.mirroring import check_mirror_mode

    if len(words) == 1 and not words[0].isdigit():
        return check_mirror_mode(words[0])
    return check_mirror_mode([int(word) if word.isdigit() else word for word in words])
