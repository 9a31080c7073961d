"""Small images and random image models, made in a moment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import (
    AutoModelForImageClassification,
    ConvNextConfig,
    MobileNetV2Config,
    ResNetConfig,
    SwinConfig,
    ViTConfig,
)

SIDE = 32
COLOURS = {"red": (200, 40, 40), "green": (40, 180, 60), "blue": (40, 60, 210)}
FAMILIES = ("vit", "resnet", "convnext", "mobilenet_v2", "swin")


def config_of(family: str) -> Any:
    """A tiny configuration of the family, without dropout."""
    old = {"num_labels": 7}
    if family == "vit":
        return ViTConfig(
            hidden_size=16,
            num_hidden_layers=3,
            num_attention_heads=2,
            intermediate_size=24,
            image_size=SIDE,
            patch_size=8,
            **old,
        )
    if family == "resnet":
        return ResNetConfig(
            embedding_size=8, hidden_sizes=[8, 12], depths=[1, 1], layer_type="basic", **old
        )
    if family == "convnext":
        return ConvNextConfig(hidden_sizes=[8, 12], depths=[1, 1], num_stages=2, **old)
    if family == "swin":
        return SwinConfig(
            image_size=SIDE,
            patch_size=4,
            embed_dim=8,
            depths=[1, 1],
            num_heads=[2, 2],
            window_size=4,
            drop_path_rate=0.0,
            **old,
        )
    return MobileNetV2Config(
        depth_multiplier=0.15, image_size=SIDE, classifier_dropout_prob=0.0, **old
    )


def save_vision(folder: Path, family: str = "vit", seed: int = 0) -> Path:
    """A random model of the family, with what it says of its images; returns `folder`."""
    torch.manual_seed(seed)
    model = AutoModelForImageClassification.from_config(config_of(family))
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)
    model.save_pretrained(folder)
    said = {
        "do_resize": True,
        "size": {"shortest_edge": SIDE + 4},
        "do_center_crop": True,
        "crop_size": {"height": SIDE, "width": SIDE},
        "resample": 2,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.5, 0.4, 0.3],
        "image_std": [0.5, 0.6, 0.7],
        "image_processor_type": "MobileNetV2ImageProcessor",
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(said))
    return folder


def picture(
    colour: tuple[int, int, int], seed: int, size: tuple[int, int] = (48, 40)
) -> Image.Image:
    """An image of a noisy colour."""
    noise = np.random.default_rng(seed).integers(-40, 40, (size[1], size[0], 3))
    return Image.fromarray(np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8))


def folders(
    root: Path, each: int, seed: int = 0, colours: tuple[str, ...] = tuple(COLOURS)
) -> Path:
    """Folders of classes with `each` images in them; returns `root`."""
    for number, name in enumerate(colours):
        (root / name).mkdir(parents=True)
        for index in range(each):
            image = picture(COLOURS[name], seed + 1000 * number + index)
            image.save(root / name / f"{index:03}.png")
    return root
