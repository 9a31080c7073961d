"""A body with its head, prepared for training, saved, and opened again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from peft import PeftModel
from transformers import PreTrainedModel

from tunesmith.core.batch import Pooling
from tunesmith.engine.allocator import keep_freed_memory
from tunesmith.models.body import Body
from tunesmith.models.checkpointing import checkpoint_activations
from tunesmith.models.classifier_form import require_classifier
from tunesmith.models.label_artefact import Naming, load_head, reopen_adapter, save_labelled
from tunesmith.models.labelled import LabelModel, open_body, pooling_of
from tunesmith.models.methods import ADAPTER, MODEL, attach
from tunesmith.models.open import Base, Described, describe
from tunesmith.recipe import Recipe
from tunesmith.runs.labels.setup import LabelSetup
from tunesmith.runs.open import device_here, its_base_needed


@dataclass(frozen=True, slots=True)
class LabelBase:
    """What a `models.open.Base` is to a model that writes; `forward` is the body with its head."""

    described: Described
    model: PreTrainedModel
    forward: LabelModel


@dataclass(frozen=True, slots=True)
class LabelTuned:
    """A model that labels, as its method left it: what requires a gradient is trained."""

    described: Described
    model: LabelModel
    adapter: PeftModel | None
    rate_factors: Mapping[str, float] = field(default_factory=dict)
    teacher: ClassVar[None] = None
    """Labels are learned from rows alone."""
    revision: ClassVar[None] = None
    """No method that labels sets its weights itself."""

    @property
    def shares(self) -> bool:
        """Whether what rows begin with together is computed once."""
        return self.model.shares

    @property
    def base(self) -> LabelBase:
        """The body as the plan knows it."""
        return LabelBase(self.described, self.model.body, self.model)

    @property
    def module(self) -> LabelModel:
        """Holds all that is trained."""
        return self.model

    @property
    def artefact(self) -> str:
        """ "adapter" (PEFT's format) or "model" (a whole model folder)."""
        return MODEL if self.adapter is None else ADAPTER

    @property
    def trainable(self) -> int:
        """How many parameters are trained."""
        return sum(p.numel() for p in self.model.parameters() if p.requires_grad)

    def save(self, naming: Naming, folder: Path) -> None:
        """Write weights, tokenizer and names; see `models.label_artefact`."""
        save_labelled(self.model, self.adapter, self.described, naming, folder)


def opened_labels(setup: LabelSetup) -> LabelTuned:
    """The base's body with a new head, prepared for what is trained of it."""
    keep_freed_memory()
    recipe = setup.recipe
    body, path = open_body(
        setup.described, recipe.model.dtype, recipe.model.device, recipe.model.quantize
    )
    pooling = _pooling(setup, path)
    if setup.targets.outputs and pooling in ("last", "words"):  # before hours of training
        require_classifier(setup.described.config, words=pooling == "words")
    model = LabelModel(
        body,
        path,
        outputs=setup.targets.outputs,
        pooling=pooling,
        seed=recipe.engine.seed,
        odds=setup.targets.odds,
        share=recipe.objective.kind == "reward",
    )
    adapter, factors = None, {}
    if recipe.model.method == "head":
        body.requires_grad_(False)
    else:
        base = Base(setup.described, body, path)  # type: ignore[arg-type]  # methods run nothing
        attached = attach(base, recipe.model, recipe.engine.seed)
        adapter = attached.module if isinstance(attached.module, PeftModel) else None
        factors = attached.factors_in(model)
    model.classifier.requires_grad_(True)
    if recipe.engine.activation_checkpointing:
        checkpoint_activations(body)
    return LabelTuned(setup.described, model, adapter, factors)


def _pooling(setup: LabelSetup, path: Body) -> Pooling:
    asked = setup.recipe.model.pooling
    if setup.targets.words:
        return "words"
    return pooling_of(path) if asked == "auto" else asked


def open_labelled(folder: Path, recipe: Recipe) -> tuple[Described, LabelModel, Naming]:
    """A saved model that labels, opened from disk with the tokenizer saved in it.

    Raises ModelError if an adapter's base is no longer where the recipe says.
    """
    whole = folder.name != ADAPTER
    with its_base_needed(folder):
        described = describe(str(folder) if whole else recipe.model.base, folder)
    naming = Naming.load(folder)
    body, path = open_body(
        described, recipe.model.dtype, device_here(recipe), recipe.model.quantize
    )
    if not whole:
        reopen_adapter(body, folder)
    model = LabelModel(
        body,
        path,
        outputs=naming.outputs,
        pooling=naming.pooling,
        seed=0,
        odds=naming.odds,
        share=recipe.objective.kind == "reward",
    )
    load_head(model, folder)
    return described, model.eval(), naming
