"""One image file to red, green and blue: 8 bits each, upright, in front of white.

Through Pillow. What cannot be shown so in full is refused with a sentence: a file that is empty,
cut short or no image is never half used.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable

from PIL import Image, ImageOps, UnidentifiedImageError

from tunesmith.data.refusals import Refused

MOST_PIXELS = 100_000_000
"""Larger images are refused before they are unpacked: a few kilobytes can stand for gigabytes."""

_MAY_MOVE = (".gif", ".webp", ".png", ".tif", ".tiff")
_WHOLE = "Replace the file, or leave the row out."
_SIXTEEN = ("I;16", "I;16B", "I;16L", "I;16N", "I")


def decoded(path: str) -> Image.Image:
    """The image in mode RGB; of an animated one the first frame.

    Raises:
        Refused: there is no such file, or it is empty, no image, cut short, or too large.
    """
    _require_file(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # size is judged below, odd metadata is left alone
            with Image.open(path) as image:
                _require_size(image, path)
                image.load()
                return _upright_rgb(image)
    except Refused:
        raise
    except Image.DecompressionBombError:
        raise Refused("image_too_large", _too_large(path, "more")) from None
    except UnidentifiedImageError:
        raise Refused(
            "image_unreadable",
            f"{path} is no image that can be read, whatever its name says. {_WHOLE}",
        ) from None
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError) as error:
        truncated = "truncated" in str(error).lower()
        what = "is cut short" if truncated else f"cannot be decoded ({error})"
        raise Refused(
            "image_truncated" if truncated else "image_unreadable", f"{path} {what}. {_WHOLE}"
        ) from None


def animated(paths: Iterable[str]) -> str:
    """What is to be said of images that move, among those that can be read; "" for none."""
    moving = [path for path in paths if path.lower().endswith(_MAY_MOVE) and frames(path) > 1]
    if not moving:
        return ""
    some = f"{len(moving)} images are" if len(moving) > 1 else "1 image is"
    return f"{some} animated, of which the first frame alone is seen, first {moving[0]}."


def frames(path: str) -> int:
    """How many frames an image that can be read has."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(path) as image:
            return int(getattr(image, "n_frames", 1))


def _require_file(path: str) -> None:
    if not os.path.isfile(path):
        raise Refused(
            "image_missing",
            f"There is no image file {path}. A path is read from the folder of the file that names "
            "it, or, if it begins with /, as it is. Correct it, or leave the row out.",
        )
    if not os.path.getsize(path):
        raise Refused("image_empty", f"{path} is empty: it has 0 bytes. {_WHOLE}")


def _require_size(image: Image.Image, path: str) -> None:
    width, height = image.size
    if width * height > MOST_PIXELS:
        raise Refused("image_too_large", _too_large(path, f"{width} × {height} pixels, more"))


def _too_large(path: str, size: str) -> str:
    return (
        f"{path} would unpack to {size} than the {MOST_PIXELS:,} pixels that are allowed. Save a "
        "smaller copy, or leave the row out."
    )


def _upright_rgb(image: Image.Image) -> Image.Image:
    """Turned as its EXIF says, and converted."""
    image = ImageOps.exif_transpose(image)
    if image.mode in _SIXTEEN:
        # Pillow would cut values at 255; 16 bits hold 256 times as many.
        return image.convert("I").point(lambda value: value * (1 / 257)).convert("L").convert("RGB")
    if image.mode == "F":
        raise ValueError("its pixels are real numbers, whose range is not known")
    if image.has_transparency_data:
        seen = image.convert("RGBA")
        white = Image.new("RGBA", seen.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, seen).convert("RGB")
    return image.convert("RGB")
