"""`tunesmith plan`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import typer

from tunesmith.cli.options import (
    AsJson,
    BaseName,
    DataFiles,
    Overrides,
    RecipeFile,
    ValidationFile,
    Weights,
)
from tunesmith.cli.text import duration, tell
from tunesmith.runs.asked import recipe_from

if TYPE_CHECKING:
    from tunesmith.runs.planned import Plan


def plan(
    recipe: RecipeFile = None,
    base: BaseName = None,
    data: DataFiles = None,
    weight: Weights = None,
    validation: ValidationFile = None,
    set_: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Say what a run would take: time, memory and tokens.

    Measured in seconds on the run's own longest rows. Nothing is written; `tunesmith train` begins
    with the same plan. Exits with 2 if the run would not fit into memory.
    """
    asked = recipe_from(
        recipe,
        base=base,
        data=data,
        validation=validation,
        overrides=set_ or (),
        weights=weight or (),
    )
    made = _made(asked, as_json)
    found = made.to_json()
    if as_json:
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    typer.echo()
    tell(made.in_short(), bold=True)
    typer.echo()
    for name, value in _lines(found):
        tell(f"{name:<14}{value}", hang=14)


def _made(asked: Any, as_json: bool) -> Plan:
    from tunesmith.cli.console import progress

    with progress(plain=as_json) as watcher:
        watcher.stage("start", "nothing will be written")
        from tunesmith.runs.foresee import foresee  # brings torch, which takes a moment

        return foresee(asked, watcher)


def _lines(plan: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The plan as names and values; what was changed and the ways taken stand at the end."""
    predicted = plan["predicted"]
    yield "steps", f"{plan['steps']:,} of {_share(predicted['tokens'], plan['steps'])} tokens"
    yield "tokens", f"{predicted['tokens']:,}, {predicted['tokens_per_second']:,.0f} a second"
    yield "training", duration(predicted["training_seconds"])
    yield "  steps", duration(predicted["seconds"])
    yield "  validation", duration(predicted["validation_seconds"])
    yield "  checkpoints", duration(predicted["checkpoint_seconds"])
    yield "judging", f"at most {duration(predicted['judging_seconds_at_most'])}"
    yield "peak memory", f"{predicted['peak_memory_bytes'] / 1e9:.2f} GB{_limit(predicted)}"
    yield "trained", f"{plan['trained_parameters']:,} of {plan['parameters']:,} weights"
    yield from (("changed", sentence) for sentence in plan["changes"])
    yield from plan["paths"].items()


def _share(tokens: int, steps: int) -> str:
    return f"about {tokens / steps:,.0f}"


def _limit(predicted: dict[str, Any]) -> str:
    limit = predicted["memory_limit_bytes"]
    return f" of {limit / 1e9:.1f} GB" if limit else ""
