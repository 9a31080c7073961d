"""From a recipe to everything a run needs before its weights are loaded. Writes nothing.

All that a user can get wrong is found here: files, rows, the base, keys that contradict each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from tunesmith.core.errors import DataError, Unsupported
from tunesmith.core.records import Completion, Example, Finding, Tokens
from tunesmith.data import Prepared, Renderer, choose, prepare
from tunesmith.data.formats import detect
from tunesmith.data.sources import read
from tunesmith.evaluate.probes import general
from tunesmith.models.open import Described, describe
from tunesmith.recipe import Facts, Recipe, Resolved, resolve
from tunesmith.runs.environment import fast_bfloat16


@dataclass(frozen=True, slots=True)
class Setup:
    """A recipe without `auto`, and the data, template and base it speaks of."""

    resolved: Resolved
    described: Described
    renderer: Renderer
    prepared: Prepared
    probes: list[Tokens]

    @property
    def recipe(self) -> Recipe:
        """The resolved recipe."""
        return self.resolved.recipe


def set_up(recipe: Recipe) -> Setup:
    """Read, check, render and split the data, and choose every `auto`.

    Raises DataError, ModelError, RecipeError or Unsupported, each with what to do.
    """
    recipe.data.require_train()
    described = describe(recipe.model.base)
    template, reason = choose(described.tokenizer, recipe.data.template)
    bare = _facts(described)
    _check_device(recipe)

    def share(rows: int) -> float:
        return float(_early(recipe, bare, rows).recipe.data.validation_share)

    early = _early(recipe, bare, 1)
    context = int(early.recipe.data.context)
    if context > described.context:
        raise Unsupported(
            f"data.context is {context} tokens, but {described.name} reads at most "
            f"{described.context}. Set data.context to that or less."
        )
    renderer = Renderer(described.tokenizer, template, early.recipe.data.completion_as)
    prepared = prepare(
        recipe.data,  # type: ignore[arg-type]  # require_train has seen that files are named
        recipe.objective.kind,
        renderer,
        context,
        share,
    )
    # Saved with the result, so that serving renders as training did.
    described.tokenizer.chat_template = template
    return Setup(
        resolved=_resolve(recipe, bare, prepared, reason),
        described=described,
        renderer=renderer,
        prepared=prepared,
        probes=probe_tokens(recipe, renderer, context),
    )


def render_all(
    renderer: Renderer, examples: Sequence[Example], kind: str, context: int
) -> list[Tokens]:
    """Tokens of examples that must all be usable. Raises DataError naming the first that is not."""
    tokens: list[Tokens] = []
    for parts in renderer.render(examples, "text" if kind == "text" else "sft", context):
        if isinstance(parts, Finding):
            raise DataError(f"{parts.origin}: {parts.message}")
        for part in parts:
            if len(part) > context:
                raise DataError(
                    f"{part.origin}: the row has {len(part)} tokens, but the context is {context}. "
                    "Shorten it, or leave it out."
                )
        tokens += parts
    return tokens


def read_examples(paths: Sequence[str]) -> list[Example]:
    """The rows of data files, understood. Raises DataError naming the first that is not."""
    rows = detect(read(paths)).rows
    for row in rows:
        if isinstance(row, Finding):
            raise DataError(f"{row.origin}: {row.message}")
    return [row for row in rows if isinstance(row, Example)]


def probe_tokens(recipe: Recipe, renderer: Renderer, context: int) -> list[Tokens]:
    """The general probes, whole, and the user's own, scored as the objective would train them."""
    tokens = render_all(renderer, general(), "text", context)
    if recipe.evaluate.probes is not None:
        mine = read_examples([str(Path(recipe.evaluate.probes))])
        tokens += render_all(renderer, mine, recipe.objective.kind, context)
    return tokens


def _early(recipe: Recipe, bare: Facts, rows: int) -> Resolved:
    """The choices that do not depend on the length of the rows."""
    return resolve(recipe, replace(bare, examples=rows))


def _resolve(recipe: Recipe, bare: Facts, prepared: Prepared, template_reason: str) -> Resolved:
    """All choices, now that the rows are counted and measured."""
    everything = [*prepared.train, *prepared.held_out]
    rows = len({(t.origin.path, t.origin.line) for t in everything})
    mean = sum(map(len, everything)) / rows
    facts = replace(bare, examples=rows, mean_tokens=mean)
    resolved = resolve(recipe, facts)
    reasons = dict(resolved.reasons)
    if "data.template" in reasons:
        reasons["data.template"] = template_reason
    if any(isinstance(example.content, Completion) for example in prepared.train_examples):
        return Resolved(resolved.recipe, reasons)
    # The key says how the tuned model is asked, too: chats were learned, so it is asked by chat.
    reasons["data.completion_as"] = "the data holds no prompt/completion rows"
    data = resolved.recipe.data.model_copy(update={"completion_as": "chat"})
    return Resolved(resolved.recipe.model_copy(update={"data": data}), reasons)


def _facts(described: Described) -> Facts:
    config = described.config
    return Facts(
        hidden_size=config.hidden_size,
        layers=config.num_hidden_layers,
        parameters=0,
        vocab_size=config.vocab_size,
        max_context=described.context,
        examples=1,
        mean_tokens=1.0,
        device="cuda" if torch.cuda.is_available() else "cpu",
        fast_bfloat16=fast_bfloat16(),
        has_chat_template=bool(described.tokenizer.chat_template),
    )


def _check_device(recipe: Recipe) -> None:
    if recipe.model.device == "cuda" and not torch.cuda.is_available():
        raise Unsupported(
            "model.device is cuda, but PyTorch finds no CUDA device on this machine. Leave it at "
            "auto, or set it to cpu."
        )
