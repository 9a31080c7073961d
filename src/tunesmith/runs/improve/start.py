"""The model that a self-improvement begins with: a base, a model folder, or a finished run's."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tunesmith.core.errors import Unsupported
from tunesmith.core.files import whole_folder
from tunesmith.models.methods import ADAPTER, merge
from tunesmith.models.open import open_base
from tunesmith.recipe import LABELS, Recipe
from tunesmith.recipe.methods import METHODS
from tunesmith.runs.artefacts import hashes
from tunesmith.runs.eyes import described_base
from tunesmith.runs.folder import RunFolder
from tunesmith.runs.open import device_here, its_base_needed, open_run


@dataclass(frozen=True, slots=True)
class Start:
    """`recipe` names a base, by which all can be checked before anything is written.

    Where a run saved an `adapter`, that base is the run's own, and the model to begin with has yet
    to be `merged`; `trained` is that run's recipe. `inputs` are the hashes of the adapter's files.
    """

    recipe: Recipe
    adapter: Path | None = None
    trained: Recipe | None = None
    inputs: dict[str, str] = field(default_factory=dict)

    def merged(self, folder: Path) -> Recipe:
        """The recipe with a model folder for its base: each round trains an adapter of its own, so
        that of the run is merged into its base, once, in `folder`."""
        if self.adapter is None or self.trained is None:
            return self.recipe
        if not folder.exists():
            model = self.trained.model
            with its_base_needed(self.adapter):
                described = described_base(model.base, self.adapter, sees=False)
            base = open_base(described, model.dtype, device_here(self.trained))
            with whole_folder(folder) as draft:
                merge(base, self.adapter, draft)
        return _on(self.recipe, str(folder.absolute()))


def start_of(recipe: Recipe) -> Start:
    """What the recipe's base means.

    Raises:
        RunFolderError: it is a run that has saved no model yet.
        Unsupported: its model does not write, or cannot be merged.
    """
    if not RunFolder(recipe.model.base).recipe.is_file():
        return Start(recipe)
    run = open_run(recipe.model.base)
    if run.recipe.objective.kind in LABELS:
        raise Unsupported(
            f"The run in {run.path} has objective.kind={run.recipe.objective.kind}, and its model "
            "labels; here a model learns from what it writes. Begin with one that writes."
        )
    if run.artefact.name != ADAPTER:
        return Start(_on(recipe, str(run.artefact.absolute())))
    trained = run.recipe.model
    if not METHODS[trained.method].merges or trained.quantize != "none":
        what = "in 4 bits" if trained.quantize != "none" else f"by model.method={trained.method}"
        raise Unsupported(
            f"The run in {run.path} was trained {what}, which cannot be merged into its base, and "
            "each round trains a model of its own. Begin with a run of model.method=lora or full, "
            "or with a base."
        )
    named = {f"{run.artefact.name}/{name}": each for name, each in hashes(run.artefact).items()}
    return Start(_on(recipe, trained.base), run.artefact, run.recipe, named)


def _on(recipe: Recipe, base: str) -> Recipe:
    return recipe.model_copy(update={"model": recipe.model.model_copy(update={"base": base})})
