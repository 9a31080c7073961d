"""Models that stay open and answer many at once: a base with its adapters, asked as in training.

`Placing` finds what a model needs without opening it: how it reads, on which weights it stands, and
whether its adapter can share them. `Resident` is one set of open weights with a `Writer`.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any, Literal

import numpy as np

from tunesmith.core.errors import DataError, Unsupported
from tunesmith.core.records import Message
from tunesmith.data import Renderer
from tunesmith.models.methods import ADAPTER, reopen
from tunesmith.models.open import Described, locate, open_base
from tunesmith.models.quantised import NONE
from tunesmith.models.resident.choosing import Choice
from tunesmith.models.resident.grammar import compiled
from tunesmith.models.resident.lora import Lora, alone, read_lora
from tunesmith.models.resident.row import Row, Wanted, Written
from tunesmith.models.resident.spelling import Spelling
from tunesmith.models.resident.writer import Writer
from tunesmith.recipe import AUTO, Recipe, load
from tunesmith.runs.eyes import described_base, reads_alone
from tunesmith.runs.finished import artefact_of, run_folder
from tunesmith.runs.open import device_here
from tunesmith.runs.rendering import renderer_of, require_going_on, template_of
from tunesmith.runs.setup import early_choices, facts_of
from tunesmith.runs.writing import require_writing

__all__ = [
    "Choice",
    "Placed",
    "Placing",
    "Reader",
    "Resident",
    "Row",
    "Wanted",
    "Weights",
    "Written",
]

_READERS = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
"""Files from which it follows how an artefact reads."""

_KEPT = 1024
"""Models of which it is kept in mind where they stand."""


@dataclass(frozen=True, slots=True)
class Weights:
    """What is opened as one. `own` is the folder of an adapter that cannot share its base."""

    base: str
    dtype: str
    device: str
    quantize: str = NONE
    own: Path | None = None


class Reader:
    """How a model is asked: by the template and the tokenizer that it was trained with."""

    def __init__(self, described: Described, renderer: Renderer) -> None:
        self.described = described
        self._renderer = renderer
        self._lock = Lock()

    @property
    def context(self) -> int:
        """Tokens of prompt and answer together."""
        return self.described.context

    def ask(self, messages: Sequence[Message], tools: Sequence[str] = ()) -> tuple[int, ...]:
        """The ids that ask for the answer to `messages`: those of training.

        Raises DataError for a conversation that the template refuses, or one that is too long.
        """
        return self._with_room(self._renderer.ask(messages, tools), "conversation")

    def go_on(self, text: str) -> tuple[int, ...]:
        """The ids of a plain text that is to be gone on with. Raises DataError as `ask`."""
        encoder = self._renderer.encoder
        ids = encoder.whole(text)
        if encoder.start is not None:
            ids = np.insert(ids, 0, encoder.start)
        if not len(ids):
            raise DataError("The prompt is empty, and this model needs a token to begin with.")
        return self._with_room(ids, "prompt")

    @cached_property
    def spelling(self) -> Spelling:
        """The text of its tokens. Raises Unsupported."""
        with self._lock:
            described = self.described
            return Spelling(described.tokenizer, described.vocab_size, self._renderer.stop_ids())

    def grammar(self, schema: Mapping[str, Any] | Literal[True]) -> str:
        """Compiled once. Raises Unsupported for a schema that cannot be kept to."""
        return compiled(schema, self.spelling)

    def _with_room(self, ids: np.ndarray, what: str) -> tuple[int, ...]:
        if len(ids) >= self.context:
            raise DataError(
                f"The {what} has {len(ids)} tokens, and this model reads at most {self.context}: "
                "there is no room for an answer. Shorten it."
            )
        return tuple(ids.tolist())


@dataclass(frozen=True, slots=True)
class Placed:
    """A model: how it reads, what has to be open for it, and the adapter of it that is added."""

    reader: Reader
    weights: Weights
    adapter: Path | None = None


class Placing:
    """Where models stand; kept in mind, for their folders never change. Used by many threads."""

    def __init__(self) -> None:
        self._placed: OrderedDict[tuple[str, Path | None], Placed] = OrderedDict()
        self._readers: dict[tuple[str, ...], Reader] = {}
        self._lock = Lock()

    def find(self, base: str, folder: Path | None = None) -> Placed:
        """The base (a model folder, a hub name or anvil), or what was tuned over it in `folder`.

        Raises:
            ModelError, RunFolderError: a folder is no model, or not whole.
            Unsupported: what it does is not to write text token by token, or it was trained on
                another base than `base`.
        """
        key = base, folder
        with self._lock:
            if key not in self._placed:
                self._placed[key] = self._base(base) if folder is None else self._run(base, folder)
                if len(self._placed) > _KEPT:
                    self._placed.popitem(last=False)
            self._placed.move_to_end(key)
            return self._placed[key]

    def _base(self, base: str) -> Placed:
        described = described_base(base)
        if reads_alone(described):
            described = described_base(base, sees=False)
        chosen = early_choices(load(None, (), {"model.base": base}), facts_of(described), 1).recipe
        template, _ = template_of(described, AUTO)
        weights = Weights(base, str(chosen.model.dtype), str(chosen.model.device))
        return Placed(self._reader((base,), described, template, chosen), weights)

    def _run(self, base: str, path: Path) -> Placed:
        folder = run_folder(path)
        recipe, artefact = load(folder.recipe), artefact_of(folder)
        require_writing(recipe, "chat")
        _require_base(recipe, base)
        adapter = artefact.name == ADAPTER
        named = base if adapter else str(artefact)
        described = described_base(named, artefact)
        weights = Weights(
            named, str(recipe.model.dtype), device_here(recipe), recipe.model.quantize
        )
        reader = self._reader(
            (named, recipe.data.completion_as, *map(_digest, (artefact / n for n in _READERS))),
            described,
            described.tokenizer.chat_template,
            recipe,
        )
        if not adapter:
            return Placed(reader, weights)
        if alone(artefact):
            return Placed(reader, _with_own(weights, artefact))
        return Placed(reader, weights, artefact)

    def _reader(
        self, key: tuple[str, ...], described: Described, template: Any, recipe: Recipe
    ) -> Reader:
        """One for all models that read alike: what tokenizers hold is larger than many adapters."""
        if key not in self._readers:
            require_going_on(described, "the service")
            if described.eyes is not None:
                raise Unsupported(
                    f"{described.name} is shown pictures, and the service asks models that read "
                    "text. Ask it with `tunesmith chat`."
                )
            renderer = renderer_of(described, template, recipe.data.completion_as)
            self._readers[key] = Reader(described, renderer)
        return self._readers[key]


def _with_own(weights: Weights, adapter: Path) -> Weights:
    return Weights(weights.base, weights.dtype, weights.device, weights.quantize, adapter)


def _require_base(recipe: Recipe, base: str) -> None:
    trained = recipe.model.base
    if trained != base and locate(trained) != locate(base):
        raise Unsupported(
            f"It was trained on {trained}, and the base of that name is {base} now, with which it "
            "would answer otherwise. Name the base that it was trained on."
        )


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


class Resident:
    """Open weights and what they write. But for `load`, used by one thread."""

    def __init__(self, weights: Weights, reader: Reader, adapters: int) -> None:
        """Opens them. Raises ModelError or Unsupported."""
        base = open_base(reader.described, weights.dtype, weights.device, quantize=weights.quantize)
        if weights.own is not None:
            base = reopen(base, weights.own)
        self._model = base.model
        self._loads: dict[Path, Future[Lora]] = {}
        self.writer = Writer(base, adapters=0 if weights.own else adapters)

    def ready(
        self, adapter: Path | None, pool: ThreadPoolExecutor, wake: Callable[[], None]
    ) -> bool:
        """Whether answers with this adapter can begin. Where it is not in memory, `pool` reads it,
        and `wake` is called when it has.

        Raises ModelError if it does not fit.
        """
        if adapter is None or str(adapter) in self.writer.bank:
            return True
        if adapter not in self._loads:
            self._loads[adapter] = pool.submit(read_lora, adapter, self._model)
            self._loads[adapter].add_done_callback(lambda _: wake())
        if not self._loads[adapter].done():
            return False
        load = self._loads.pop(adapter)
        if self.writer.bank.put(str(adapter), load.result()):
            return True
        self._loads[adapter] = load
        return False
