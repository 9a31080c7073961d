"""Making a run fit into the memory there is: what would do it, and doing what changes no result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from tunesmith.core.errors import Unsupported
from tunesmith.models.methods import Tuned
from tunesmith.models.quantised import NONE, saved_by_packing
from tunesmith.recipe import Resolved
from tunesmith.recipe.methods import METHODS
from tunesmith.runs.footprint import Footprint
from tunesmith.runs.memory import Room
from tunesmith.runs.setup import Setup
from tunesmith.runs.workload import Workload

COMFORT = 0.9
"""A run that would fill more than this share of the memory is made smaller, if it can be."""

MICRO, AGAIN = "engine.tokens_per_micro_batch", "engine.activation_checkpointing"


@dataclass(frozen=True, slots=True)
class Option:
    """A way to need less memory: what to set, the footprint and its peak in bytes then."""

    settings: Mapping[str, Any]
    memory: Footprint
    bytes: float

    def __str__(self) -> str:
        said = " and ".join(f"{key}={_yaml(value)}" for key, value in self.settings.items())
        return f"{said} ({gigabytes(self.bytes)})"


@dataclass(frozen=True, slots=True)
class Fitted:
    """The setup and footprint that fit, and what was changed, each a sentence."""

    setup: Setup
    memory: Footprint
    changes: tuple[str, ...] = ()


def gigabytes(size: float) -> str:
    """`2.1 GB`, `0.34 GB`."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e9:.2f} GB"


def fit_into(
    setup: Setup, tuned: Tuned, memory: Footprint, work: Workload, available: Room | None
) -> Fitted:
    """The run made to fit, if need be: only keys left `auto` that keep the result are changed.

    Raises:
        Unsupported: nothing of that kind makes it fit; the sentence says what else would.
    """
    needed = memory.peak(work.most.tokens, work.several)
    if available is None or needed <= COMFORT * available.bytes:
        return Fitted(setup, memory)
    exact = list(_exact(setup, tuned, memory, work))
    for option in exact:
        open_keys = all(key in setup.resolved.reasons for key in option.settings)
        if open_keys and option.bytes <= COMFORT * available.bytes:
            return _changed(setup, option, needed, available)
    if needed <= available.bytes:
        return Fitted(setup, memory)
    others = [*exact, *_others(setup, tuned, memory, work)]
    raise Unsupported(_refusal(others, needed, available))


def _exact(setup: Setup, tuned: Tuned, memory: Footprint, work: Workload) -> Iterator[Option]:
    """Smaller micro-batches, then activation checkpointing, then both; the result stays."""
    yield from _smaller(setup, memory, work, {})
    model = tuned.base.model
    recomputes = METHODS[setup.recipe.model.method].recomputes
    if setup.recipe.engine.activation_checkpointing or not recomputes:
        return
    if not model.supports_gradient_checkpointing:
        return
    described = tuned.base.described
    again = memory.with_checkpointing(
        described.hidden_size * model.dtype.itemsize, described.layers
    )
    yield Option({AGAIN: True}, again, again.peak(work.most.tokens, work.several))
    yield from _smaller(setup, again, work, {AGAIN: True})


def _smaller(
    setup: Setup, memory: Footprint, work: Workload, also: Mapping[str, Any]
) -> Iterator[Option]:
    """Micro-batches of half as many tokens, a quarter, … down to the longest row."""
    longest = max(end - start for start, end, _ in work.largest.segments)
    # A padded grid has more cells than tokens.
    cells = work.most.tokens / work.largest.tokens
    budget = min(int(setup.recipe.engine.tokens_per_micro_batch), work.largest.tokens)
    while budget > longest:
        budget = max(budget // 2, longest)
        peak = memory.peak(cells * budget, several=True)
        yield Option({MICRO: budget, **also}, memory, peak)


def _others(setup: Setup, tuned: Tuned, memory: Footprint, work: Workload) -> Iterator[Option]:
    """What gives another result: engine.memory=low, LoRA for full tuning, and a base in 4 bits."""
    recipe, method = setup.recipe, METHODS[setup.recipe.model.method]
    if method.saves == "adapter":
        if method.quantised and recipe.model.quantize == NONE and recipe.objective.kind != "image":
            packed = replace(memory, held=memory.held - saved_by_packing(tuned.base.model))
            yield Option(
                {"model.quantize": "nf4"}, packed, packed.peak(work.most.tokens, work.several)
            )
        return
    if recipe.engine.memory == "normal":
        # Weights keep 2 bytes beside them, the optimiser remembers 2 a weight: see engine/updates.
        low = replace(memory, state=memory.gradients, kept=False)
        yield Option({"engine.memory": "low"}, low, low.peak(work.most.tokens, work.several))
    lora = memory.with_lora(_adapter_weights(tuned.base.model, int(recipe.model.rank)))
    peak = lora.peak(work.most.tokens, work.several)
    yield Option({"model.method": "lora"}, lora, peak)


def _adapter_weights(model: nn.Module, rank: int) -> int:
    """How many weights LoRA of this rank has on all linear layers but the head."""
    head = getattr(model, "get_output_embeddings", lambda: None)()
    linear = [m for m in model.modules() if isinstance(m, nn.Linear) and m is not head]
    return rank * sum(layer.in_features + layer.out_features for layer in linear)


def _changed(setup: Setup, option: Option, needed: float, available: Room) -> Fitted:
    recipe, reasons = setup.resolved.recipe, dict(setup.resolved.reasons)
    why = (
        f"needs {gigabytes(option.bytes)} at the peak where the default needs {gigabytes(needed)} "
        f"of {gigabytes(available.bytes)}; the result is the same"
    )
    for key, value in option.settings.items():
        section, _, field = key.partition(".")
        changed = getattr(recipe, section).model_copy(update={field: value})
        recipe = recipe.model_copy(update={section: changed})
        reasons[key] = why
    said = " and ".join(f"{key} is {_yaml(value)}" for key, value in option.settings.items())
    fitted = replace(setup, resolved=Resolved(recipe, reasons))
    return Fitted(fitted, option.memory, (f"{said}: it {why}.",))


def _refusal(options: list[Option], needed: float, available: Room) -> str:
    fits = [option for option in options if option.bytes <= COMFORT * available.bytes]
    advice = (
        f"What would fit: {'; '.join(map(str, fits[:4]))}."
        if fits
        else "Nothing would fit that Tunesmith can set: free some memory, or take a smaller base."
    )
    return (
        f"This run would need about {gigabytes(needed)}, and {available.limit} leaves it "
        f"{gigabytes(available.bytes)}, so it was not begun. {advice}"
    )


def _yaml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
