"""Images in folders named as their classes: a file is a row with the fields "image" and "label".

They are told by their endings alone; nothing is decoded here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from tunesmith.core.errors import DataError
from tunesmith.core.records import Origin, Row
from tunesmith.data.sources.opened import Content
from tunesmith.data.sources.rows import Block, Place, Placed, RowBlock


def image_blocks(content: Content) -> Iterator[Block]:
    """The one row: the path of the image, and the name of its folder."""
    yield RowBlock((Placed(_row(content.path), 0, 0),))


def image_again(content: Content, places: Sequence[Place]) -> Iterator[Row]:
    """The row, as often as it is asked for."""
    return (_row(content.path) for _ in places)


def require_classes(root: str, images: Sequence[str]) -> None:
    """Check that the images in a folder stand in folders of classes, all equally deep.

    Raises:
        DataError: some stand in `root` itself, or deeper than others, so that their folder's name
            would be a class that was hardly meant.
    """
    depths = {os.path.relpath(image, root).count(os.sep): image for image in images}
    first = depths[min(depths)]
    if min(depths) == 0:
        raise DataError(
            f"{first} stands in no folder of a class below {root}. An image's label is the name of "
            "its folder: sort the images into one for each class, or give a list of images with "
            'the fields "image" and "label".'
        )
    if len(depths) > 1:
        raise DataError(
            f"{depths[max(depths)]} stands deeper in {root} than {first}. An image's label is the "
            "name of its folder, so all such folders must be equally deep. Move some, or name "
            "fewer folders."
        )


def _row(path: str) -> Row:
    return Row(Origin(path, 1), {"image": path, "label": _label(path)})


def _label(path: str) -> str:
    label = os.path.basename(os.path.dirname(path))
    if label in ("", ".", ".."):
        raise DataError(
            f"The label of an image is the name of its folder, which {path} does not say. Name the "
            "image with its folder, or the folder above it."
        )
    return label
