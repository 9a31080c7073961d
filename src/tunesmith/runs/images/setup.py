"""From a recipe to everything that an image run needs before its weights are loaded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from tunesmith.core.errors import DataError
from tunesmith.core.records import Example, ImageLabel, Origin, Tokens
from tunesmith.data import Prepared, prepare
from tunesmith.data.classes import Targets
from tunesmith.data.digests import digest
from tunesmith.data.images.batches import Gallery
from tunesmith.data.images.decode import animated
from tunesmith.data.images.pixels import prepared_pixels
from tunesmith.data.images.preparation import Preparation
from tunesmith.data.images.render import ImageRenderer, place_of
from tunesmith.data.refusals import Refused
from tunesmith.models.methods import lacks, require
from tunesmith.models.vision import (
    PREPROCESSOR,
    VisionDescribed,
    describe_vision,
    require_size,
    shell,
)
from tunesmith.recipe import Facts, Recipe, Resolved, resolve
from tunesmith.recipe.methods import METHODS
from tunesmith.runs.environment import fast_bfloat16
from tunesmith.runs.findings import require_checked
from tunesmith.runs.heldout import spread
from tunesmith.runs.labels.setup import FITTED, Judges, judges_of, with_problem
from tunesmith.runs.setup import check_device, pinned


@dataclass(frozen=True, slots=True)
class ImageSetup:
    """A recipe without `auto`, and the images, classes and base it speaks of.

    `files` are the paths of the images by their rows' origins, `gallery` their pixels; the other
    fields are as of `LabelSetup`.
    """

    resolved: Resolved
    described: VisionDescribed
    prepared: Prepared
    targets: Targets
    held_out: Judges
    files: dict[Origin, str]
    gallery: Gallery
    inputs: dict[str, str]
    warnings: tuple[str, ...]

    @property
    def recipe(self) -> Recipe:
        """The resolved recipe."""
        return self.resolved.recipe

    @property
    def rows(self) -> list[Tokens]:
        """All rows in the order of their images in the gallery: trained on first."""
        return [*self.prepared.train, *self.prepared.held_out]

    def rehearsed(self, most: int) -> list[Tokens]:
        """At most `most` training rows, evenly spread, which are asked again after training."""
        return spread(self.prepared.train, most)

    def fitted(self) -> list[Tokens]:
        """The training rows, evenly spread, that simple learners are fitted on."""
        return self.rehearsed(FITTED)


def set_up_images(recipe: Recipe) -> ImageSetup:
    """Read, check, split and prepare the images, find their classes, and choose every `auto`.

    Raises DataError, ModelError, RecipeError or Unsupported, each with what to do.
    """
    recipe.data.require_train()
    recipe = pinned(recipe)
    described = describe_vision(recipe.model.base)
    recipe, chosen = _with_method(recipe, described)
    preparation = Preparation.of(described.preprocessor, f"{described.location}/{PREPROCESSOR}")
    check_device(recipe)
    bare = _facts(described, preparation)

    def share(rows: int) -> float:
        return float(resolve(recipe, replace(bare, examples=rows)).recipe.data.validation_share)

    prepared = prepare(
        recipe.data,  # type: ignore[arg-type]  # require_train has seen that files are named
        "image",
        ImageRenderer(),
        bare.max_context,
        share,
        classes=recipe.objective.problem != "regression",
    )
    targets = Targets.found(prepared.train, recipe.objective.problem)
    resolved = with_problem(resolve(recipe, _counted(bare, recipe, prepared, targets)), targets)
    resolved = replace(resolved, reasons={**resolved.reasons, **chosen})
    if recipe.data.image_size not in ("auto", bare.image_size):
        preparation = preparation.at(recipe.data.image_size)
        require_size(described, preparation.height, preparation.width)
    rows = [*prepared.train, *prepared.held_out]
    files = _files(prepared, rows)
    digests = {path: digest(Path(path)) for path in dict.fromkeys(files.values())}
    copies = _copies(rows, len(prepared.train), files, digests)
    if copies and recipe.data.validation is not None:
        raise DataError(copies)
    return ImageSetup(
        resolved=resolved,
        described=described,
        prepared=prepared,
        targets=targets,
        held_out=judges_of(prepared.held_out, resolved.recipe.evaluate.rows),
        files=files,
        gallery=_gallery(rows, files, digests, preparation),
        inputs=prepared.files | digests | _base_files(described),
        warnings=(
            *require_checked(recipe.data.checks, prepared.report),
            *(f"model.method={recipe.model.method}: {why}." for why in chosen.values()),
            *_said(files.values(), targets),
            *([copies] if copies else ()),
        ),
    )


def _with_method(recipe: Recipe, described: VisionDescribed) -> tuple[Recipe, dict[str, str]]:
    """The recipe with a method that can train the base; and by its key why, where it was chosen.

    Where no method is asked for, and the default, LoRA, cannot train the base, all of it is
    trained. Raises Unsupported for a method that was asked for and cannot.
    """
    model, empty = recipe.model, shell(described)
    asked = model.model_fields_set & {"method", *METHODS[model.method].keys}
    if asked or lacks(empty, model.method, model.init) is None:
        require(empty, described.name, model.method, model.init)
        return recipe, {}
    why = (
        f"none was named, and {model.method} cannot stand on the convolutions of {described.name}; "
        "every weight of a small image model learned the most (benchmarks/images.py)"
    )
    full = model.model_copy(update={"method": "full"})
    return recipe.model_copy(update={"model": full}), {"model.method": why}


def _facts(described: VisionDescribed, preparation: Preparation) -> Facts:
    """Model and machine; an image counts as one position."""
    return Facts(
        hidden_size=described.width,
        layers=described.layers,
        max_context=2,
        examples=1,
        mean_tokens=1.0,
        sequences=1,
        mean_sequence=1.0,
        device="cuda" if torch.cuda.is_available() else "cpu",
        fast_bfloat16=fast_bfloat16(),
        has_chat_template=False,
        image_size=min(preparation.height, preparation.width),
    )


def _counted(bare: Facts, recipe: Recipe, prepared: Prepared, targets: Targets) -> Facts:
    held_out = 0 if recipe.data.validation else len(prepared.held_out)
    return replace(
        bare,
        examples=len(prepared.train) + held_out,
        sequences=prepared.mix.epoch_size,
        classes=targets.outputs,
    )


def _files(prepared: Prepared, rows: Sequence[Tokens]) -> dict[Origin, str]:
    """The path of each row's image."""
    numbers = [*prepared.train.rows.tolist(), *prepared.held_out.rows.tolist()]
    found: list[Example] = prepared.examples(numbers)
    assert all(isinstance(example.content, ImageLabel) for example in found)
    return {row.origin: place_of(each) for row, each in zip(rows, found, strict=True)}


