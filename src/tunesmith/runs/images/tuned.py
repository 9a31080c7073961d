"""An image model prepared for training, saved, and opened again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from peft import PeftModel

from tunesmith.data.images.preparation import Preparation
from tunesmith.engine.allocator import keep_freed_memory
from tunesmith.models.label_artefact import PROBLEMS, Naming
from tunesmith.models.methods import ADAPTER, MODEL
from tunesmith.models.vision import (
    VisionModel,
    describe_vision,
    open_vision,
    reopen_vision,
)
from tunesmith.models.vision_methods import attach_vision, reopen_vision_adapter, save_vision
from tunesmith.recipe import Recipe
from tunesmith.runs.images.setup import ImageSetup
from tunesmith.runs.open import device_here, its_base_needed


@dataclass(frozen=True, slots=True)
class ImageTuned:
    """A model that labels images, as its method left it: what requires a gradient is trained."""

    setup: ImageSetup
    model: VisionModel
    rate_factors: Mapping[str, float]
    revision: ClassVar[None] = None
    """No method that labels images changes its weights beside the optimiser."""

    @property
    def module(self) -> VisionModel:
        """Holds all that is trained."""
        return self.model

    @property
    def artefact(self) -> str:
        """ "adapter" (PEFT's format, with the head) or "model" (a whole model folder)."""
        return ADAPTER if isinstance(self.model.model, PeftModel) else MODEL

    @property
    def trainable(self) -> int:
        """How many parameters are trained."""
        return sum(p.numel() for p in self.model.parameters() if p.requires_grad)

    def save(self, naming: Naming, folder: Path) -> None:
        """Write weights, classes, and how images are prepared."""
        written = self.setup.gallery.preparation.written(self.setup.described.preprocessor)
        save_vision(self.model.model, PROBLEMS[naming.problem], written, folder)
        naming.save(folder)


def opened_images(setup: ImageSetup, *, from_scratch: bool | None = None) -> ImageTuned:
    """The base with a new head, prepared for what is trained of it.

    `from_scratch` trains all of it from random weights instead of what the recipe says.
    """
    keep_freed_memory()
    recipe, seed = setup.recipe, setup.recipe.engine.seed
    settings = recipe.model
    if from_scratch:
        settings = settings.model_copy(update={"method": "full", "from_scratch": True})
    model = open_vision(
        setup.described,
        setup.targets.names,
        settings.dtype,
        settings.device,
        seed=seed,
        from_scratch=settings.from_scratch,
    )
    attached = attach_vision(model, setup.described, settings, seed)
    scale = _scale(setup.gallery.preparation)
    vision = VisionModel(attached.module, scale, learns_statistics=settings.from_scratch)
    vision.to(settings.device)
    return ImageTuned(setup, vision, attached.factors_in(vision))


def open_images(
    folder: Path, recipe: Recipe, preparation: Preparation
) -> tuple[VisionModel, Naming]:
    """A saved model that labels images, opened from disk.

    Raises ModelError if an adapter's base is no longer where the recipe says.
    """
    naming, device = Naming.load(folder), device_here(recipe)
    if folder.name != ADAPTER:
        found = reopen_vision(folder, recipe.model.dtype, device)
        return VisionModel(found, _scale(preparation)).to(device).eval(), naming
    with its_base_needed(folder):
        described = describe_vision(recipe.model.base)
    base = open_vision(described, naming.names, recipe.model.dtype, device, seed=0)
    wrapped = reopen_vision_adapter(base, folder)
    return VisionModel(wrapped, _scale(preparation)).to(device).eval(), naming


def _scale(preparation: Preparation) -> tuple[float, tuple[float, ...], tuple[float, ...]]:
    return preparation.factor, preparation.mean, preparation.deviation
