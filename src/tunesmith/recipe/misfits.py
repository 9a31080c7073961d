"""Keys that do not go with the method asked for, from the lines of `methods`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tunesmith.recipe.fields import AUTO
from tunesmith.recipe.kinds import HEADED, LABELS
from tunesmith.recipe.methods import METHODS, owners, unfit
from tunesmith.recipe.optimizers import RULES
from tunesmith.recipe.preferences import preference_misfits
from tunesmith.recipe.quantised import quantised

if TYPE_CHECKING:
    from tunesmith.recipe.sections import Recipe

_FIXED = ("init", "dropout", "rate_ratio", "virtual_tokens")
"""The keys with a default of their own; the others are `auto`, which says when they are unused."""

UNUSED: dict[str, int | str] = {
    "data.image_size": 224,
    "data.augment": "none",
    "engine.images_per_micro_batch": 1,
}
"""What the keys for images become where there are none."""


_TOO_LONG = ("data", "too_long")


def misfits(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """(key, finished sentence) for each value that the method has no use for."""
    yield from _unused(recipe)
    yield from _kind(recipe)
    yield from _images(recipe)
    yield from _engine(recipe)
    yield from quantised(recipe)
    model, method = recipe.model, METHODS[recipe.model.method]
    if model.init == "orthogonal" and isinstance(model.rank, int) and model.rank % 2:
        yield (
            "model.rank",
            f"model.init=orthogonal halves the rank, and model.rank is {model.rank}. Set an even "
            "model.rank.",
        )
    if recipe.evaluate.most_forgetting is not None and not method.strength:
        yield (
            "evaluate.most_forgetting",
            "evaluate.most_forgetting chooses the strength of what was trained, and what "
            f"model.method={model.method} adds cannot be scaled. Leave it out, or set "
            "model.method=lora.",
        )
    yield from _near_base(recipe)
    yield from _taught(recipe)
    yield from _infilling(recipe)
    yield from preference_misfits(recipe)
    if recipe.engine.schedule == "rewarm" and recipe.model.from_scratch:
        yield (
            "engine.schedule",
            "engine.schedule=rewarm warms up again what was trained before, and model.from_scratch "
            "starts from random weights. Set engine.schedule=cosine, or leave model.from_scratch "
            "out.",
        )


def _infilling(recipe: Recipe) -> Iterator[tuple[str, str]]:
    data, kind = recipe.data, recipe.objective.kind
    if data.fill_in_the_middle and kind != "text":
        yield (
            "data.fill_in_the_middle",
            "data.fill_in_the_middle tells documents out of order, and objective.kind is "
            f"{kind}. Set objective.kind=text, or leave it out.",
        )
    if data.infill_tokens is not None and not data.fill_in_the_middle:
        yield (
            "data.infill_tokens",
            "data.infill_tokens marks gaps, and data.fill_in_the_middle is 0, so there are none. "
            "Set data.fill_in_the_middle=0.5, or leave data.infill_tokens out.",
        )


def _taught(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """Where a teacher is asked for and cannot teach, or is spoken of and not there."""
    asked, fields = recipe.objective, type(recipe.objective).model_fields
    for key in ("teacher_weight", "teacher_temperature", "teacher_divergence"):
        if asked.teacher is None and getattr(asked, key) != fields[key].default:
            yield (
                f"objective.{key}",
                f"objective.{key} says how to learn from a teacher, and none is named. Set "
                f"objective.teacher, or leave objective.{key} out.",
            )
    if asked.teacher is None:
        return
    if asked.kind in LABELS:
        yield (
            "objective.teacher",
            f"objective.teacher predicts tokens, and objective.kind={asked.kind} writes none. "
            "Leave it out, or set objective.kind=sft.",
        )
    if asked.kl_to_base:
        yield (
            "objective.kl_to_base",
            "objective.teacher and objective.kl_to_base are two targets for the same prediction. "
            "Leave one of them out.",
        )


def _near_base(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """Where staying near the base is asked for and cannot be had."""
    asked, name, engine = _about_the_base(recipe), recipe.model.method, recipe.engine
    if recipe.objective.kind in LABELS and asked:
        yield (
            asked,
            f"{asked} keeps what the base can write, and objective.kind={recipe.objective.kind} "
            f"trains a model that only labels. Leave {asked} out.",
        )
    if recipe.model.from_scratch and asked:
        yield (
            asked,
            f"{asked} keeps what the base knew, and model.from_scratch starts from random weights, "
            f"which know nothing. Leave {asked} out, or model.from_scratch.",
        )
    if recipe.objective.kl_to_base and not METHODS[name].packs:
        yield (
            "objective.kl_to_base",
            "objective.kl_to_base asks what the base would predict, and with model.method="
            f"{name} tokens stand before each sequence that the base never had. Leave it out, or "
            "set model.method=lora.",
        )
    if engine.decay_to_base and METHODS[name].saves == "adapter":
        yield (
            "engine.decay_to_base",
            "engine.decay_to_base pulls the model's own weights to the base, and model.method="
            f"{name} trains none of them. Leave it out; with LoRA engine.weight_decay does it: it "
            "pulls the adapter to zero, which is the base.",
        )
    if engine.decay_to_base and engine.weight_decay not in (AUTO, 0.0):
        yield (
            "engine.weight_decay",
            f"engine.weight_decay={engine.weight_decay} pulls weights to zero, and "
            "engine.decay_to_base pulls them to the base. Leave one of them out.",
        )


def _about_the_base(recipe: Recipe) -> str:
    """The first key that asks to stay near the base; "" if none does."""
    asked = {
        "objective.kl_to_base": recipe.objective.kl_to_base,
        "engine.decay_to_base": recipe.engine.decay_to_base,
        "evaluate.most_forgetting": recipe.evaluate.most_forgetting is not None,
    }
    return next((key for key, value in asked.items() if value), "")


def _unused(recipe: Recipe) -> Iterator[tuple[str, str]]:
    fields = type(recipe.model).model_fields
    for key in _FIXED:
        value, default = getattr(recipe.model, key), fields[key].default
        if value != default and key not in METHODS[recipe.model.method].keys:
            yield (
                f"model.{key}",
                f"model.{key}={value} is read by {_listed(owners(key))}, and model.method is "
                f"{recipe.model.method}. Set model.{key}={default}, or another model.method.",
            )


def _kind(recipe: Recipe) -> Iterator[tuple[str, str]]:
    kind, model = recipe.objective.kind, recipe.model
    if model.head_start != "probe" and kind not in HEADED:
        yield (
            "model.head_start",
            f"model.head_start={model.head_start} is for models with a head, and objective.kind="
            f"{kind} trains one that has none. Leave it out.",
        )
    if kind != "embed":
        yield from _for_embeddings(recipe)
    yield from _rewards(recipe)
    if sentence := unfit(model.method, kind):
        yield ("model.method", sentence)
    if kind == "tag":
        yield from _tags(recipe)


def _tags(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """What a model that tags words has no use for: each word has one tag, read at the word."""
    if recipe.objective.problem not in ("auto", "single_label"):
        yield (
            "objective.problem",
            f"objective.problem={recipe.objective.problem} is for objective.kind=classify: a word "
            "has one tag. Set objective.problem=auto.",
        )
    if recipe.model.pooling != "auto":
        yield (
            "model.pooling",
            f"model.pooling={recipe.model.pooling} is for objective.kind=classify: a tag is read "
            "at its word. Set model.pooling=auto.",
        )
    if recipe.evaluate.abstain:
        yield (
            "evaluate.abstain",
            "evaluate.abstain is for objective.kind=classify, where whole texts are left to a "
            "person. Set evaluate.abstain=0.",
        )


def _for_embeddings(recipe: Recipe) -> Iterator[tuple[str, str]]:
    for section, key in (("objective", "temperature"), ("objective", "symmetric"), _TOO_LONG):
        asked = getattr(recipe, section)
        value, default = getattr(asked, key), type(asked).model_fields[key].default
        if value != default:
            yield (
                f"{section}.{key}",
                f"{section}.{key}={value} is for objective.kind=embed, and objective.kind is "
                f"{recipe.objective.kind}. Leave it out.",
            )


def _rewards(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """What only reward models have, and what they have not."""
    kind, asked, fields = (
        recipe.objective.kind,
        recipe.objective,
        type(recipe.objective).model_fields,
    )
    if kind != "reward":
        for key in ("margin_scale", "centre_rewards"):
            if getattr(asked, key) != fields[key].default:
                yield (
                    f"objective.{key}",
                    f"objective.{key}={getattr(asked, key)} is for objective.kind=reward, and "
                    f"objective.kind is {kind}. Leave it out.",
                )
        return
    labels = "is for models that label, and objective.kind is reward"
    if asked.problem != "auto":
        yield (
            "objective.problem",
            f"objective.problem={asked.problem} {labels}: the rows say what is learned of them. "
            "Leave it out.",
        )
    if asked.class_weights != "none":
        yield (
            "objective.class_weights",
            f"objective.class_weights={asked.class_weights} {labels}. Leave it out.",
        )
    if recipe.evaluate.abstain:
        yield (
            "evaluate.abstain",
            f"evaluate.abstain={recipe.evaluate.abstain} {labels}, which may leave a row to a "
            "person. Leave it out.",
        )
    if recipe.data.canaries:
        yield (
            "data.canaries",
            "data.canaries plants secrets to see whether they are written again, and "
            "objective.kind=reward trains a model that writes nothing. Leave it out.",
        )


def _images(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """What only images have, and what they have not."""
    data, engine = recipe.data, recipe.engine
    if recipe.objective.kind != "image":
        for key, value in (
            ("data.image_size", data.image_size),
            ("data.augment", data.augment),
            ("engine.images_per_micro_batch", engine.images_per_micro_batch),
        ):
            if value not in (AUTO, UNUSED.get(key)):
                yield (
                    key,
                    f"{key}={value} is for images, and objective.kind is {recipe.objective.kind}. "
                    "Leave it at auto, or set objective.kind=image.",
                )
        return
    if recipe.model.method == "head" and data.augment not in (AUTO, "none"):
        yield (
            "data.augment",
            "model.method=head computes what the frozen base makes of each image once, and "
            f"data.augment={data.augment} would vary the images each epoch. Set data.augment=none, "
            "or model.method=last_layers.",
        )
    if engine.activation_checkpointing is True:
        yield (
            "engine.activation_checkpointing",
            "engine.activation_checkpointing=true is for models that read text, and objective.kind "
            "is image. Set it to false; a smaller engine.images_per_micro_batch saves memory, too.",
        )
    if recipe.data.canaries:
        yield (
            "data.canaries",
            "data.canaries plants secrets in texts, and objective.kind is image. Leave it out.",
        )


def _engine(recipe: Recipe) -> Iterator[tuple[str, str]]:
    name, engine = recipe.model.method, recipe.engine
    method = METHODS[name]
    rule = RULES.get(engine.optimizer)
    if rule is not None and rule.rest is not None and rule.suits(name) and not method.matrices:
        yield (
            "engine.optimizer",
            f"engine.optimizer={rule.key} is for hidden matrices, and model.method={name} trains "
            "none. Set engine.optimizer=adamw, or another model.method.",
        )
    if rule is not None and rule.averages and method.revises:
        yield (
            "engine.optimizer",
            f"engine.optimizer={rule.key} keeps an average of the weights, and "
            f"model.method={name} sets some of them to zero, which an average would undo. Set "
            "engine.optimizer=adamw, or model.method=lora.",
        )
    if engine.memory == "low" and method.saves == "adapter":
        yield (
            "engine.memory",
            "engine.memory=low saves the gradients and moments of the model's own weights, and "
            f"model.method={name} trains none of them. Set engine.memory=normal, or "
            "model.method=full; engine.activation_checkpointing=true saves memory with an adapter.",
        )
    if engine.activation_checkpointing is True and not method.recomputes:
        yield (
            "engine.activation_checkpointing",
            "engine.activation_checkpointing=true computes layers again without what stands before "
            f"the sequence, which is what model.method={name} trains. Set it to false, or set "
            "model.method=prompt_tuning.",
        )


def _listed(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
