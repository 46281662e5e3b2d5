"""`nnunet_textguided pretrain-image`: pretrain the image encoder on scans without labels."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from nnunet_textguided.pretraining.image_settings import ImageTraining, Running

    what, how = ImageTraining(), Running()
    add = parser.add_argument
    add("-i", dest="sources", nargs="+", required=True, help="nnU-Net data sets, folders or files")
    add("-o", dest="output", required=True, help="folder for encoder, log, picture and checkpoint")
    add("--encoder", default=what.encoder, help="timm's name of a ConvNeXt V2")
    add("--steps", type=int, default=what.steps, help="optimiser steps")
    add("--batch", type=int, default=what.batch, help="slices a step, over all devices")
    add("--learning-rate", type=float, default=what.learning_rate, help="highest rate (AdamW; Muon: 6 x)")
    add("--mask-ratio", type=float, default=what.mask_ratio, help="share of hidden 32 x 32 patches")
    add("--size", type=int, nargs=2, default=what.size, metavar=("H", "W"), help="window, multiples of 32 pixels")
    pixel = parser.add_mutually_exclusive_group()
    pixel.add_argument("--plans", metavar="FILE", help="plans JSON; slices are brought to its in-plane spacing")
    pixel.add_argument("--spacing", type=float, nargs=2, metavar=("H", "W"), help="mm a pixel; default: as on disk")
    add("--keep-channels", action="store_true", help="keep the sequences of an nnU-Net case together as channels")
    add("--held-out", type=float, default=what.held_out, help="share of patients kept back to measure on")
    add("--patient", default=what.patient, help="regular expression for the patient in a file's name")
    add("--seed", type=int, default=what.seed, help="of order, windows, masks and weights")
    add("--accelerator", default=how.accelerator, help="auto, cpu, cuda or mps")
    add("--devices", default=how.devices, help="number of devices, or auto")
    add("--num-nodes", type=int, default=how.num_nodes, help="number of machines")
    add("--precision", default=how.precision, help="32-true, bf16-mixed or 16-mixed")
    add("--workers", type=int, default=how.workers, help="processes that read slices, per device")
    add("--report-every", type=int, default=how.report_every, help="steps between log rows, pictures and checkpoints")


def run(args: argparse.Namespace) -> int:
    """Pretrain, and say how to use the encoder."""
    from nnunet_textguided.pretraining.image_settings import ImageTraining, Running
    from nnunet_textguided.pretraining.image_training import pretrain_image
    from nnunet_textguided.pretraining.plan_spacing import spacing_of_plans

    training = ImageTraining(
        encoder=args.encoder,
        steps=args.steps,
        batch=args.batch,
        learning_rate=args.learning_rate,
        mask_ratio=args.mask_ratio,
        size=tuple(args.size),
        spacing=spacing_of_plans(args.plans) if args.plans else tuple(args.spacing) if args.spacing else None,
        separate_channels=not args.keep_channels,
        held_out=args.held_out,
        patient=args.patient,
        seed=args.seed,
    )
    running = Running(
        accelerator=args.accelerator,
        devices=args.devices if args.devices == "auto" else int(args.devices),
        num_nodes=args.num_nodes,
        precision=args.precision,
        workers=args.workers,
        report_every=args.report_every,
    )
    path = pretrain_image(args.sources, args.output, training, running)
    print(f"{path}: use it with nnunet_textguided plan --encoder {training.encoder} --encoder-weights {path}")
    return 0
