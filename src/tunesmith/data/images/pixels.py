"""All prepared images of a run: decoded once, and then read as bytes by every pass over the data.

Few are held in memory; many go to a file in the cache (`images` beside the token cache), named by
the content of the image files and by all that their pixels follow from, and are mapped from there:
a second run finds it. An entry appears whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.core.files import read_json, whole_folder, write_json
from tunesmith.data.digests import cache_folder
from tunesmith.data.images.decode import decoded
from tunesmith.data.images.preparation import LONGEST, Preparation
from tunesmith.data.workers import applied

IN_MEMORY = 512 << 20
"""Bytes of pixels up to which they are held in memory and leave no trace on disk."""

LIMIT = 32 << 30
"""Bytes of the cache. Beyond it the entries that were used least recently go."""

_TOGETHER = 16
_PIXELS, _NOTE = "pixels", "note.json"


@dataclass(frozen=True, slots=True)
class Prepare:
    """Paths to resized images: what each process works at."""

    preparation: Preparation

    def __call__(self, paths: Sequence[str]) -> list[np.ndarray]:
        """Raises Refused for a file that was an image when its row was checked, and is none now."""
        return [self.preparation.resized(decoded(path)) for path in paths]


class Pixels:
    """Resized images by number: uint8, (H, W, 3) each."""

    def __init__(self, flat: np.ndarray, shapes: Sequence[tuple[int, int]]) -> None:
        self._flat = flat
        self._shapes = tuple(shapes)
        sizes = [height * width * 3 for height, width in self._shapes]
        self._starts = np.concatenate(([0], np.cumsum(sizes, dtype=np.int64))).tolist()

    @classmethod
    def of(cls, images: Sequence[np.ndarray]) -> Pixels:
        """These images, in memory."""
        flat = np.concatenate([np.empty(0, np.uint8), *(image.ravel() for image in images)])
        return cls(flat, [image.shape[:2] for image in images])

    def __len__(self) -> int:
        return len(self._shapes)

    def image(self, number: int) -> np.ndarray:
        """One image, not to be written to."""
        start, end = self._starts[number], self._starts[number + 1]
        return self._flat[start:end].reshape(*self._shapes[number], 3)


def prepared_pixels(
    paths: Sequence[str], digests: Sequence[str], preparation: Preparation
) -> Pixels:
    """The images of these files, whose SHA-256 are `digests`, as `preparation` resizes them.

    Raises:
        Refused: a file changed since it was checked, and is no image any more.
        StorageError: they are many, and the cache cannot be written.
    """
    most = len(paths) * 3 * LONGEST * (preparation.edge or preparation.height) ** 2
    if most <= IN_MEMORY:
        return Pixels.of(list(_prepared(paths, preparation)))
    parts = {"files": list(digests), "preparation": preparation.identity()}
    key = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:40]
    entry = cache_folder() / "images" / key
    found = _opened(entry, len(paths))
    if found is None:
        _write(entry, _prepared(paths, preparation))
        _sweep(entry)
        found = _opened(entry, len(paths))
        assert found is not None
    return found


def _prepared(paths: Sequence[str], preparation: Preparation) -> Iterator[np.ndarray]:
    size = sum(Path(path).stat().st_size for path in paths)
    with applied(Prepare(preparation), size) as apply:
        for images in apply(_runs(paths)):
            yield from images


def _runs(paths: Sequence[str]) -> Iterable[list[str]]:
    waiting = iter(paths)
    while run := list(islice(waiting, _TOGETHER)):
        yield run


def _write(entry: Path, images: Iterable[np.ndarray]) -> None:
    entry.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with whole_folder(entry) as draft:
        shapes = []
        with open(draft / _PIXELS, "wb") as file:
            for image in images:
                file.write(image.tobytes())
                shapes.append(list(image.shape[:2]))
        write_json(draft / _NOTE, {"shapes": shapes})


def _opened(entry: Path, count: int) -> Pixels | None:
    """The images of an entry, None where it is missing or not whole."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        shapes: Any = [tuple(shape) for shape in read_json(entry / _NOTE)["shapes"]]
        flat = np.memmap(entry / _PIXELS, np.uint8, "r")
        if len(shapes) == count and len(flat) == sum(3 * h * w for h, w in shapes):
            (entry / _NOTE).touch()
            return Pixels(flat.view(np.ndarray), shapes)
    return None


def _sweep(newest: Path) -> None:
    """Remove the entries used least recently, as far as they go beyond the limit."""
    entries = sorted(newest.parent.glob(f"*/{_NOTE}"), key=lambda note: -note.stat().st_mtime)
    room = LIMIT - (newest / _PIXELS).stat().st_size
    for note in entries:
        if note.parent != newest:
            with suppress(OSError):
                room -= (note.parent / _PIXELS).stat().st_size
            if room < 0:
                shutil.rmtree(note.parent, ignore_errors=True)
