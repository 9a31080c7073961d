"""Variations of an image, so that a model learns the thing and not the photograph.

A random part of it (Szegedy et al. 2015, §6), mirrored or not, and another light (brightness,
contrast, saturation; Krizhevsky et al. 2012, §4.1). Each follows from its seed alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image, ImageEnhance

Augment = Literal["none", "light", "strong"]


@dataclass(frozen=True, slots=True)
class Strength:
    """How far variations go: the least share of the area that is shown, the widest ratio of its
    sides, and by how much brightness, contrast and saturation are changed (each 1 ± so much)."""

    least: float
    ratio: float
    light: float


STRENGTHS: dict[Augment, Strength] = {
    "light": Strength(0.6, 4 / 3, 0.1),
    "strong": Strength(0.3, 4 / 3, 0.3),
}


def view(
    pixels_HWC: np.ndarray, size: tuple[int, int], strength: Strength, random: np.random.Generator
) -> np.ndarray:
    """One variation of an image: uint8, (height, width, 3) of `size`."""
    height, width = pixels_HWC.shape[:2]
    top, left, high, wide = _part(height, width, strength, random)
    image = Image.fromarray(np.ascontiguousarray(pixels_HWC))
    image = image.resize(
        (size[1], size[0]), Image.Resampling.BILINEAR, box=(left, top, left + wide, top + high)
    )
    if random.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = enhance(image).enhance(1 + strength.light * random.uniform(-1, 1))
    return np.asarray(image)


def _part(
    height: int, width: int, strength: Strength, random: np.random.Generator
) -> tuple[float, float, float, float]:
    """Top, left, height and width of a random part that lies within the image."""
    area = random.uniform(strength.least, 1.0) * height * width
    ratio = math.exp(random.uniform(-1, 1) * math.log(strength.ratio))
    wide, high = (
        min(float(width), math.sqrt(area * ratio)),
        min(float(height), math.sqrt(area / ratio)),
    )
    return random.uniform(0, height - high), random.uniform(0, width - wide), high, wide