def _gallery(
    rows: Sequence[Tokens],
    files: dict[Origin, str],
    digests: dict[str, str],
    preparation: Preparation,
) -> Gallery:
    paths = [files[row.origin] for row in rows]
    try:
        pixels = prepared_pixels(paths, [digests[path] for path in paths], preparation)
    except Refused as refused:
        raise DataError(str(refused)) from None
    return Gallery(pixels, {row.origin: n for n, row in enumerate(rows)}, preparation)


def _copies(
    rows: Sequence[Tokens], trained: int, files: dict[Origin, str], digests: dict[str, str]
) -> str:
    """What is to be said of images that stand on both sides, byte by byte; "" for none."""
    first = {digests[files[row.origin]]: files[row.origin] for row in rows[:trained]}
    held_out = [files[row.origin] for row in rows[trained:]]
    found = [path for path in held_out if digests[path] in first]
    if not found:
        return ""
    others = f" {len(found)} images are on both sides." if len(found) > 1 else ""
    return (
        f"{found[0]} is held out, and {first[digests[found[0]]]}, which is trained on, holds the "
        f"same image: what was trained on cannot test the model.{others} Remove one of the two."
    )


def _said(files: Iterable[str], targets: Targets) -> list[str]:
    """What is to be known of the images and their classes."""
    said = [moving] if (moving := animated(files)) else []
    alike: dict[str, list[str]] = {}
    for name in targets.names:
        alike.setdefault(name.casefold().strip(), []).append(name)
    for names in alike.values():
        if len(names) > 1:
            said.append(
                f"The labels {' and '.join(map(repr, names))} differ only in case or spaces, and "
                "are learned as different classes. Rename one if they are the same."
            )
    return said


def _base_files(described: VisionDescribed) -> dict[str, str]:
    """SHA-256 of the files of the base."""
    folder = Path(described.location)
    paths = [path for p in ("*.safetensors", "*.json") for path in sorted(folder.glob(p))]
    return {str(path): digest(path) for path in paths}
