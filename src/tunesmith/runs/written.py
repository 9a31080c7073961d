"""What a run writes when it ends, from what was measured: verdict, report and model card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunesmith.core.files import read_json, read_jsonl, write_json, write_text
from tunesmith.evaluate.card import card
from tunesmith.evaluate.measure import Measured
from tunesmith.evaluate.report import render
from tunesmith.evaluate.verdict import Verdict, judge
from tunesmith.recipe import load
from tunesmith.runs.finished import artefact_of
from tunesmith.runs.folder import RunFolder


def write_judgement(folder: RunFolder, measured: Measured, seed: int) -> Verdict:
    """Judge what was measured and write all that says so; verdict.json last: it ends the run."""
    verdict = judge(measured, seed)
    write_json(folder.measured, measured.to_json())
    page = render(
        verdict.to_json(),
        measured,
        read_jsonl(folder.metrics) if folder.metrics.exists() else [],
        read_json(folder.ledger),
        folder.recipe.read_text(encoding="utf-8"),
        read_json(folder.environment),
        read_json(folder.plan),
        read_json(folder.shown) if folder.shown.exists() else None,
    )
    write_text(folder.report, page)
    write_text(folder.card, card_of(folder, measured, verdict.to_json()))
    write_json(folder.verdict, verdict.to_json())
    return verdict


def card_of(folder: RunFolder, measured: Measured, verdict: Mapping[str, Any]) -> str:
    """The model card of a run whose other files are written."""
    return card(
        name=folder.path.absolute().name,
        artefact=artefact_of(folder).name,
        verdict=verdict,
        measured=measured,
        recipe=load(folder.recipe).model_dump(mode="json"),
        ledger=read_json(folder.ledger),
        environment=read_json(folder.environment),
        plan=read_json(folder.plan),
        hashes=read_json(folder.hashes),
    )
