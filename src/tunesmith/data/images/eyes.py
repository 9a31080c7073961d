"""How a vision-language base sees the pictures of a conversation: through its own processor.

A chat template writes one mark for each picture. The processor says what stands for the mark in the
text (576 image tokens, say, or rows of tiles with marks between them), and what the model is given
of the pixels. Nothing of either is computed here, so both are what serving computes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from hashlib import sha256
from importlib.metadata import version
from typing import Any

import numpy as np
from PIL import Image

from tunesmith.core.errors import DataError, Unsupported
from tunesmith.data.images.decode import decoded
from tunesmith.data.refusals import Refused

_TYPES = ("token_type_ids", "mm_token_type_ids")
"""Inputs that say of each token whether it stands for a picture."""

_OF_TEXT = (*_TYPES, "input_ids", "attention_mask")
_REMEMBERED = 4096
"""Pictures whose place in a text is remembered: each is rendered several times, in turns."""


class ProcessorEyes:
    """Pictures as transformers' `processor` (a ProcessorMixin with an image token) gives them.

    Raises Unsupported, with the end of a sentence, for a processor that does not say what stands
    for a picture in a text, or whose other inputs depend on the text beside the picture.
    """

    def __init__(self, processor: Any) -> None:
        self._processor = processor
        self._mark = str(processor.image_token)
        self._prove()
        found = processor(text=["a"])
        self._types = [name for name in _TYPES if name in found]
        self._expanded: dict[tuple[str, int], str] = {}

    def _prove(self) -> None:
        """Check on a grey picture that text and pixels can be made apart, as is done here."""
        grey, name = Image.new("RGB", (64, 64), (128, 128, 128)), type(self._processor).__name__
        shown = {"images": [[grey]], "return_text_replacement_offsets": True}
        try:
            alone, beside = (
                self._processor(text=[text], **shown) for text in (self._mark, f"{self._mark} a a")
            )
            text = alone["text_replacement_offsets"][0][0]["replacement"]
            ids = self._processor.tokenizer(text, add_special_tokens=False)["input_ids"]
        except (NotImplementedError, LookupError, TypeError, ValueError, AttributeError) as error:
            raise Unsupported(
                f"its processor ({name}) does not say what stands for a picture in a text"
            ) from error
        pixels = set(alone) - {*_OF_TEXT, "text_replacement_offsets"}
        apart = all(np.array_equal(alone[key], beside[key]) for key in pixels)
        if not apart or list(alone["input_ids"][0])[-len(ids) :] != ids:
            raise Unsupported(
                f"its processor ({name}) makes other inputs of a picture in each text"
            )

    def identity(self) -> dict[str, str]:
        """All that pictures are prepared by, as JSON."""
        settings = sha256(self._processor.to_json_string().encode()).hexdigest()
        return {"processor": settings, "pillow": version("pillow")}

    def written(self, text: str, paths: Sequence[str]) -> str:
        """A rendered text with what stands for each picture in the place of its mark.

        Raises:
            Refused: a picture cannot be used, or the text has not one mark for each.
        """
        before, *rest = text.split(self._mark)
        if len(rest) != len(paths):
            raise Refused(
                "image_marks",
                f"The chat template writes {len(rest)} of the marks {self._mark} for the "
                f"{len(paths)} pictures of this conversation. Give a template that writes one for "
                "each with data.template.",
            )
        return before + "".join(
            self._expansion(path) + piece for path, piece in zip(paths, rest, strict=True)
        )

    def inputs(self, ids_N: np.ndarray, paths: Sequence[str]) -> dict[str, np.ndarray]:
        """What the model is given beside the ids of one sequence: pixels, and what is a picture.

        Raises:
            DataError: a picture is no longer what it was when the sequence was tokenised.
        """
        given = {name: self._types_of(ids_N) for name in self._types}
        if not paths:
            return given
        try:
            text = self.written(self._mark * len(paths), paths)
            found = self._processed(paths, return_tensors="np")
        except Refused as refused:
            raise DataError(str(refused)) from None
        self._require_room(text, ids_N, paths)
        return given | {k: np.asarray(v) for k, v in found.items() if k not in _OF_TEXT}

    def _types_of(self, ids_N: np.ndarray) -> np.ndarray:
        """1 for each token that stands for a picture, else 0; shape (1, N)."""
        return np.array(self._processor.create_mm_token_type_ids([ids_N.tolist()]), dtype=np.int64)

    def _require_room(self, text: str, ids_N: np.ndarray, paths: Sequence[str]) -> None:
        """Check that the ids have as many image tokens as the pictures need now."""
        images = self._processor.image_token_ids
        needed_N = self._processor.tokenizer(text, add_special_tokens=False)["input_ids"]
        if np.isin(ids_N, images).sum() != np.isin(needed_N, images).sum():
            raise DataError(
                f"{', '.join(paths)}: of another size than when the run read it first. Put the "
                "picture back, or start a new run."
            )

    def _expansion(self, path: str) -> str:
        """What stands for one picture; a file that was written since is read again."""
        stamp = path, _time(path)
        if stamp not in self._expanded:
            if len(self._expanded) >= _REMEMBERED:
                self._expanded.clear()
            found = self._processed([path], return_text_replacement_offsets=True)
            self._expanded[stamp] = str(found["text_replacement_offsets"][0][0]["replacement"])
        return self._expanded[stamp]

    def _processed(self, paths: Sequence[str], **asked: Any) -> Any:
        pictures = [decoded(path) for path in paths]
        try:
            return self._processor(text=[self._mark * len(paths)], images=[pictures], **asked)
        except (ValueError, ZeroDivisionError) as error:
            raise Refused(
                "image_unfit",
                f"The base's image processor takes {', '.join(paths)} not ({error}). Give a "
                "picture of another size, or leave the row out.",
            ) from None


def _time(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0  # `decoded` says what is wrong with it
