"""Models that stay open and answer many at once: a base with its adapters.

`Placing` finds what a model needs without opening it: how it spells, on which weights it stands,
and whether its adapter can share them. `Resident` is one set of open weights with a `Writer`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Literal

from tunesmith.core.errors import Unsupported
from tunesmith.models.methods import ADAPTER, reopen
from tunesmith.models.open import Described, locate, open_base
from tunesmith.models.quantised import NONE
from tunesmith.models.resident.choosing import Choice
from tunesmith.models.resident.grammar import Grammar, compiled
from tunesmith.models.resident.lora import Lora, alone, read_lora, virtual_tokens
from tunesmith.models.resident.row import Row, Wanted, Written
from tunesmith.models.resident.spelling import Spelling
from tunesmith.models.resident.writer import Writer
from tunesmith.recipe import Recipe, load
from tunesmith.runs.finished import artefact_of, run_folder
from tunesmith.runs.open import device_here
from tunesmith.runs.prompting import open_prompting, prompting_key
from tunesmith.runs.setup import early_choices, facts_of

__all__ = [
    "Choice",
    "Grammar",
    "Placed",
    "Placing",
    "Resident",
    "Row",
    "Wanted",
    "Weights",
    "Written",
]

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


@dataclass(frozen=True, slots=True)
class Placed:
    """A model: how it spells, what has to be open for it, and the adapter of it that is added.

    `context` is the most tokens of prompt and answer together.
    """

    described: Described
    spelling: Spelling
    context: int
    weights: Weights
    adapter: Path | None = None

    def grammar(self, schema: Mapping[str, Any] | Literal[True]) -> Grammar:
        """Of a JSON schema, or of any object. Raises Unsupported for one that cannot be kept to."""
        return compiled(schema, self.spelling)


class Placing:
    """Where models stand; kept in mind, for their folders never change. Used by many threads."""

    def __init__(self) -> None:
        self._placed: OrderedDict[tuple[str, Path | None], Placed] = OrderedDict()
        self._read: dict[str, tuple[Described, Spelling]] = {}
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
                self._placed[key] = self._place(base, folder)
                if len(self._placed) > _KEPT:
                    self._placed.popitem(last=False)
            self._placed.move_to_end(key)
            return self._placed[key]

    def _place(self, base: str, folder: Path | None) -> Placed:
        described, spelling = self._reads(base, folder)
        read = described, spelling, described.context
        if folder is None:
            bare = load(None, (), {"model.base": base})
            model = early_choices(bare, facts_of(described), 1).recipe.model
            return Placed(*read, Weights(base, str(model.dtype), str(model.device)))
        run = run_folder(folder)
        recipe, artefact = load(run.recipe), artefact_of(run)
        _require_base(recipe, base)
        opened = str(recipe.model.dtype), device_here(recipe), recipe.model.quantize
        if artefact.name != ADAPTER:
            return Placed(*read, Weights(str(artefact), *opened))
        if not alone(artefact):
            return Placed(*read, Weights(base, *opened), artefact)
        room = described.context - virtual_tokens(artefact)
        return Placed(described, spelling, room, Weights(base, *opened, artefact))

    def _reads(self, base: str, folder: Path | None) -> tuple[Described, Spelling]:
        """One for all that read alike: what a tokenizer holds is larger than many adapters."""
        key = prompting_key(base, folder)
        if key not in self._read:
            prompting = open_prompting(base, folder)
            described = prompting.described
            if described.eyes is not None:
                raise Unsupported(
                    f"{described.name} is shown pictures, and the service asks models that read "
                    "text. Ask it with `tunesmith chat`."
                )
            stops = prompting.stop_ids
            spelling = Spelling(described.tokenizer, described.vocab_size, stops)
            self._read[key] = described, spelling
        return self._read[key]


def _require_base(recipe: Recipe, base: str) -> None:
    trained = recipe.model.base
    if trained != base and locate(trained) != locate(base):
        raise Unsupported(
            f"It was trained on {trained}, and the base of that name is {base} now, with which it "
            "would answer otherwise. Name the base that it was trained on."
        )


class Resident:
    """Open weights and what they write. But for `load`, used by one thread."""

    def __init__(self, placed: Placed, adapters: int) -> None:
        """Opens what `placed` stands on. Raises ModelError or Unsupported."""
        weights = placed.weights
        base = open_base(placed.described, weights.dtype, weights.device, quantize=weights.quantize)
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
            if not self._may_load():
                return False
            self._loads[adapter] = pool.submit(read_lora, adapter, self._model)
            self._loads[adapter].add_done_callback(lambda _: wake())
        if not self._loads[adapter].done():
            return False
        load = self._loads.pop(adapter)
        if self.writer.bank.put(str(adapter), load.result()):
            return True
        self._loads[adapter] = load
        return False

    def _may_load(self) -> bool:
        """No more is read than there are seats for; what was read and not taken, as when nobody
        waits for it any more, gives way."""
        seats = self.writer.bank.idle
        if len(self._loads) >= seats:
            through = next((each for each, load in self._loads.items() if load.done()), None)
            if not seats or through is None:
                return False
            del self._loads[through]
        return True
