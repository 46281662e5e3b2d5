"""A model folder as nnU-Net writes it, made by hand: nnU-Net's own small U-Net with random weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch

from nnunet_textguided.inference.predict_settings import PredictSettings

LABELS = {"background": 0, "L5": 1, "L5/S": 2}


def resampling(order: int) -> dict:
    return {"is_seg": False, "order": order, "order_z": 0, "force_separate_z": None}


def configuration(dimensions: int, channels: int) -> dict:
    conv = f"torch.nn.modules.conv.Conv{dimensions}d"
    kernel, stride = [[3] * dimensions] * 2, [[1] * dimensions, [2] * dimensions]
    return {
        "data_identifier": f"nnUNetPlans_{dimensions}d",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": [8, 16, 16][-dimensions:],
        "median_image_size_in_voxels": [6, 20, 18][-dimensions:],
        "spacing": [3.0, 1.0, 1.0][-dimensions:],
        "normalization_schemes": ["ZScoreNormalization"] * channels,
        "use_mask_for_norm": [False] * channels,
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": resampling(3),
        "resampling_fn_seg_kwargs": {**resampling(1), "is_seg": True},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": resampling(1),
        "batch_dice": False,
        "architecture": {
            "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
            "arch_kwargs": {
                "n_stages": 2,
                "features_per_stage": [4, 8],
                "conv_op": conv,
                "kernel_sizes": kernel,
                "strides": stride,
                "n_conv_per_stage": [1, 1],
                "n_conv_per_stage_decoder": [1],
                "conv_bias": True,
                "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dimensions}d",
                "norm_op_kwargs": {"eps": 1e-05, "affine": True},
                "dropout_op": None,
                "dropout_op_kwargs": None,
                "nonlin": "torch.nn.LeakyReLU",
                "nonlin_kwargs": {"inplace": True},
            },
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
    }


def write_model_folder(
    folder: Path, orientation: str | None = "PIR", channels: int = 1, configuration_name: str = "2d", seed: int = 0
) -> Path:
    """Write plans.json, dataset.json and fold_0 of a stock nnUNetTrainer model with random weights."""
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    plans = {
        "dataset_name": "Dataset999_Toy",
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": [3.0, 1.0, 1.0],
        "original_median_shape_after_transp": [6, 20, 18],
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {"2d": configuration(2, channels), "3d_fullres": configuration(3, channels)},
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {str(c): {} for c in range(channels)},
    }
    if orientation is not None:
        plans["text_guidance"] = {"orientation": orientation}
    dataset = {
        "channel_names": {str(c): f"T{c + 1}" for c in range(channels)},
        "labels": LABELS,
        "numTraining": 2,
        "file_ending": ".nii.gz",
    }
    (folder / "fold_0").mkdir(parents=True)
    (folder / "plans.json").write_text(json.dumps(plans))
    (folder / "dataset.json").write_text(json.dumps(dataset))
    torch.manual_seed(seed)
    manager = PlansManager(plans)
    network = nnUNetTrainer.build_network_architecture(
        manager, manager.get_configuration(configuration_name), channels, 3, False
    )
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            # No bias: it would let one class win everywhere, and equal predictions would prove nothing.
            parameter.normal_(0, 0.5) if name.endswith("weight") else parameter.zero_()
    checkpoint = {
        "network_weights": network.state_dict(),
        "trainer_name": "nnUNetTrainer",
        "init_args": {"configuration": configuration_name},
        "inference_allowed_mirroring_axes": None,
    }
    torch.save(checkpoint, folder / "fold_0" / "checkpoint_final.pth")
    return folder


def toy_volume(seed: int = 0, shape: tuple[int, int, int] = (6, 21, 18)) -> sitk.Image:
    """A PIR volume of smooth random blobs, (Z, Y, X) sagittal slices first, unequal in every axis."""
    noise = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    image = sitk.GetImageFromArray(
        np.array(sitk.GetArrayFromImage(sitk.SmoothingRecursiveGaussian(sitk.GetImageFromArray(noise), 1.5))) * 100
    )
    image.SetSpacing((1.0, 1.25, 3.0))
    image.SetOrigin((-10.5, 42.25, 7.0))
    image.SetDirection((0, 0, -1, 1, 0, 0, 0, -1, 0))
    return image


FINDINGS = {
    "bulge": {"term": "bulging of the disc", "applies_to": ["L5/S"]},
    "fracture": {"term": "fracture of the vertebra", "applies_to": ["L5"]},
}
IN_PROCESS = PredictSettings(npp=0, nps=0, device="cpu", disable_progress_bar=True)


def make_text_guided(folder: Path, configuration: str = "2d", folds: int = 1) -> Path:
    """Turn a hand-made U-Net folder into a text-guided model with findings and random, non-initial weights."""
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    from nnunet_textguided.trainers import TextGuidedTrainer

    write_model_folder(folder, configuration_name=configuration)
    plans = json.loads((folder / "plans.json").read_text())
    plans["text_guidance"] = {
        "names": ["L5", "L5/S"],
        "terms": {"L5": "fifth lumbar vertebra", "L5/S": "lowest disc"},
        "findings": FINDINGS,
        "encoder": "convnextv2_atto",
        "encoder_weights": "none",
        "text_model": "random",
        "text_weights": None,
        "bank": {"file": "bank.safetensors", "sha256": "0", "embedding_dim": 16},
        "orientation": "PIR",
        "operating_points": {"bulge": 0.2},
    }
    for name in ("2d", "3d_fullres"):
        kwargs = plans["configurations"][name]["architecture"]["arch_kwargs"]
        kwargs["strides"] = kwargs["pool_op_kernel_sizes"] = [
            [1] * len(kwargs["strides"][0]),
            [2] * len(kwargs["strides"][0]),
        ]
    (folder / "plans.json").write_text(json.dumps(plans))
    manager = PlansManager(plans)
    for fold in range(folds):
        torch.manual_seed(11 + fold)
        network = TextGuidedTrainer.build_network_architecture(
            manager, manager.get_configuration(configuration), 1, 3, False
        )
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
            network.set_class_vectors(torch.randn(4, 16))
        (folder / f"fold_{fold}").mkdir(exist_ok=True)
        checkpoint = {
            "network_weights": network.state_dict(),
            "trainer_name": "TextGuidedTrainer",
            "init_args": {"configuration": configuration},
            "inference_allowed_mirroring_axes": (1,),
        }
        torch.save(checkpoint, folder / f"fold_{fold}" / "checkpoint_final.pth")
    return folder
