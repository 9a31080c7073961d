"""What a run writes when it ends, from what was measured: verdict, report and model card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunesmith.core.files import read_json, read_jsonl, write_json, write_text
from tunesmith.evaluate.card import Shown, card, shown_of
from tunesmith.evaluate.measure import Measured
from tunesmith.evaluate.report import render
from tunesmith.evaluate.verdict import Verdict, judge
from tunesmith.recipe import load
from tunesmith.runs.finished import artefact_of
from tunesmith.runs.folder import RunFolder

Json = Mapping[str, Any]


def write_judgement(folder: RunFolder, measured: Measured, seed: int) -> Verdict:
    """Judge what was measured and write all that says so; verdict.json last: it ends the run."""
    verdict = judge(measured, seed)
    said = verdict.to_json()
    shown = read_json(folder.shown) if folder.shown.exists() else None
    page = render(said, measured, *about(folder), shown)
    recipe = load(folder.recipe).model_dump(mode="json")
    artefact = artefact_of(folder)
    sees = (artefact / "processor_config.json").is_file()
    card_says = shown_of(said, measured, artefact.name, recipe, sees=sees)
    finish(folder, said, measured.to_json(), page, card_says)
    return verdict


def about(folder: RunFolder) -> tuple[list[Json], Json, str, Json, Json]:
    """What every report tells of its run: metrics, ledger, recipe, environment and plan."""
    return (
        read_jsonl(folder.metrics) if folder.metrics.exists() else [],
        read_json(folder.ledger),
        folder.recipe.read_text(encoding="utf-8"),
        read_json(folder.environment),
        read_json(folder.plan),
    )


def finish(folder: RunFolder, verdict: Json, measured: Json, page: str, shown: Shown) -> None:
    """Write measurements, report and model card, and verdict.json last: it ends the run."""
    write_json(folder.measured, measured)
    write_text(folder.report, page)
    write_text(folder.card, _card_of(folder, verdict, shown))
    write_json(folder.verdict, verdict)


def _card_of(folder: RunFolder, verdict: Json, shown: Shown) -> str:
    """The model card of a run whose other files are written."""
    return card(
        name=folder.path.absolute().name,
        artefact=artefact_of(folder).name,
        verdict=verdict,
        shown=shown,
        recipe=load(folder.recipe).model_dump(mode="json"),
        ledger=read_json(folder.ledger),
        environment=read_json(folder.environment),
        plan=read_json(folder.plan),
        hashes=read_json(folder.hashes),
    )
