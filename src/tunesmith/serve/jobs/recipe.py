"""From a job's request to the recipe that is run. Pure: no file is opened and nothing is written.

    supervised      sft, chat or completion rows, a LoRA adapter
    dpo             dpo, with its beta
    reinforcement   grpo, graded by the request's grader
    tunesmith       our own: a recipe (`own`)

Each hyperparameter that is "auto" is left to `recipe.resolve`, as on the command line.
`learning_rate_multiplier` multiplies the rate chosen there, `compute_multiplier` the answers that
are sampled to each prompt, `eval_interval` are steps between two looks at held-out prompts, and
`eval_samples` is how many of these are looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast, get_args

from tunesmith.core.errors import RecipeError
from tunesmith.recipe import Recipe, load
from tunesmith.recipe.graders import SHAPES, faults, walk
from tunesmith.serve.errors import bad_request, not_found
from tunesmith.serve.jobs import own
from tunesmith.serve.jobs.hyperparameters import Method, given
from tunesmith.serve.settings import Settings

Asked = Mapping[str, Any]
"""A request to make a job, as it came."""

GRADERS_FORBIDDEN = ("function", "model")
"""Graders that name a file or a run of the machine."""

ANSWERS = 8
"""Answers sampled to a prompt at a `compute_multiplier` of 1."""

_NUMBERS: Mapping[str, tuple[str, Callable[[float], Any]]] = {
    "n_epochs": ("engine.epochs", int),
    "batch_size": ("engine.batch_size", int),
    "learning_rate_multiplier": ("engine.rate_multiplier", float),
    "beta": ("preference.beta", float),
    "compute_multiplier": ("rollouts.answers", lambda times: max(2, round(ANSWERS * times))),
    "eval_interval": ("engine.validate_every", int),
    "eval_samples": ("evaluate.rows", int),
}
"""Where each hyperparameter stands in the recipe."""

_KINDS: Mapping[Method, str] = {"supervised": "sft", "dpo": "dpo", "reinforcement": "grpo"}


def method_of(asked: Asked) -> tuple[Method, Mapping[str, Any]]:
    """The method of a request and what it says of it. Raises RecipeError."""
    method = asked.get("method") or {"type": "supervised"}
    kind = method.get("type")
    if kind not in get_args(Method):
        raise RecipeError(
            f"method.type must be one of {', '.join(get_args(Method))}; received {kind!r:.60}."
        )
    said = method.get(kind) or {}
    if not isinstance(said, Mapping):
        raise RecipeError(f"method.{kind} must be an object.")
    return cast(Method, kind), said


def hyperparameters_of(asked: Asked) -> Mapping[str, Any]:
    """Those of the method, or, where it has none, those that old clients send beside it."""
    _, said = method_of(asked)
    found = said.get("hyperparameters") or asked.get("hyperparameters") or {}
    if not isinstance(found, Mapping):
        raise RecipeError("hyperparameters must be an object.")
    return found


def file_ids(asked: Asked) -> tuple[str, ...]:
    """Every file that a request names, each once. Raises RecipeError."""
    named = [asked.get("training_file"), asked.get("validation_file")]
    method, said = method_of(asked)
    if method == "tunesmith":
        named += own.file_ids(own.sections_of(said.get("recipe", {})))
    return tuple(dict.fromkeys(each for each in named if each))


def check(asked: Asked, settings: Settings) -> tuple[str, ...]:
    """Refuse a request that can be no job, before anything is kept of it; its files' ids.

    Raises ApiError: 404 for a model that is not served, 400 for what no recipe can say.
    """
    if asked["model"] not in settings.bases:
        raise not_found("model", asked["model"], param="model")
    try:
        named = file_ids(asked)
        recipe_of(asked, settings, {each: f"/{each}" for each in named}, seed=0)
    except RecipeError as error:
        raise bad_request(str(error), param="method") from None
    return named


def recipe_of(asked: Asked, settings: Settings, paths: Mapping[str, str], seed: int) -> Recipe:
    """The recipe of a job, whose files lie at `paths`, by their ids.

    Raises RecipeError: a value is out of its bounds, or not for clients to set.
    """
    method, said = method_of(asked)
    values: dict[str, Any] = {
        "model.base": settings.bases[asked["model"]],
        "data.train": paths[asked["training_file"]],
        "data.checks": "warn",
        "engine.seed": seed,
        "evaluate.level": settings.verdict,
    }
    if asked.get("validation_file"):
        values["data.validation"] = paths[asked["validation_file"]]
    for name, number in given(method, hyperparameters_of(asked)).items():
        key, as_written = _NUMBERS[name]
        values[key] = as_written(number)
    if method == "tunesmith":
        sections = own.sections_of(said.get("recipe", {}))
        values |= own.settings_of(sections, paths)
        graders = values.get("reward.graders")
        _add_reward(values, graders, settings)
    else:
        values["objective.kind"] = _KINDS[method]
    if method == "reinforcement":
        values["reward.graders"] = said.get("grader")
        _add_reward(values, said.get("grader"), settings, required=True)
    return load(settings=values)


def require_allowed(grader: Any, settings: Settings) -> None:
    """Raises RecipeError for a grader that is malformed, or that a client may not use here."""
    if wrong := list(faults(grader)):
        raise RecipeError("\n".join(wrong))
    for each in walk(grader):
        kind = each["type"]
        if kind in GRADERS_FORBIDDEN:
            raise RecipeError(
                f"A grader of the type {kind} names a file of the server, which no client may. "
                "Take another type."
            )
        if SHAPES[kind].needs == "run_code" and not settings.python_graders:
            raise RecipeError(
                f"A grader of the type {kind} runs code, which this server does not allow. Its "
                "operator can, with python_graders; or take another type."
            )
        if SHAPES[kind].needs == "endpoint":
            raise RecipeError(
                f"A grader of the type {kind} asks another model, and this server asks none. Take "
                "another type."
            )


def _add_reward(
    values: dict[str, Any], graders: Any, settings: Settings, *, required: bool = False
) -> None:
    """Check the graders, and allow what the operator allows them."""
    if graders is None:
        if required:
            raise RecipeError("method.reinforcement.grader is missing: it says what is good.")
        return
    listed = graders if isinstance(graders, list) else [graders]
    for each in listed:
        require_allowed(each, settings)
    inside = [inner["type"] for each in listed for inner in walk(each)]
    if any(SHAPES[kind].needs == "run_code" for kind in inside):
        values["reward.run_code"] = True
