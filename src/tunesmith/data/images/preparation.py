"""How a base wants to see an image: resized, cut, scaled. What its preprocessor_config.json says.

transformers' image processors do the same with Pillow: resize to 8-bit values, cut out the middle,
multiply, subtract the mean and divide by the deviation. Here the first two are done once for each
image, in 8 bits, and the others by the model on a whole batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from typing import Any

import numpy as np
from PIL import Image

from tunesmith.core.errors import ModelError

LONGEST = 1.5
"""Of an image longer than so many times its width (or wider) only the middle is kept: the rest is
never seen by the base, and hardly by its variations."""

_FULL_WARP = 384
"""From this size on ConvNeXt's processor squeezes the whole image instead of cutting its middle."""


@dataclass(frozen=True, slots=True)
class Preparation:
    """From an image in RGB to numbers.

    `height` and `width` are what the base sees. `edge` is the length to which the shorter edge is
    resized before the middle is cut out; None squeezes the whole image into height and width. Pixel
    p becomes (p · factor − mean) / deviation, by channel.
    """

    height: int
    width: int
    edge: int | None
    resample: int
    factor: float
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    @classmethod
    def of(cls, config: Mapping[str, Any], where: str) -> Preparation:
        """From the content of preprocessor_config.json.

        Raises:
            ModelError: it says nothing of a size, or asks for a cut larger than the image.
        """
        edge, height, width = _sizes(config, where)
        normal = config.get("do_normalize", True)
        return cls(
            height,
            width,
            edge,
            int(config.get("resample", Image.Resampling.BILINEAR)),
            float(config.get("rescale_factor", 1 / 255)) if config.get("do_rescale", True) else 1.0,
            tuple(config.get("image_mean", (0.5,) * 3)) if normal else (0.0,) * 3,
            tuple(config.get("image_std", (0.5,) * 3)) if normal else (1.0,) * 3,
        )

    def at(self, size: int) -> Preparation:
        """The same of another size, square, with the same share of the image in it."""
        edge = None if self.edge is None else round(self.edge * size / min(self.height, self.width))
        return replace(self, height=size, width=size, edge=edge)

    def written(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """preprocessor_config.json with these sizes, for plain transformers to do the same."""
        found = dict(config)
        if self.edge is None:
            found["size"] = {"height": self.height, "width": self.width}
        elif "crop_pct" in config:
            found["size"] = {"shortest_edge": self.height}
        else:
            found["size"] = {"shortest_edge": self.edge}
            found["crop_size"] = {"height": self.height, "width": self.width}
        return found

    def identity(self) -> dict[str, Any]:
        """All that prepared pixels follow from besides the image, as JSON."""
        return asdict(self) | {"longest": LONGEST, "pillow": version("pillow")}

    def resized(self, image: Image.Image) -> np.ndarray:
        """The image at the base's scale with what stands around the cut: uint8, (H, W, 3)."""
        if self.edge is None:
            return np.asarray(image.resize((self.width, self.height), self.resample))
        short = min(image.size)
        size = [
            self.edge if side == short else int(self.edge * side / short) for side in image.size
        ]
        kept = [min(side, int(LONGEST * self.edge)) for side in size]
        # Where the middle of what is kept is the middle of all: the cut begins on the same pixel.
        starts = [(a - cut) // 2 - (b - cut) // 2 for a, b, cut in self._cuts(size, kept)]
        scales = [side / to for side, to in zip(image.size, size, strict=True)]
        ends = [start + count for start, count in zip(starts, kept, strict=True)]
        left, top = (start * scale for start, scale in zip(starts, scales, strict=True))
        right, bottom = (
            min(float(side), end * scale)
            for side, end, scale in zip(image.size, ends, scales, strict=True)
        )
        box = (left, top, right, bottom)
        return np.asarray(image.resize((kept[0], kept[1]), self.resample, box=box))

    def _cuts(self, size: Sequence[int], kept: Sequence[int]) -> Iterator[tuple[int, int, int]]:
        return zip(size, kept, (self.width, self.height), strict=True)

    def middle(self, pixels_HWC: np.ndarray) -> np.ndarray:
        """What the base sees of a resized image: uint8, (height, width, 3)."""
        top = (pixels_HWC.shape[0] - self.height) // 2
        left = (pixels_HWC.shape[1] - self.width) // 2
        return pixels_HWC[top : top + self.height, left : left + self.width]


def _sizes(config: Mapping[str, Any], where: str) -> tuple[int | None, int, int]:
    """Edge, height and width."""
    size = config.get("size")
    size = {"shortest_edge": size} if isinstance(size, int) else size or {}
    edge = size.get("shortest_edge")
    if not config.get("do_resize", True) or (edge is None and "height" not in size):
        raise ModelError(
            f"{where} does not say to which size images are resized (size: {size}), so they cannot "
            "be laid into one batch. Write a size into it."
        )
    if edge is None:
        return None, int(size["height"]), int(size["width"])
    if "crop_pct" in config:
        share = float(config["crop_pct"] or 1.0)
        return (None if edge >= _FULL_WARP else int(edge / share)), int(edge), int(edge)
    if not config.get("do_center_crop", "crop_size" in config):
        return int(edge), int(edge), int(edge)
    crop = config.get("crop_size", edge)
    crop = {"height": crop, "width": crop} if isinstance(crop, int) else crop
    if max(crop["height"], crop["width"]) > edge:
        raise ModelError(
            f"{where} cuts {crop['height']} × {crop['width']} pixels out of images whose shorter "
            f"edge is {edge}. Correct its crop_size or its size."
        )
    return int(edge), int(crop["height"]), int(crop["width"])
