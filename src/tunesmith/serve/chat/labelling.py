"""Asking tuned models that do not write: vectors of texts, and classes of texts and images."""

from __future__ import annotations

import base64
import binascii
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.core.records import Origin
from tunesmith.serve.caller import Caller
from tunesmith.serve.chat.generation import Model
from tunesmith.serve.chat.names import Names
from tunesmith.serve.chat.prompts import reading
from tunesmith.serve.chat.shelf import Shelf
from tunesmith.serve.errors import bad_request, too_many
from tunesmith.serve.ids import new_id
from tunesmith.serve.settings import Settings
from tunesmith.serve.wire.embeddings import Embedding, EmbeddingRequest, Embeddings, EmbeddingUsage
from tunesmith.serve.wire.moderations import (
    ImagePart,
    InputType,
    Moderation,
    ModerationRequest,
    Moderations,
)

if TYPE_CHECKING:
    from tunesmith.runs.labels.ask import Answer, Asking
    from tunesmith.runs.labels.ask_embed import Embedder

PLACES = 16
"""Requests that may wait for a model: each holds a thread, and whatever is answered here, to
whomever, takes one of forty."""

Floats = Any
"""An array of float32."""


class Labelling:
    """Opens what is asked for at its first use. Its methods take their time: call in threads."""

    def __init__(self, settings: Settings, names: Names) -> None:
        self._names = names
        self._embedders: Shelf[Embedder] = Shelf(_embedder, settings.resident_bases)
        self._labellers: Shelf[Asking] = Shelf(_labeller, settings.resident_bases)
        self._places = threading.BoundedSemaphore(PLACES)

    def embed(self, caller: Caller, asked: EmbeddingRequest) -> Embeddings:
        """A vector for each text. Raises ApiError 400, 404, 429 or 503."""
        model = self._names.of_kind(caller, asked.model, "embedder")
        with self._in_turn():
            return self._embedded(model, asked)

    def _embedded(self, model: Model, asked: EmbeddingRequest) -> Embeddings:
        placed = [(Origin("input", n), text) for n, text in enumerate(asked.texts, start=1)]
        with self._embedders.used(model) as embedder:
            with reading("input"):
                rows = embedder.rows(placed)
            vectors_RD = embedder.of(rows)
        if asked.dimensions not in (None, vectors_RD.shape[1]):
            raise bad_request(
                f"{model.id} makes vectors of {vectors_RD.shape[1]} numbers, and of no other "
                "length: leave dimensions out.",
                param="dimensions",
            )
        tokens = sum(map(len, rows))
        written = _in_base64 if asked.encoding_format == "base64" else _as_numbers
        return Embeddings(
            data=[Embedding(index=n, embedding=written(one)) for n, one in enumerate(vectors_RD)],
            model=model.id,
            usage=EmbeddingUsage(prompt_tokens=tokens, total_tokens=tokens),
        )

    def moderate(self, caller: Caller, asked: ModerationRequest) -> Moderations:
        """The classes of each text or image. Raises ApiError 400, 404, 429 or 503."""
        model = self._names.of_kind(caller, asked.model, "classifier", "image")
        images = model.kind == "image"
        with (
            self._in_turn(),
            tempfile.TemporaryDirectory() as folder,
            self._labellers.used(model) as labeller,
        ):
            said = _saved(asked, Path(folder)) if images else _texts(asked)
            with reading("input"):
                answers = labeller.label(said)
        kind: InputType = "image" if images else "text"
        results = [_moderation(model, answer, kind) for answer in answers]
        return Moderations(id=new_id("modr-"), model=model.id, results=results)

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        """Raises ApiError 429 where as many ask as may wait for a model."""
        if not self._places.acquire(blocking=False):
            raise too_many("Too many texts or images wait for a model. Try again.", 1)
        try:
            yield
        finally:
            self._places.release()


def _moderation(model: Model, answer: Answer, kind: InputType) -> Moderation:
    """A class counts where the model gives it and is sure enough not to ask a person."""
    if answer.chances is None:
        raise bad_request(
            f"{model.id} gives numbers or marks words, and no classes of a whole text. Ask it with "
            "`tunesmith label`.",
            param="model",
        )
    given = {name: answer.named and name in answer.labels for name in answer.chances}
    return Moderation(
        flagged=any(given.values()),
        categories=given,
        category_scores=dict(answer.chances),
        category_applied_input_types={name: [kind] for name in given},
    )


def _texts(asked: ModerationRequest) -> list[tuple[Origin, str]]:
    if any(isinstance(each, ImagePart) for each in asked.inputs):
        raise bad_request(f"{asked.model} labels texts, and an image was sent.", param="input")
    return [(Origin("input", n), text) for n, text in enumerate(asked.texts, start=1)]


def _saved(asked: ModerationRequest, folder: Path) -> list[tuple[Origin, str]]:
    """The images in files of this folder, which is named by nothing that was sent."""
    found = []
    for number, each in enumerate(asked.inputs, start=1):
        if not isinstance(each, ImagePart):
            raise bad_request(f"{asked.model} labels images, and a text was sent.", param="input")
        path = folder / f"image-{number}"
        path.write_bytes(_bytes_of(each.image_url.url))
        found.append((Origin("input", number), str(path)))
    return found


def _bytes_of(url: str) -> bytes:
    """The bytes in a data URL. Raises ApiError 400."""
    head, _, data = url.partition(";base64,")
    try:
        if head.startswith("data:image/"):
            return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        pass
    raise bad_request(
        "An image is sent inside the request, as data:image/png;base64,...; nothing is fetched "
        "from elsewhere.",
        param="input",
    )


def _in_base64(vector_D: Floats) -> str:
    return base64.b64encode(vector_D.astype("<f4").tobytes()).decode()


def _as_numbers(vector_D: Floats) -> list[float]:
    found: list[float] = vector_D.tolist()
    return found


def _embedder(folder: Path) -> Embedder:
    from tunesmith.runs.labels.ask_embed import Embedder
    from tunesmith.runs.open import open_run

    return Embedder(open_run(folder))


def _labeller(folder: Path) -> Asking:
    from tunesmith.runs.asking import open_labeller
    from tunesmith.runs.open import open_run

    return open_labeller(open_run(folder))
