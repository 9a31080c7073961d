"""How strongly a model is tuned: measured at several strengths, saved at one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tunesmith.core.ports import Watcher
from tunesmith.core.records import Tokens
from tunesmith.evaluate.frontier import frontier_points, frontier_summary, strength_for
from tunesmith.evaluate.measure import scored
from tunesmith.evaluate.strengths import AtStrength, Frontier
from tunesmith.models.methods import Tuned
from tunesmith.models.open import Base
from tunesmith.models.strength import Strength
from tunesmith.recipe import PREFERENCES, frontier_rows
from tunesmith.recipe.methods import METHODS
from tunesmith.runs.assembly import remembers
from tunesmith.runs.heldout import whole_rows
from tunesmith.runs.scoring import ModelScorer
from tunesmith.runs.setup import Setup

STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)

HALVINGS = 3
"""How often the gap above the chosen strength is halved: it is known to a thirty-second then."""


@dataclass(frozen=True, slots=True)
class Compared:
    """What the strengths of a model are compared on, and at how many, at most."""

    choosing: list[Tokens]
    probes: list[Tokens]
    strengths: int


def compared_on(setup: Setup) -> Compared | None:
    """None where none are compared: no base to go back to, a level that measures little, or rows
    that tell which answers are better, and not which are wanted."""
    evaluate = setup.recipe.evaluate
    asked = evaluate.most_forgetting is not None
    rows = frontier_rows(evaluate.level, asked)
    scales = METHODS[setup.recipe.model.method].strength and not setup.recipe.model.from_scratch
    compares = setup.recipe.objective.kind in PREFERENCES
    if not rows or not scales or not setup.probes or compares:
        return None
    return Compared(
        choosing=whole_rows(setup.held_out.choosing, rows),
        probes=setup.probes if asked else _of_each_file(setup.probes, rows),
        strengths=len(STRENGTHS) + (HALVINGS if asked else 0),
    )


def strength_bytes(setup: Setup, base: Base) -> float:
    """What comparing strengths holds beside the model: its tuned weights, and the base read again.

    The base's weights are all there for a moment; of an adapter nothing is read.
    """
    if compared_on(setup) is None:
        return 0.0
    weights = list(base.model.parameters())
    copied = sum(weight.nbytes for weight in weights if weight.requires_grad)
    adapter = METHODS[setup.recipe.model.method].saves == "adapter"
    if adapter or remembers(setup.recipe):
        return float(copied)
    return float(copied + sum(weight.nbytes for weight in weights))


def choose_strength(tuned: Tuned, setup: Setup, watcher: Watcher) -> Frontier | None:
    """Measure a trained model at several strengths, and leave it at the one to be saved.

    That is full strength, unless the recipe says how much may be forgotten. None where nothing is
    measured. Checkpoints are left as they are.
    """
    rows = compared_on(setup)
    if rows is None:
        return None
    watcher.stage("strength", "what the tuned model gains and forgets at several strengths")
    seed, most = setup.recipe.engine.seed, setup.recipe.evaluate.most_forgetting
    scorer = ModelScorer(tuned.base, setup.recipe.engine.tokens_per_micro_batch)
    strength = Strength(tuned)

    def measured(value: float) -> AtStrength:
        strength.set(value)
        return AtStrength(value, scored(scorer, rows.choosing), scored(scorer, rows.probes))

    found = [measured(value) for value in STRENGTHS]
    if most is None:
        strength.set(1.0)
        return Frontier(tuple(found))
    for _ in range(HALVINGS):
        if (between := _next(found, most, seed)) is None:
            break
        found = sorted([*found, measured(between)], key=lambda each: each.strength)
    points = frontier_points(found, seed)
    frontier = Frontier(tuple(found), most, strength_for(points, most))
    strength.set(frontier.saved)
    watcher.note(_sentence(frontier_summary(points, frontier)))
    return frontier


def _of_each_file(probes: Sequence[Tokens], rows: int) -> list[Tokens]:
    files: dict[str, list[Tokens]] = {}
    for probe in probes:
        files.setdefault(probe.origin.path, []).append(probe)
    return [each for file in files.values() for each in whole_rows(file, rows)]


def _next(found: list[AtStrength], most: float, seed: int) -> float | None:
    """Halfway from the best strength to the next one that forgets too much; None if none does."""
    points = frontier_points(found, seed)
    best = strength_for(points, most)
    above = next((point for point in points if point.strength > best), None)
    if above is None or above.within(most):
        return None
    return (best + above.strength) / 2


def _sentence(clause: str) -> str:
    return f"{clause[:1].upper()}{clause[1:]}."
