"""Our own method: any recipe, as far as a client may write one.

    method = {"type": "tunesmith", "tunesmith": {"recipe": {"objective": {"kind": "classify"}}}}

`KEYS` are all that may be set. What is missing names paths, models, addresses or secrets of this
machine, runs code, or takes disk and memory that limits are set on elsewhere; a key that the recipe
gains is refused until it is added here. Files are named by the ids that they were uploaded under.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tunesmith.core.errors import RecipeError

Sections = Mapping[str, Mapping[str, Any]]

_WRITTEN: Mapping[str, str] = {
    "model": (
        "method init rank alpha dropout rate_ratio virtual_tokens layers pooling head_start dtype "
        "quantize from_scratch"
    ),
    "data": (
        "train validation_share group_by completion_as context too_long fill_in_the_middle "
        "bad_rows most_dropped checks canaries shuffle together image_size augment"
    ),
    "objective": (
        "kind problem class_weights kl_to_base temperature symmetric margin_scale centre_rewards"
    ),
    "preference": ("beta loss label_noise margin sft_weight liked_weight disliked_weight"),
    "engine": (
        "epochs max_steps optimizer learning_rate rate_multiplier batch_size "
        "tokens_per_micro_batch images_per_micro_batch activation_checkpointing memory schedule "
        "warmup weight_decay decay_to_base clip checkpoint_every validate_every patience "
        "keep_best"
    ),
    "reward": "graders",
    "rollouts": (
        "answers max_new_tokens temperature held_out_temperature updates variant clip_low "
        "clip_high kl_weight kl_in success resample value_weight value_clip discount trace"
    ),
    "evaluate": (
        "level metrics probes most_forgetting abstain prompt examples prompt_price answer_price "
        "hour_price currency max_new_tokens rows"
    ),
}

KEYS: Mapping[str, frozenset[str]] = {
    section: frozenset(keys.split()) for section, keys in _WRITTEN.items()
}

_FILES = (("data", "train"), ("evaluate", "probes"), ("evaluate", "prompt"))
"""Keys whose values are ids of files."""


def sections_of(recipe: Any) -> Sections:
    """The sections of a recipe that a client wrote. Raises RecipeError for what may not be set."""
    if not isinstance(recipe, Mapping):
        raise RecipeError("method.tunesmith.recipe must be an object of sections, as a recipe is.")
    for section, fields in recipe.items():
        if section not in KEYS:
            raise RecipeError(
                f"{_shown(section)} is no section that a job may set. There are: {', '.join(KEYS)}."
            )
        if not isinstance(fields, Mapping):
            raise RecipeError(f"{section} must be an object of keys and values.")
        for key in fields:
            if key not in KEYS[section]:
                raise RecipeError(
                    f"{section}.{_shown(key)} cannot be set by a job of this service: there is no "
                    "such key, or it names a path, a model or an address, or runs code. In "
                    f"{section} there are: {', '.join(sorted(KEYS[section]))}."
                )
    return recipe


def file_ids(sections: Sections) -> Iterator[str]:
    """The files that a recipe names."""
    for section, key in _FILES:
        value = sections.get(section, {}).get(key)
        for item in value if isinstance(value, list) else [value] if value is not None else []:
            named = item.get("path") if isinstance(item, Mapping) else item
            if not isinstance(named, str):
                raise RecipeError(f"{section}.{key} takes ids of files, as file-abc123.")
            yield named


def settings_of(sections: Sections, paths: Mapping[str, str]) -> dict[str, Any]:
    """The recipe's values by dotted key, with the path of each file instead of its id."""
    return {
        f"{section}.{key}": _placed(value, paths) if (section, key) in _FILES else value
        for section, fields in sections.items()
        for key, value in fields.items()
    }


def _placed(value: Any, paths: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [_placed(each, paths) for each in value]
    if isinstance(value, Mapping):
        return {**value, "path": paths[value["path"]]}
    return paths[value]


def _shown(name: Any) -> str:
    return repr(name)[:60]
