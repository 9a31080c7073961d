"""A small copy of an image, to be shown inside a page."""

from __future__ import annotations

import base64
from io import BytesIO

import numpy as np
from PIL import Image

EDGE, QUALITY = 112, 70
"""The longer edge in pixels, and JPEG's own measure: about 3 kB an image."""


def data_uri(pixels_HWC: np.ndarray) -> str:
    """A JPEG as a data URI."""
    image = Image.fromarray(np.ascontiguousarray(pixels_HWC))
    image.thumbnail((EDGE, EDGE))
    file = BytesIO()
    image.save(file, "JPEG", quality=QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
